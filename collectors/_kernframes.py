"""Kernframes: how logs write down when and where a kernel line was said: kmsg, dmesg in four forms, syslog in two, journal JSON, Fabric Manager."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple

SECOND = 1_000_000
KMSG = re.compile(r"(\d{1,6}),(\d{1,20}),(\d{1,20}),[^;]{0,64};(.*)", re.ASCII)
PSTORE = re.compile(r"<\d{1,3}>(?:\[ {0,8}(\d{1,10}\.\d{1,9})\])? ?(.*)", re.ASCII)
UPTIME = re.compile(r"\[ {0,8}(\d{1,10}\.\d{1,9})\](?:\[ *[TC]\d{1,10}\])? ?(.*)", re.ASCII)
CALENDAR = re.compile(r"\[(?:[A-Z][a-z]{2} )?([A-Z][a-z]{2}) {1,2}(\d{1,2}) (?:(\d{4}) )?(\d\d:\d\d:\d\d)(?: (\d{4}))?\] ?(.*)", re.ASCII)
ISO = re.compile(r"(?:(\w{1,8}) {0,4}:\w{1,8} {0,4}: )?(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?):? (.*)", re.ASCII)
SYSLOG5424 = re.compile(r"<\d{1,3}>1 (\S{1,40}) (\S{1,255}) (\S{1,48}) \S{1,128} \S{1,32} (?:-|\[.{0,512}?\]) ?(.*)", re.ASCII)
SYSLOG3164 = re.compile(r"(?:<\d{1,3}>)?([A-Z][a-z]{2}) {1,2}(\d{1,2}) (\d\d:\d\d:\d\d) (\S{1,255}) (.*)", re.ASCII)
TAGGED = re.compile(r"(\S{1,255}) ([\w./\-]{1,64})(?:\[\d{1,10}\])?: (.*)", re.ASCII)
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
#: Who speaks for the kernel, or for what the kernel does not see.
SPEAKERS = ("kernel", "nv-fabricmanager", "nvidia-fabricmanager")


class Frame(NamedTuple):
    """A line without its frame.

    Parameters
    ----------
    time : int or None
        Microseconds since 1970.
    uptime : int or None
        Microseconds since boot, where that is all there is.
    node, boot : str
        ``""`` where the frame does not tell.
    """

    text: str
    time: int | None = None
    uptime: int | None = None
    node: str = ""
    boot: str = ""


class Refused(Exception):
    """A line that is not the kernel's, or whose time nobody can tell; its text is the reason to count."""


