"""Nvmelog: the page as the specification lays it out, the command as the kernel takes it; any bytes are read or refused."""

from __future__ import annotations

import ctypes
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import grayscope.collectors._nvmelog as nvmelog  # type: ignore[import-not-found]
from grayscope.errors import InputError
from tests.mutations import MANY


def page(**at: bytes) -> bytes:
    made = bytearray(512)
    for name, data in at.items():
        offset = int(name[1:])
        made[offset : offset + len(data)] = data
    return bytes(made)


def test_every_field_is_where_the_specification_has_it() -> None:
    found = nvmelog.health(page(
        b0=b"\x05", b1=(353).to_bytes(2, "little"), b3=b"\x32", b4=b"\x0a", b5=b"\x69", b144=(7).to_bytes(16, "little"),
        b160=(2**64 + 1).to_bytes(16, "little"),
        b176=(9).to_bytes(16, "little"), b192=(3).to_bytes(4, "little"), b196=(1).to_bytes(4, "little"),
    ))  # fmt: skip
    assert found == (5, pytest.approx(79.85), 0.5, 0.1, 1.05, 7, 2**64 + 1, 9, 180, 60)


@pytest.mark.parametrize(
    ("data", "expected"), [(b"", "expected 512 bytes, found 0"), (page(b3=b"\x65"), "0 to 100 percent"), (page(b4=b"\xff"), "0 to 100 percent")]
)
def test_what_no_drive_can_mean_is_refused(data: bytes, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        nvmelog.health(data)


def test_the_command_is_what_the_kernel_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fake of the ioctl, held to uapi nvme_ioctl.h: 72 bytes, opcode, name space, address and length, page and dwords."""
    device = tmp_path / "nvme0"
    device.write_text("")

    def fake(handle: int, request: int, command: bytes) -> int:
        assert handle >= 0
        assert request == 0xC0000000 | 72 << 16 | ord("N") << 8 | 0x41
        opcode, flags, _, space, _, _, _, address, _, length, dword = struct.unpack_from("=BBHIIIQQIII", command)
        assert (len(command), opcode, flags, space, length, dword) == (72, 0x02, 0, 0xFFFFFFFF, 512, 0x007F0002)
        ctypes.memmove(address, page(b3=b"\x2a"), 512)
        return 0

    monkeypatch.setattr(nvmelog.fcntl, "ioctl", fake)
    assert nvmelog.health(nvmelog.ask(str(device))).spare == 0.42


def test_what_is_no_controller_is_an_error_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"ioctl|device"):
        nvmelog.ask(str(tmp_path / "file"))


@settings(MANY, max_examples=500)
@given(st.one_of(st.binary(max_size=600), st.binary(min_size=512, max_size=512)))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        found = nvmelog.health(data)
    except InputError:
        assert len(data) != 512 or max(data[3], data[4]) > 100
    else:
        assert 0 <= found.spare <= 1
        assert 0 <= found.used <= 2.55
