"""Nvmlxids: Xid events from NVML's event set, for agents that may not read the kernel's log."""

from __future__ import annotations

import contextlib
from ctypes import c_void_p, cast
from typing import Any

from grayscope.event import Event

#: Events taken at one look; a storm is told in the next ones.
MOST = 256


class Xids:
    """Waits for nothing: `heard` takes what has come since the last look. What happened before `watch` is lost.

    Registering a kind of event that a GPU does not support fails the whole call, so it is asked first. An event set must not be
    used by two threads (nvml.h, nvmlEventSetWait).

    Parameters
    ----------
    nvml : module
    """

    def __init__(self, nvml: Any) -> None:
        self.nvml = nvml
        self._set: Any = None
        self._names: dict[int, str] = {}

    def watch(self, handle: Any, subject: str) -> None:
        """Listen to a GPU; one that has no Xid events is left out."""
        with contextlib.suppress(self.nvml.NVMLError):
            if not self.nvml.nvmlDeviceGetSupportedEventTypes(handle) & self.nvml.nvmlEventTypeXidCriticalError:
                return
            if self._set is None:
                self._set = self.nvml.nvmlEventSetCreate()
            self.nvml.nvmlDeviceRegisterEvents(handle, self.nvml.nvmlEventTypeXidCriticalError, self._set)
            self._names[_address(handle)] = subject

    def heard(self, now: int) -> list[Event]:
        """Return what has come, equal events as one."""
        counted: dict[tuple[str, str], int] = {}
        for _ in range(MOST if self._set is not None else 0):
            try:
                told = self.nvml.nvmlEventSetWait_v2(self._set, 0)
            except self.nvml.NVMLError:
                break
            subject = self._names.get(_address(told.device))
            if subject is not None:
                key = (subject, str(int(told.eventData)))
                counted[key] = counted.get(key, 0) + 1
        return [Event(now, subject, "xid", code, "told by NVML", count) for (subject, code), count in counted.items()]

    def close(self) -> None:
        """Give the event set back."""
        if self._set is not None:
            with contextlib.suppress(self.nvml.NVMLError):
                self.nvml.nvmlEventSetFree(self._set)
        self._set, self._names = None, {}


def _address(handle: Any) -> int:
    """Return what a handle points to: two handles of one GPU are equal in nothing else."""
    return cast(handle, c_void_p).value or 0
