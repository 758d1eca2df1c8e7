"""Trim: gives memory that was freed back to the system, which the C library would keep for what is asked for next."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any


def trim() -> bool:
    """Give free memory back; say whether there was any. A tenth of a second per gigabyte, so only after something large.

    Only glibc is asked: others give it back by themselves, or know no such call.

    Examples
    --------
    >>> trim() in (True, False)
    True
    """
    call = _call()
    return call is not None and bool(call(0))


@cache
def _call() -> Any:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # another C library; Windows
        return None
