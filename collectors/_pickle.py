"""Pickle: the plain data inside a pickle (dict, list, tuple, str, number, bool, None) and nothing that could run.

Every opcode is looked at before anything is loaded: what names a class, calls something or reaches outside is not on the
list, and neither is a memo slot or a length that would cost memory out of proportion to the file.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from typing import Any, NoReturn

from grayscope.errors import InputError, shorten

#: Values of one file, their nesting, and digits (in bytes) of a number.
VALUES, DEPTH, DIGITS = 20_000_000, 32, 64
PLAIN = frozenset((
    "PROTO", "FRAME", "STOP", "MARK", "POP", "POP_MARK", "DUP", "MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT", "GET", "BINGET", "LONG_BINGET", "NONE", "NEWTRUE",
    "NEWFALSE", "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE",
    "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "EMPTY_LIST", "LIST", "APPEND", "APPENDS", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3",
    "EMPTY_DICT", "DICT", "SETITEM", "SETITEMS",
))  # fmt: skip
BROKEN = (
    pickle.UnpicklingError, ValueError, TypeError, KeyError, IndexError, EOFError, AttributeError, OverflowError, RecursionError, AssertionError, MemoryError,
)  # fmt: skip


class _Plain(pickle.Unpickler):
    """The second lock: refuses whatever the first one might have overlooked."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"class {module}.{name} is not allowed")

    def persistent_load(self, pid: object) -> NoReturn:
        del pid
        raise pickle.UnpicklingError("persistent ids are not allowed")


def plain(data: bytes, where: object) -> Any:
    """Return what a pickle holds.

    Raises
    ------
    InputError
        It is broken, holds more than plain data, or is larger inside than it may be.

    Examples
    --------
    >>> plain(pickle.dumps({"a": [1, (2.5, None)]}, 2), "here")
    {'a': [1, (2.5, None)]}
    """
    try:
        _inspect(data)
        value = _Plain(io.BytesIO(data)).load()
    except BROKEN as error:
        raise InputError.at(where, "pickle", "plain data (dict, list, tuple, text, number)", shorten(str(error) or type(error).__name__)) from error
    _measure(value, where)
    return value


def _inspect(data: bytes) -> None:
    for count, (opcode, argument, _) in enumerate(pickletools.genops(data)):
        if opcode.name not in PLAIN:
            raise pickle.UnpicklingError(f"opcode {opcode.name} is not allowed")
        if count > VALUES or ("PUT" in opcode.name and isinstance(argument, int) and argument > count):
            raise pickle.UnpicklingError(f"opcode {opcode.name} {shorten(argument)} asks for too much memory")
        if opcode.name.startswith("LONG") and isinstance(argument, int) and argument.bit_length() > 8 * DIGITS:
            raise pickle.UnpicklingError(f"a number of {argument.bit_length()} bits")


def _measure(value: Any, where: object) -> None:
    """Refuse deep nesting and values that hold themselves; what is shared is looked at once."""
    level, seen = [value], set[int]()
    for _ in range(DEPTH):
        inside = []
        for container in level:
            if isinstance(container, (dict, list, tuple)) and id(container) not in seen:
                seen.add(id(container))
                inside += [*container.keys(), *container.values()] if isinstance(container, dict) else list(container)
        level = inside
        if not level:
            return
    raise InputError.at(where, "nesting", f"at most {DEPTH} levels", "more")
