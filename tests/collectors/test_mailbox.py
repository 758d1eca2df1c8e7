"""Mailbox: it empties the kernel's short queue all the time, keeps what came, and never takes another's place."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import grayscope.collectors._mailbox as module  # type: ignore[import-not-found]
from grayscope.errors import Unsupported


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Any]:
    box = module.Mailbox(tmp_path / "s.sock")
    yield box
    box.close()


def send(at: Path, count: int) -> None:
    """Send datagrams, waiting for room, as a hook would not."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ours:
        for n in range(count):
            ours.sendto(str(n).encode(), str(at))


def test_many_more_than_the_kernel_keeps_arrive_in_order_though_nobody_looks(box: Any) -> None:
    sender = threading.Thread(target=send, args=(box.at, 5000))
    sender.start()
    sender.join(30)
    assert not sender.is_alive()
    assert box.take() == [str(n).encode() for n in range(5000)]
    assert box.take() == []
    assert box.overflow == 0


def test_what_nobody_takes_is_bounded_and_counted(box: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 3)
    box._queue = module.deque(maxlen=3)
    send(box.at, 5)
    assert box.take() == [b"2", b"3", b"4"]
    assert box.overflow == 2


def test_a_long_datagram_is_cut(box: Any) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ours:
        ours.sendto(b"x" * 9000, str(box.at))
    assert box.take() == [b"x" * 4096]


def test_every_local_user_may_send_and_the_socket_goes_with_the_box(box: Any) -> None:
    assert box.at.stat().st_mode & 0o777 == 0o666
    box.close()
    box.close()
    assert not box.at.exists()


def test_a_dead_listener_s_socket_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(str(tmp_path / "s.sock"))
    box = module.Mailbox(tmp_path / "s.sock")
    send(box.at, 1)
    assert box.take() == [b"0"]
    box.close()


def test_a_living_one_s_and_what_is_no_socket_are_not(box: Any, tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="taken"):
        module.Mailbox(box.at)
    (tmp_path / "file").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    for name in ("file", "link"):
        with pytest.raises(Unsupported, match="no socket"):
            module.Mailbox(tmp_path / name)
    assert (tmp_path / "file").read_text() == "precious"
    with pytest.raises(Unsupported, match="directory"):
        module.Mailbox(tmp_path / "none" / "s.sock")
