"""RAS: a fake server that follows the published conversation; answers of all kinds."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

import grayscope.collectors._ncclras as ras  # type: ignore[import-not-found]
from grayscope import plugins
from grayscope.batch import Batch
from grayscope.errors import GrayscopeError, InputError
from grayscope.event import Event
from tests.mutations import MANY, mutated


def rank(number: int, host: str = "10.0.0.17", count: int = 1200, **more: Any) -> dict[str, Any]:
    return {"rank": number, "host": host, "pid": 4000 + number, "cuda_dev": 0, "nvml_dev": number % 8, "status": {"init_state": 0, "async_error": 0},
            "collective_counts": {"AllReduce": count, "Broadcast": 2}, **more}  # fmt: skip


def missing(number: int, host: str = "10.0.0.18", dead: bool = False) -> dict[str, Any]:
    return {"rank": number, "host": host, "pid": 4000 + number, "cuda_dev": 0, "nvml_dev": 0, "status": {"unresponsive": True, "considered_dead": dead}}


def status(*ranks: dict[str, Any], lost: tuple[dict[str, Any], ...] = ()) -> bytes:
    comm = {"hash": "0x9f3a", "size": 4, "ranks_count": len(ranks), "ranks": list(ranks), "missing_ranks": list(lost)}
    return json.dumps({"nccl_version": "2.30.7", "communicators_count": 1, "communicators": [comm], "ras": {"timeouts_count": 0}}, indent=2).encode()


class FakeRas:
    """Fake: speaks the lines of NCCL's RAS thread, with answers that a test gives it."""

    def __init__(self, answer: bytes, setting: bytes = b"OK\n") -> None:
        self.answer, self.setting, self.heard = answer, setting, list[str]()
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = self.socket.getsockname()[:2]

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection, connection.makefile("rwb") as file:
                for line in file:
                    self.heard.append(line.decode().strip())
                    if self.heard[-1] == "VERBOSE STATUS":
                        file.write(self.answer)
                        break
                    file.write(b"SERVER PROTOCOL 2\n" if self.heard[-1].startswith("CLIENT") else self.setting)
                    file.flush()


@contextmanager
def serving(answer: bytes, setting: bytes = b"OK\n") -> Iterator[FakeRas]:
    fake = FakeRas(answer, setting)
    thread = threading.Thread(target=fake.serve, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        fake.socket.shutdown(socket.SHUT_RDWR)
        fake.socket.close()
        thread.join(5)


def test_the_conversation() -> None:
    with serving(status(rank(0), lost=(missing(1),))) as fake:
        found = ras.ask(fake.address)
    assert [(s.member, s.host, s.done) for s in found] == [(0, "10.0.0.17", 1202), (1, "10.0.0.18", -1)]
    assert fake.heard == ["CLIENT PROTOCOL 2", "TIMEOUT 3", "SET FORMAT json", "VERBOSE STATUS"]


def test_a_server_too_old_for_json_says_which_version_is_needed() -> None:
    with serving(b"", b"ERROR: unknown command\n") as fake, pytest.raises(GrayscopeError, match=r"2\.28\.7"):
        ras.ask(fake.address)


def test_nobody_nothing_and_silence_are_told_apart() -> None:
    with serving(b"") as fake, pytest.raises(InputError, match="JSON object"):
        ras.ask(fake.address)
    with pytest.raises(ras.Refused):
        ras.ask(fake.address)
    with socket.create_server(("127.0.0.1", 0)) as mute, pytest.raises(GrayscopeError, match=r"in time|timed out"):
        ras.ask(mute.getsockname()[:2], timeout=0.1)


@pytest.mark.parametrize(
    "text", [b"{}", b'{"communicators": 7}', b'{"communicators": [{"hash": 1, "size": "x"}]}', b'{"a":' * 50_000, b"[1]", status({"rank": 9}),
             status(rank(4)), status(rank(0, pid=-2)), status(rank(0, nvml_dev=5000)), status(rank(0, collective_counts={"A": 1e400}))],
)  # fmt: skip
def test_an_answer_in_another_form_is_one_error(text: bytes) -> None:
    with pytest.raises(InputError):
        ras.read(text)


def test_processes_with_several_gpus_are_recognised() -> None:
    assert ras.several(ras.read(status(rank(0), rank(1, pid=4000), rank(2)))) == {("10.0.0.17", 4000)}


@MANY
@given(mutated(b"OK\n" + status(rank(0), rank(1), lost=(missing(2), missing(3, dead=True)))))
def test_any_answer_is_ranks_or_one_error(data: bytes) -> None:
    try:
        found = ras.read(data)
    except InputError as error:
        found, said = [], str(error)
    else:
        said = ""
    assert "\n" not in said
    assert len(said) < 500
    assert all(0 <= s.member < s.size and s.done >= -1 for s in found)


FIB = """Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 10.0.0.0
        /24 link UNICAST
     |-- 10.0.0.17
        /32 host LOCAL
     |-- 10.0.0.255
        /32 link BROADCAST
"""


def machine(root: Path) -> None:
    """Let `root` be the machine that has the address 10.0.0.17."""
    (root / "proc" / "net").mkdir(parents=True)
    (root / "proc" / "net" / "fib_trie").write_text(FIB)
    (root / "proc" / "net" / "if_inet6").write_text("fe800000000000000000000000000017 02 40 20 80     eth0\nbroken\n")


def test_a_machine_knows_its_addresses(tmp_path: Path) -> None:
    assert ras.addresses(tmp_path) == set()
    machine(tmp_path)
    assert ras.addresses(tmp_path) == {"10.0.0.17", "fe80::17"}


def test_the_collector_tells_of_its_own_ranks_and_once_of_those_that_do_not_answer(tmp_path: Path) -> None:
    now = [1000.0]
    machine(tmp_path)
    with serving(status(rank(0), rank(1, "10.0.0.18"), rank(2), lost=(missing(3),))) as fake:
        made = plugins.collector("nccl", ras=f"127.0.0.1:{fake.address[1]}", root=tmp_path, node="n017", clock=lambda: now[0])
        first = made.collect()
        fake.answer = status(rank(0, count=1210), rank(2), rank(1, "10.0.0.18"), lost=(missing(3),))
        now[0] += 30
        assert [m for m in made.collect() if not isinstance(m, tuple)] == []
        now[0] += 31
        second = made.collect()
        fake.answer = status(rank(1, "10.0.0.18"), rank(0), lost=(missing(3, dead=True),))
        now[0] += 61
        third = made.collect()
    assert [(m.subject, m.code) for m in first if isinstance(m, Event)] == [("comm:0x9f3a", "unresponsive")]
    assert {r.subject: r.keys["gpu"] for r in first[0]} == {"job:unknown/n017-4000": "n017/gpu0", "job:unknown/n017-4002": "n017/gpu2"}
    (batch,) = [m for m in second if isinstance(m, Batch)]
    assert batch.values[0, batch.metrics.index("collective_sequence")].tolist() == [10, 0]
    assert [m for m in second if isinstance(m, Event)] == []
    # The first rank that answers is another node's: that node tells.
    assert [m for m in third if isinstance(m, Event)] == []
    assert made.rejected == {}


def test_a_node_without_a_job_is_counted_as_silent(tmp_path: Path) -> None:
    made = plugins.collector("nccl", ras="127.0.0.1:9", root=tmp_path)
    assert made.collect() == []
    assert made.rejected == {"ras_silent": 1}
