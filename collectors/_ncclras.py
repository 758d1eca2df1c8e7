"""RAS: one question to NCCL's RAS thread of this node: how far every rank of every communicator has come.

A conversation of lines over TCP: protocol, format, time limit, then VERBOSE STATUS, after which the server closes. Nothing that
changes a job (`CONTROL`) is ever sent. Sources: NCCL user guide, "RAS"; NVIDIA/nccl
src/ras/client_support.cc; JSON since 2.28.7.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any, NamedTuple

from grayscope.errors import GrayscopeError, InputError, shorten

from ._ncclinspector import clean

#: Largest answer; communicators and ranks that are looked at.
LARGEST, COMMS, RANKS = 64 << 20, 4096, 1 << 20
QUESTIONS = ("CLIENT PROTOCOL 2", "TIMEOUT {seconds}", "SET FORMAT json")


class Seen(NamedTuple):
    """One rank of a communicator. `done` is how many collectives it has counted there; -1 for one that does not answer.

    `host` is the address at which the process's RAS thread listens, not a name; `pid` is -1 where RAS has forgotten the process.
    """

    comm: str
    member: int
    size: int
    host: str
    pid: int
    gpu: int
    done: int
    dead: bool = False


class Refused(GrayscopeError):
    """Nobody listens: no job with RAS runs here now."""


def ask(address: tuple[str, int], timeout: float = 3.0) -> list[Seen]:
    """Return what the RAS thread at `address` knows.

    Raises
    ------
    Refused
        Nobody listens.
    GrayscopeError
        Too slow, too old for JSON, or no answer in the published form: says what was found.
    """
    deadline = time.monotonic() + timeout
    try:
        with socket.create_connection(address, timeout) as connection:
            return read(_answer(connection, deadline, timeout), f"RAS at {address[0]}:{address[1]}")
    except ConnectionRefusedError as error:
        raise Refused(f"RAS: nobody listens at {address[0]}:{address[1]}") from error
    except (OSError, UnicodeError) as error:
        raise GrayscopeError(f"RAS at {address[0]}:{address[1]}: {shorten(error)}") from error


def _answer(connection: socket.socket, deadline: float, timeout: float) -> bytes:
    kept = b""
    for question in QUESTIONS:
        connection.sendall(question.format(seconds=max(1, int(timeout))).encode() + b"\n")
        line, kept = _line(connection, kept, deadline)
        if line.upper().startswith(b"ERROR"):
            raise GrayscopeError(f"RAS: {question}: {shorten(line.decode('utf-8', 'replace'))} (JSON needs NCCL 2.28.7 or later)")
    connection.sendall(b"VERBOSE STATUS\n")
    parts, total = [kept], len(kept)
    while block := _receive(connection, deadline):
        parts.append(block)
        total += len(block)
        if total > LARGEST:
            raise InputError.at("RAS", "answer", f"at most {LARGEST} bytes", "more")
    return b"".join(parts)


def _line(connection: socket.socket, kept: bytes, deadline: float) -> tuple[bytes, bytes]:
    while b"\n" not in kept:
        block = _receive(connection, deadline)
        if not block or len(kept) > 1 << 16:
            raise InputError.at("RAS", "answer", "a line", kept[:40])
        kept += block
    line, _, rest = kept.partition(b"\n")
    return line.strip(), rest


def _receive(connection: socket.socket, deadline: float) -> bytes:
    left = deadline - time.monotonic()
    if left <= 0:
        raise GrayscopeError("RAS: no whole answer in time")
    connection.settimeout(left)
    return connection.recv(1 << 16)


def read(answer: bytes, where: str = "RAS") -> list[Seen]:
    """Return the ranks in an answer; lines before the JSON (``OK``) are passed over.

    Raises
    ------
    InputError
        No JSON object, or a field of the wrong type.

    Examples
    --------
    >>> answer = (
    ...     b'OK\\n{"communicators":[{"hash":"0x9f","size":2,"ranks":[{"rank":0,"host":"10.0.0.17","pid":42,"cuda_dev":0,"nvml_dev":3,'
    ...     b'"collective_counts":{"AllReduce":1201,"Broadcast":2}}],"missing_ranks":[{"rank":1,"host":"10.0.0.18","pid":9,"nvml_dev":0}]}]}'
    ... )
    >>> [(s.host, s.gpu, s.done) for s in read(answer)]
    [('10.0.0.17', 3, 1203), ('10.0.0.18', 0, -1)]
    """
    text = answer.decode("utf-8", "replace")
    start = text.find("{")
    try:
        document, _ = json.JSONDecoder().raw_decode(text, start) if start >= 0 else (None, 0)
        if not isinstance(document, dict):
            raise InputError.at(where, "answer", "a JSON object", text[:60])
        found: list[Seen] = []
        for comm in document["communicators"][:COMMS]:
            found += _ranks(comm)
            if len(found) > RANKS:
                raise InputError.at(where, "ranks", f"at most {RANKS}", len(found))
        return found
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise InputError.at(where, "answer", "communicators with ranks", f"{type(error).__name__}: {shorten(error, 60)}") from error


def _ranks(comm: Mapping[str, Any]) -> list[Seen]:
    name, size = clean(str(comm["hash"])), int(comm["size"])
    there = [_seen(name, size, r, sum(max(0, int(n)) for n in (r.get("collective_counts") or {}).values())) for r in comm.get("ranks") or []]
    return there + [_seen(name, size, r, -1) for r in comm.get("missing_ranks") or []]


def _seen(comm: str, size: int, rank: Mapping[str, Any], count: int) -> Seen:
    dead = bool((rank.get("status") or {}).get("considered_dead"))
    host, pid, gpu = clean(str(rank["host"])), int(rank["pid"]), int(rank.get("nvml_dev", -1))
    if not (0 <= int(rank["rank"]) < size <= 1 << 24 and -1 <= pid < 1 << 31 and -1 <= gpu < 1024 and count < 1 << 62):
        raise ValueError(f"rank {shorten(rank, 60)}")
    return Seen(comm, int(rank["rank"]), size, host, pid, gpu, count, dead)


def addresses(root: str | Path = "/") -> set[str]:
    """Return the addresses of this machine, as the kernel lists them; none where it does not.

    Sources: proc(5): ``net/fib_trie`` (``/32 host LOCAL`` behind an address), ``net/if_inet6``.
    """
    found, last = set[str](), ""
    for line in _lines(Path(root) / "proc/net/fib_trie"):
        if line.startswith("|-- "):
            last = line[4:]
        elif line.startswith("/32 host LOCAL"):
            found.add(last)
    for line in _lines(Path(root) / "proc/net/if_inet6"):
        with suppress(ValueError):
            found.add(str(IPv6Address(int(line[:32], 16))))
    return found


def _lines(path: Path) -> list[str]:
    try:
        with path.open("r", encoding="ascii", errors="replace") as file:
            return [line.strip() for line in file.readlines(1 << 24)]
    except OSError:
        return []


def several(seen: list[Seen]) -> set[tuple[str, int]]:
    """Return the processes (host, pid) that are more than one rank of a communicator: one for several GPUs."""
    count: dict[tuple[str, str, int], int] = {}
    for rank in seen:
        key = (rank.comm, rank.host, rank.pid)
        count[key] = count.get(key, 0) + 1
    return {(host, pid) for (_, host, pid), n in count.items() if n > 1}
