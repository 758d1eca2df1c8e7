"""Transactions of both clients: an answer that never comes is given up with one line, so that the lane can be opened anew."""

from __future__ import annotations

import threading
from collections import deque
from types import SimpleNamespace
from typing import Any

import pytest

from grayscope.brokers import _kafkatransactions as module
from grayscope.brokers._kafkasettings import kafka_settings
from grayscope.errors import GrayscopeError


class Result:
    """What the client returns for a step that begins."""

    def __init__(self, answers: int) -> None:
        self.asked, self.answers = 0, answers

    def wait(self, timeout_ms: float) -> bool:
        self.asked += 1
        threading.Event().wait(timeout_ms / 1000)
        return self.asked > self.answers


def transactions(result: Result, woken: list[int]) -> module.Transactions:
    made = module.Transactions.__new__(module.Transactions)
    made.settings, made.name, made.broken = kafka_settings({}), "g.0", False
    client: Any = SimpleNamespace(
        _transaction_manager=SimpleNamespace(begin_commit=lambda: result), _sender=SimpleNamespace(wakeup=lambda: woken.append(1)), flush=lambda **_: None
    )
    made._client, made._waiting, made.patience = client, [], 1.0  # type: ignore[assignment]
    return made


def test_an_answer_that_never_comes_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NUDGE", 5)
    monkeypatch.setattr(module, "PATIENCE", 50)
    woken: list[int] = []
    some = transactions(Result(10**9), woken)
    with pytest.raises(GrayscopeError, match=r"kafka transaction g\.0: .*no answer within"):
        some.commit()
    assert some.broken
    assert len(woken) > 2


def test_the_client_is_woken_until_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NUDGE", 1)
    woken: list[int] = []
    transactions(Result(3), woken).commit()
    assert len(woken) == 4


def test_a_client_that_waits_for_ever_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("confluent_kafka", reason="pip install 'grayscope[confluent]'")
    from grayscope.brokers import _confluentreach as confluentreach
    from grayscope.brokers import _confluenttransactions as confluent

    monkeypatch.setattr(confluent, "GRACE", 0.05)
    monkeypatch.setattr(confluent, "PATIENCE", 0)
    never, closed = threading.Event(), list[str]()
    some = confluent.Transactions.__new__(confluent.Transactions)
    some.settings, some.name, some.broken, some._stuck = kafka_settings({}), "g.0", False, False
    some._kafka = confluentreach.library()
    some._client = SimpleNamespace(send_offsets_to_transaction=lambda *_: never.wait(30), close=lambda: closed.append("closed"))
    with pytest.raises(GrayscopeError, match=r"kafka transaction g\.0: no answer within"):
        some.places({}, None)
    some.close()
    assert (some.broken, closed) == (True, [])
    never.set()


def test_what_a_client_says_in_its_thread_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("confluent_kafka", reason="pip install 'grayscope[confluent]'")
    from grayscope.brokers import _confluentreach as confluentreach
    from grayscope.brokers import _confluenttransactions as confluent

    some = confluent.Transactions.__new__(confluent.Transactions)
    some.settings, some.name, some.broken, some._stuck, some._kafka = kafka_settings({}), "g.0", False, False, confluentreach.library()
    some._told, some._client = deque(), None
    fenced = some._kafka.KafkaError(some._kafka.KafkaError._FENCED)

    def refused() -> None:
        raise some._kafka.KafkaException(fenced)

    with pytest.raises(GrayscopeError, match=r"kafka transaction g\.0: .*fenced"):
        some._do(refused)
    assert some.broken


def test_a_client_whose_abort_never_ends_is_left_alone_and_not_too_many_of_them_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("confluent_kafka", reason="pip install 'grayscope[confluent]'")
    from grayscope.brokers import _confluentreach as confluentreach
    from grayscope.brokers import _confluenttransactions as confluent

    monkeypatch.setattr(confluent, "GRACE", 0.02)
    monkeypatch.setattr(confluent, "PATIENCE", 0)
    monkeypatch.setattr(confluent, "_LEFT", [])
    never, touched = threading.Event(), list[str]()
    for _ in range(confluent.MOST):
        some = confluent.Transactions.__new__(confluent.Transactions)
        some.settings, some.name, some.broken, some._stuck, some._kafka = kafka_settings({}), "g.0", False, False, confluentreach.library()
        some._client = SimpleNamespace(abort_transaction=lambda _: never.wait(30), purge=lambda: touched.append("purge"), close=lambda: touched.append("close"))
        some.close()
    assert touched == []
    with pytest.raises(GrayscopeError, match="start this worker again"):
        confluent.Transactions(kafka_settings({"bootstrap.servers": "127.0.0.1:1"}), "g.0")
    never.set()