class Frames:
    """Reads frames.

    Parameters
    ----------
    zone : tzinfo, optional
        Of local times that name none; without it such lines are refused, for an hour's error would join what does not belong together.
    latest : datetime, optional
        When the log was last written: gives years to times that have none.
    """

    def __init__(self, zone: tzinfo | None = None, latest: datetime | None = None) -> None:
        self.zone = zone
        self.latest = latest or datetime.now(UTC)

    def read(self, line: str) -> Frame:
        """Return a line without its frame; a line that has none is all text.

        Raises
        ------
        Refused
            Its text is the reason.

        Examples
        --------
        >>> frames = Frames()
        >>> frames.read("6,3964,206764307,-;NVRM: loading"), frames.read("[    1.5] text").uptime
        (Frame(text='NVRM: loading', time=None, uptime=206764307, node='', boot=''), 1500000)
        >>> frames.read("kern  :warn  : 2025-01-21T04:41:44,285060+00:00 VFS: full").time
        1737434504285060
        """
        if line.startswith("{"):
            return self._journal(line)
        if (m := KMSG.match(line)) is not None:
            # Anybody with root may write into the ring; the facility tells who did.
            if int(m[1]) >> 3:
                raise Refused("not_kernel")
            return Frame(m[4], uptime=int(m[3]))
        if (m := UPTIME.match(line)) is not None:
            return Frame(m[2], uptime=_micro(m[1]))
        if (m := PSTORE.match(line)) is not None and not SYSLOG3164.match(line) and not SYSLOG5424.match(line):
            return Frame(m[2], uptime=_micro(m[1]) if m[1] else None)
        if (m := CALENDAR.match(line)) is not None:
            return Frame(m[6], time=self._local(m[1], m[2], m[4], m[3] or m[5]))
        return self._syslog(line)

    def _syslog(self, line: str) -> Frame:
        if (m := SYSLOG5424.match(line)) is not None:
            return Frame(_spoken(m[3], m[4]), time=self._iso(m[1]), node=_node(m[2]))
        if (m := SYSLOG3164.match(line)) is not None:
            tag, _, text = m[5].partition(": ")
            return Frame(_spoken(tag.partition("[")[0], text), time=self._local(m[1], m[2], m[3], None), node=_node(m[4]))
        if (m := ISO.match(line)) is not None:
            return self._stamped(m[1], m[2], m[3])
        return Frame(line)

    def _stamped(self, facility: str | None, stamp: str, text: str) -> Frame:
        """Return a line of dmesg or of a syslog daemon that writes whole dates: only dmesg has a comma before the fraction."""
        if facility not in (None, "kern"):
            raise Refused("not_kernel")
        tagged = TAGGED.match(text) if facility is None and "," not in stamp else None
        if tagged is not None and not tagged[1].endswith(":"):
            return Frame(_spoken(tagged[2], tagged[3]), time=self._iso(stamp), node=_node(tagged[1]))
        return Frame(text, time=self._iso(stamp))

    def _journal(self, line: str) -> Frame:
        try:
            told = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise Refused("bad_json") from error
        if not isinstance(told, dict):
            raise Refused("bad_json")
        if told.get("source") == "grayscope":
            raise Refused("own_output")
        if told.get("_TRANSPORT", "kernel") != "kernel" and told.get("SYSLOG_IDENTIFIER") not in SPEAKERS[1:]:
            raise Refused("not_kernel")
        text, stamp = told.get("MESSAGE"), told.get("__REALTIME_TIMESTAMP", told.get("_SOURCE_REALTIME_TIMESTAMP"))
        if isinstance(text, list) and all(isinstance(c, int) and 0 <= c < 256 for c in text):
            text = bytes(text).decode("utf-8", "replace")
        if not isinstance(text, str):
            raise Refused("bad_json")
        number = str(stamp) if isinstance(stamp, (str, int)) and not isinstance(stamp, bool) else ""
        boot, node = told.get("_BOOT_ID"), told.get("_HOSTNAME")
        return Frame(
            text, time=int(number) if re.fullmatch(r"[0-9]{1,17}", number) else None, node=_node(node) if isinstance(node, str) else "",
            boot=boot[:64] if isinstance(boot, str) else "",
        )  # fmt: skip

    def _iso(self, text: str) -> int:
        try:
            # Older interpreters of the format know no comma, and no more than six digits.
            when = datetime.fromisoformat(re.sub(r"([.,]\d{6})\d+", r"\1", text).replace(",", "."))
        except ValueError as error:
            raise Refused("bad_time") from error
        return self._stamp(when)

    def _local(self, month: str, day: str, clock: str, year: str | None) -> int:
        if month not in MONTHS:
            raise Refused("bad_time")
        hours, minutes, seconds = map(int, clock.split(":"))
        try:
            when = datetime(int(year or self.latest.year), MONTHS.index(month) + 1, int(day), hours, minutes, min(seconds, 59))
            if year is None and when.replace(tzinfo=self.zone or UTC) > self.latest + timedelta(days=1):
                when = when.replace(year=when.year - 1)
        except ValueError as error:
            raise Refused("bad_time") from error
        return self._stamp(when)

    def _stamp(self, when: datetime) -> int:
        if when.tzinfo is None:
            if self.zone is None:
                raise Refused("no_zone")
            when = when.replace(tzinfo=self.zone)
        try:
            # Whole numbers: a float of microseconds loses the last ones.
            return (when - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
        except OverflowError as error:
            raise Refused("bad_time") from error


def _micro(text: str) -> int:
    seconds, _, part = text.partition(".")
    return int(seconds) * SECOND + int(part[:6].ljust(6, "0"))


def _spoken(speaker: str, text: str) -> str:
    """Return what the kernel said through a syslog daemon, without the time since boot that it may begin with."""
    if speaker not in SPEAKERS:
        raise Refused("not_kernel")
    found = UPTIME.match(text)
    return found[2] if found is not None else text


def _node(text: str) -> str:
    return "".join(c if c.isprintable() and c != "/" else "_" for c in text)[:200]
