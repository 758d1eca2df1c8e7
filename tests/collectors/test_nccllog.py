"""Log: the lines that tell of failover and errors, and the many that do not."""

from __future__ import annotations

import pytest
from hypothesis import given

import grayscope.collectors._nccllog as log  # type: ignore[import-not-found]
from tests.mutations import MANY, mutated

HEAD = "n017:4242:4300 [3] NCCL INFO "
WARN = "[2026-06-11 10:00:00] n017.example:4242:4300 [3] transport/net_ib/p2p.cc:101 NCCL WARN "
FAILED = "NET/IB: Device 3 marked as failed. Initiating recovery? Yes (send comm=0x7f00, outstandingRecovery=1)"
RETRY = "NET/IB : Got completion from peer 10.0.0.7<51234> with status=IBV_WC_RETRY_EXC_ERR(12) opcode=0 len=0 vendor_err=129 (ab) hca mlx5_0"
ASYNC = "NET/IB : mlx5_0:1 Got non-fatal async event: port error(10)"


@pytest.mark.parametrize(
    ("line", "subject", "code", "kind"),
    [
        (HEAD + FAILED, "n017", "failover", "failover"),
        (HEAD + "NET/IB : Replacing QP 8 by 9", "n017", "failover", "qp_replaced"),
        (WARN + RETRY, "n017.example/mlx5_0", "net_error", "completion_error"),
        (WARN + RETRY.partition(" hca")[0], "n017.example", "net_error", "completion_error"),
        (HEAD + "NET/IB: Port recovery succeeded on device 3", "n017", "recovered", "recovered"),
        (HEAD + "NET/IB: send comm: The error is not fatal. Trying to continue.", "n017", "failover", "carried_on"),
        # 2.20 to 2.27: a number without a name, and no device.
        (
            HEAD.replace("NCCL INFO", "transport/net_ib.cc:1296 NCCL WARN") + "NET/IB : Got completion from peer 10.2.0.5<3309> with error 12, opcode 0, len 0",
            "n017",
            "net_error",
            "completion_error",
        ),
        (HEAD + ASYNC, "n017/mlx5_0", "async_event", "async_event"),
        (HEAD + ASYNC.replace(":1 ", ":2 "), "n017/mlx5_0/p2", "async_event", "async_event"),
        (HEAD + "NET/IB : mlx5_2:1 speed change detected: 400000 -> 200000 Mbps", "n017/mlx5_2", "speed_down", "speed_change"),
        (HEAD + "NET/IB : mlx5_2:1 speed change detected: 200000 -> 400000 Mbps", "n017/mlx5_2", "async_event", "speed_change"),
        (HEAD + "speed change detected: 400000 -> 100000 Mbps", "n017", "speed_down", "speed_change"),
    ],
)
def test_what_a_line_tells(line: str, subject: str, code: str, kind: str) -> None:
    told = log.read(line)
    assert (told.subject, told.code, told.kind, told.pid) == (subject, code, kind, 4242)


@pytest.mark.parametrize(
    "line",
    ["", FAILED, HEAD, HEAD + "NET/IB : Using [0]mlx5_0:1/IB [RO]; OOB eth0:10.0.0.7<0>", HEAD + "AllReduce: opCount 1f sendbuff 0x7f recvbuff 0x7f count 8",
     "n017:4242:4300 NCCL INFO " + FAILED, "a/b:1:2 [0] " + FAILED],
)  # fmt: skip
def test_other_lines_tell_nothing(line: str) -> None:
    assert log.read(line) is None


def test_text_is_short_and_printable() -> None:
    told = log.read(HEAD + FAILED + "\x1b[2J" * 1000)
    assert len(told.text) == 300
    assert told.text.isprintable()


@MANY
@given(mutated((HEAD + FAILED).encode(), (WARN + RETRY).encode(), (HEAD + ASYNC).encode(), (HEAD + "NET/IB : " + "(1) hca " * 300).encode()))
def test_any_line_is_read(data: bytes) -> None:
    told = log.read(data.decode("utf-8", "replace"))
    assert told is None or (told.subject.count("/") <= 2 and told.text.isprintable())