@pytest.mark.parametrize("fails", [SystemError, AttributeError])
def test_a_client_that_was_shut_out_and_calls_back_wrongly_is_told_of_and_closed(fails: type[Exception]) -> None:
    pytest.importorskip("confluent_kafka", reason="pip install 'grayscope[confluent]'")
    from grayscope.brokers import _confluentreach as confluentreach
    from grayscope.brokers import _confluenttransactions as confluent

    def flush(_: float) -> int:
        raise fails

    closed = list[str]()
    some = confluent.Transactions.__new__(confluent.Transactions)
    some.settings, some.name, some.broken, some._stuck, some._kafka = kafka_settings({}), "g.0", False, False, confluentreach.library()
    some._told, some._refused, some.patience = deque(["fenced by a newer instance"]), None, 1.0
    some._client = SimpleNamespace(flush=flush, purge=lambda: None, close=lambda: closed.append("closed"))
    with pytest.raises(GrayscopeError, match="fenced by a newer instance"):
        some.flush()
    assert some.broken
    some.close()
    assert closed == ["closed"]


def confluent_client(**fields: Any) -> Any:
    """Return transactions of confluent-kafka that have not spoken to any broker; `fields` as they would be by now."""
    pytest.importorskip("confluent_kafka", reason="pip install 'grayscope[confluent]'")
    from grayscope.brokers import _confluentreach as confluentreach
    from grayscope.brokers import _confluenttransactions as confluent

    some: Any = confluent.Transactions.__new__(confluent.Transactions)
    usual = {"settings": kafka_settings({}), "name": "g.0", "broken": False, "bytes": 0, "patience": 1.0}
    kept = {"_stuck": False, "_kafka": confluentreach.library(), "_told": deque(), "_refused": None, "_seen": {"g.verdicts"}}
    for name, value in {**usual, **kept, **fields}.items():
        setattr(some, name, value)
    return some


def raising(error: BaseException | type[BaseException]) -> Any:
    def step(*_: object) -> None:
        raise error

    return step


@pytest.mark.parametrize("where", ["purge", "flush", "close"])
def test_what_a_client_that_was_shut_out_says_once_more_does_not_end_the_worker(where: str) -> None:
    some, done = confluent_client(broken=True), list[str]()
    fatal = some._kafka.KafkaException(some._kafka.KafkaError(some._kafka.KafkaError._FATAL))

    def step(name: str) -> None:
        done.append(name)
        if name == where:
            raise fatal

    some._client = SimpleNamespace(purge=lambda: step("purge"), flush=lambda _: step("flush"), close=lambda: step("close"))
    some.close()
    assert done == ["purge", "flush", "close"]


def test_a_client_that_is_shut_out_while_a_message_waits_says_which_topic() -> None:
    some = confluent_client(bytes=7)
    fenced = some._kafka.KafkaException(some._kafka.KafkaError(some._kafka.KafkaError._FENCED))
    some._client = SimpleNamespace(poll=raising(fenced))
    with pytest.raises(GrayscopeError, match=r"kafka topic g\.verdicts: .*fenced"):
        some.send("g.verdicts", b"k", b"v")
    assert some.broken


@pytest.mark.parametrize("fails", [SystemError, AttributeError])
def test_a_step_that_calls_back_wrongly_is_told_of(fails: type[Exception]) -> None:
    some = confluent_client(_told=deque(["fenced by a newer instance"]))
    with pytest.raises(GrayscopeError, match=r"kafka transaction g\.0: fenced by a newer instance"):
        some._do(raising(fails))
    assert some.broken


@pytest.mark.parametrize("fails", [SystemError, AttributeError])
def test_what_was_refused_is_told_though_the_client_cannot_drop_what_waits_behind_it(fails: type[Exception]) -> None:
    some = confluent_client(_refused=GrayscopeError("kafka topic g.verdicts: too large"))
    some._client = SimpleNamespace(poll=lambda _: 0, purge=raising(fails))
    with pytest.raises(GrayscopeError, match="too large"):
        some._serve(0)
