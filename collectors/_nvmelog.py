"""Nvmelog: the SMART / health page of an NVMe controller, asked for through the kernel, and what its bytes mean."""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct
from typing import NamedTuple

from grayscope.errors import InputError

#: Linux uapi nvme_ioctl.h: NVME_IOCTL_ADMIN_CMD = _IOWR('N', 0x41, struct nvme_admin_cmd of 72 bytes).
ADMIN = 0xC0484E41
COMMAND = struct.Struct("=BBHIIIQQIIIIIIIIII")
GET_LOG_PAGE, HEALTH, EVERYWHERE, LENGTH = 0x02, 0x02, 0xFFFFFFFF, 512
#: Milliseconds: a controller that does not answer must not hold up the look.
PATIENCE = 1000
KELVIN = 273.15


class Health(NamedTuple):
    """Log page 02h of the NVM Express base specification; ratios of 1, seconds, degrees Celsius (NaN where the drive has no sensor)."""

    warning: int
    celsius: float
    spare: float
    spare_least: float
    used: float
    unsafe_shutdowns: int
    media_errors: int
    log_entries: int
    warm_seconds: int
    hot_seconds: int


def health(page: bytes) -> Health:
    """Return what a page says.

    Raises
    ------
    InputError
        It is too short, or says what no drive can mean.

    Examples
    --------
    >>> page = bytearray(512)
    >>> page[0:6] = bytes([0, 0x2D, 0x01, 100, 10, 3])
    >>> found = health(bytes(page))
    >>> found.spare, found.spare_least, found.used, round(found.celsius, 2)
    (1.0, 0.1, 0.03, 27.85)
    """
    if len(page) != LENGTH:
        raise InputError.at("nvme", "health page", f"{LENGTH} bytes", len(page))
    warning, kelvin, spare, least, used = struct.unpack_from("<BHBBB", page)
    if spare > 100 or least > 100:
        raise InputError.at("nvme", "available spare", "0 to 100 percent", f"{spare} and {least}")
    unsafe, media, entries = (int.from_bytes(page[at : at + 16], "little") for at in (144, 160, 176))
    warm, hot = struct.unpack_from("<II", page, 192)
    celsius = kelvin - KELVIN if kelvin else float("nan")
    return Health(warning, celsius, spare / 100, least / 100, used / 100, unsafe, media, entries, 60 * warm, 60 * hot)


def ask(path: str) -> bytes:
    """Return the health page of the controller at a device path; needs CAP_SYS_ADMIN.

    Raises
    ------
    OSError
        As the kernel says: no permission, no such device, a status of the controller.
    """
    page = ctypes.create_string_buffer(LENGTH)
    words = ((LENGTH // 4 - 1) << 16) | HEALTH
    command = COMMAND.pack(GET_LOG_PAGE, 0, 0, EVERYWHERE, 0, 0, 0, ctypes.addressof(page), 0, LENGTH, words, 0, 0, 0, 0, 0, PATIENCE, 0)
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = fcntl.ioctl(handle, ADMIN, command)
    finally:
        os.close(handle)
    del status
    return page.raw
