"""Pickle: the plain data inside a pickle (dict, list, tuple, str, number, bool, None), by a machine that can do nothing else.

Python's own unpickler is not used at all: here are a stack, a memo and the opcodes that build plain data. What names a
class, calls something or reaches outside has no meaning here and is refused by name.
"""

from __future__ import annotations

import pickletools
import warnings
from collections.abc import Callable
from typing import Any

from grayscope.errors import InputError, shorten

#: Opcodes of one file, nesting of its values, and bytes of a number.
OPCODES, DEPTH, DIGITS = 20_000_000, 32, 64
#: What opcodes push as they are.
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
NUMBERS = ("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT")
TEXTS = ("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8")
IGNORED = ("PROTO", "FRAME", "STOP")
BROKEN = (ValueError, TypeError, KeyError, IndexError, EOFError, AttributeError, OverflowError, RecursionError, MemoryError, DeprecationWarning)


class _Mark:
    """Where the items of a container begin."""


def plain(data: bytes, where: object) -> Any:
    """Return what a pickle holds.

    Raises
    ------
    InputError
        It is broken, holds more than plain data, or is larger inside than it may be.

    Examples
    --------
    >>> plain(bytes.fromhex("80025d 4b01 61 2e"), "here")
    [1]
    """
    machine = _Machine()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)  # a text with a bad escape: no pickler writes it, and some Pythons only warn
            for count, (opcode, argument, _) in enumerate(pickletools.genops(data)):
                if count > OPCODES:
                    raise ValueError(f"more than {OPCODES} opcodes")
                machine.do(opcode.name, argument)
        (value,) = machine.stack
        if isinstance(value, _Mark):
            raise ValueError("no value")
    except BROKEN as error:
        raise InputError.at(where, "pickle", "plain data (dict, list, tuple, text, number)", shorten(str(error) or type(error).__name__)) from error
    _measure(value, where)
    return value


class _Machine:
    """A stack and a memo."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def do(self, name: str, argument: Any) -> None:
        """Take one opcode."""
        if name in CONSTANTS:
            self.stack.append(CONSTANTS[name])
        elif name in NUMBERS or name in TEXTS:
            if isinstance(argument, int) and argument.bit_length() > 8 * DIGITS:
                raise ValueError(f"a number of {argument.bit_length()} bits")
            self.stack.append(argument)
        elif name in BUILD:
            BUILD[name](self)
        elif name.endswith("PUT") or name == "MEMOIZE":
            self.memo[len(self.memo) if argument is None else int(argument)] = self.stack[-1]
        elif name.endswith("GET"):
            self.stack.append(self.memo[int(argument)])
        elif name not in IGNORED:
            raise ValueError(f"opcode {name} is not allowed")

    def items(self) -> list[Any]:
        """Take everything down to the last mark."""
        where = next((i for i in range(len(self.stack) - 1, -1, -1) if isinstance(self.stack[i], _Mark)), None)
        if where is None:
            raise ValueError("no mark")
        found, self.stack[where:] = self.stack[where + 1 :], []
        return found

    def take(self, n: int) -> tuple[Any, ...]:
        """Take the last n values."""
        found, self.stack[-n:] = tuple(self.stack[-n:]), []
        if len(found) < n:
            raise IndexError("stack underflow")
        return found

    def extend(self, more: list[Any]) -> None:
        """Put values into the list on top."""
        if not isinstance(self.stack[-1], list):
            raise TypeError("no list to append to")
        self.stack[-1].extend(more)

    def dictionary(self, pairs: list[Any]) -> None:
        """Push a dict of keys and values."""
        self.stack.append({})
        self.update(pairs)

    def update(self, pairs: list[Any]) -> None:
        """Put keys and values into the dict on top."""
        if not isinstance(self.stack[-1], dict):
            raise TypeError("no dict to put items in")
        self.stack[-1].update(zip(pairs[::2], pairs[1::2], strict=True))


BUILD: dict[str, Callable[[_Machine], None]] = {
    "MARK": lambda m: m.stack.append(_Mark()),
    "EMPTY_LIST": lambda m: m.stack.append([]),
    "EMPTY_DICT": lambda m: m.stack.append({}),
    "EMPTY_TUPLE": lambda m: m.stack.append(()),
    "LIST": lambda m: m.stack.append(m.items()),
    "TUPLE": lambda m: m.stack.append(tuple(m.items())),
    "TUPLE1": lambda m: m.stack.append(m.take(1)),
    "TUPLE2": lambda m: m.stack.append(m.take(2)),
    "TUPLE3": lambda m: m.stack.append(m.take(3)),
    "DICT": lambda m: m.dictionary(m.items()),
    "APPEND": lambda m: m.extend(list(m.take(1))),
    "APPENDS": lambda m: m.extend(m.items()),
    "SETITEM": lambda m: m.update(list(m.take(2))),
    "SETITEMS": lambda m: m.update(m.items()),
}


def _measure(value: Any, where: object) -> None:
    """Refuse deep nesting; what is shared, or holds itself, is looked at once."""
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
