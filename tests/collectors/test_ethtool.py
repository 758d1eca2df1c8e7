"""Ethtool: names once, numbers at each look, by a fake of the kernel's ioctl that is held to uapi ethtool.h."""

from __future__ import annotations

import ctypes
import struct

import pytest

import grayscope.collectors._ethtool as ethtool  # type: ignore[import-not-found]


class FakeKernel:
    """A fake driver with statistics; answers the three commands as net/core/ethtool does."""

    def __init__(self, **counts: int) -> None:
        self.counts = counts
        self.asked: list[int] = []

    def __call__(self, handle: int, request: int, ifreq: bytes) -> int:
        assert handle >= 0
        assert (request, len(ifreq)) == (0x8946, 40)
        name, pointer = struct.unpack_from("16sP", ifreq)
        if name.rstrip(b"\0") != b"ens1np0":
            raise OSError(19, "No such device")
        (command,) = struct.unpack("=I", ctypes.string_at(pointer, 4))
        self.asked.append(command)
        if command == 0x37:
            assert struct.unpack("=Q", ctypes.string_at(pointer + 8, 8)) == (2,)
            self._answer(pointer + 8, struct.pack("=QI", 2 if self.counts else 0, len(self.counts)))
        elif command == 0x1B:
            assert struct.unpack("=I", ctypes.string_at(pointer + 4, 4)) == (1,)
            self._answer(pointer + 8, struct.pack("=I", len(self.counts)) + b"".join(n.encode().ljust(32, b"\0") for n in self.counts))
        elif command == 0x1D:
            self._answer(pointer + 4, struct.pack(f"=I{len(self.counts)}Q", len(self.counts), *self.counts.values()))
        else:
            raise OSError(95, "Operation not supported")
        return 0

    @staticmethod
    def _answer(pointer: int, data: bytes) -> None:
        ctypes.memmove(pointer, data, len(data))


def test_names_are_asked_for_once() -> None:
    kernel = FakeKernel(rx_bits_phy=2**63, rx_corrected_bits_phy=7)
    reader = ethtool.Ethtool(kernel)
    assert reader.read("ens1np0") == {"rx_bits_phy": 2**63, "rx_corrected_bits_phy": 7}
    kernel.counts["rx_corrected_bits_phy"] = 9
    assert reader.read("ens1np0")["rx_corrected_bits_phy"] == 9
    assert kernel.asked == [0x37, 0x1B, 0x1D, 0x1D]


def test_a_driver_that_was_set_up_anew_is_asked_for_its_names_again() -> None:
    kernel = FakeKernel(a=1, b=2)
    reader = ethtool.Ethtool(kernel)
    reader.read("ens1np0")
    kernel.counts = {f"ring{n}": n for n in range(1000)}
    assert reader.read("ens1np0") == {}
    assert reader.read("ens1np0")["ring999"] == 999


def test_a_driver_without_statistics_has_none() -> None:
    assert ethtool.Ethtool(FakeKernel()).read("ens1np0") == {}


def test_what_the_kernel_refuses_is_an_error_of_the_system() -> None:
    for name in ("eth9", "a_name_that_is_too_long"):
        with pytest.raises(OSError, match=r"[Nn]o such"):
            ethtool.Ethtool(FakeKernel(a=1)).read(name)


def test_this_machine_answers_or_refuses() -> None:
    try:
        found = ethtool.Ethtool().read("lo")
    except OSError:
        found = {}
    assert all(value >= 0 for value in found.values())
