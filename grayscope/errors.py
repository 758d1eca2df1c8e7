"""Errors: every way grayscope says no, in one tree.

GrayscopeError
├── UsageError        the command or a setting is wrong (exit 2)
├── InputError        a file, row or message is wrong (exit 2)
├── Unsupported       this machine cannot have this source
├── MissingPackage    an optional dependency is not installed
└── Retry             a receiver asks to wait; carries ``retry_after`` seconds
"""

from __future__ import annotations


class GrayscopeError(Exception):
    """Base of all errors that grayscope raises on purpose."""


class UsageError(GrayscopeError):
    """The command line, a setting or a plugin name is wrong."""


class InputError(GrayscopeError):
    """Input is wrong: says where, what was expected and what was found.

    Examples
    --------
    >>> print(InputError.at("gpu.parquet", "column time", "timestamp[us]", "string"))
    gpu.parquet: column time: expected timestamp[us], found string
    """

    @classmethod
    def at(cls, where: object, what: str, expected: object, found: object) -> InputError:
        """Build the message that every input error follows; `what` and `found`, which may hold what was read, are shortened."""
        return cls(f"{where}: {shorten(what)}: expected {expected}, found {shorten(found)}")


class Unsupported(GrayscopeError):
    """This machine, driver or server cannot provide what a collector reads."""


class MissingPackage(GrayscopeError):
    """An optional package is not installed; the text is the line that installs it."""


class Retry(GrayscopeError):
    """The receiver is busy: try again after `retry_after` seconds."""

    def __init__(self, reason: str, retry_after: float) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


def shorten(value: object, limit: int = 120) -> str:
    r"""Return `value` on one line with at most `limit` characters (and a word on how many there were), safe for a terminal.

    Examples
    --------
    >>> shorten("a\nb")
    'a\\nb'
    >>> len(shorten("x" * 10_000_000)) < 160
    True
    >>> shorten("\x00" * 10, 8)
    '\\x00\\x00… (10 characters)'
    """
    text = str(value)
    clean = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text[:limit])
    return clean if max(len(text), len(clean)) <= limit else f"{clean[:limit]}… ({len(text)} characters)"
