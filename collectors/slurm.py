"""Slurm: which job is on which node and GPU, and which node hangs on which switch, as the scheduler tells it."""

from __future__ import annotations

import platform
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from grayscope.errors import GrayscopeError, InputError, Unsupported, UsageError
from grayscope.message import Message
from grayscope.roster import RosterRow

from ._hostlist import expand
from ._http import check_url, fetch
from ._scontrol import LARGEST, records

#: Where slurmstepd keeps a job's processes (cgroup v2, v1), and files per GPU that hold job ids (dcgm-exporter's `DCGM_HPC_JOB_MAPPING_DIR`).
STEPS = ("sys/fs/cgroup/system.slice/slurmstepd.scope", "sys/fs/cgroup/system.slice/*_slurmstepd.scope", "sys/fs/cgroup/memory/slurm*/uid_*")
JOB = re.compile(r"job_([0-9]{1,12})")
INDEX = re.compile(r"IDX:([0-9,\-]*)")
GRES = re.compile(r"gpu(?::([A-Za-z0-9_.\-]+))?:([0-9]+)")
#: Names that all host lists of one look may stand for: short lists in many records must not fill the memory.
MOST = 2_000_000
LOOPBACK = ("127.0.0.1", "::1", "localhost")
#: States of a job that occupies its nodes.
HOLDS = ("RUNNING", "COMPLETING", "SUSPENDED")


class Slurm:
    """Reads what the scheduler says; `collect` returns roster rows of nodes, GPUs and jobs.

    Without files and URLs it looks at this node alone: control groups that `slurmstepd` made name the jobs on it, files of
    `mapping` the job of each GPU. Reads directory names only, no privilege, well below 1 ms. Several jobs on one node cannot be told
    apart by part without `mapping`, nor which nodes a job has elsewhere.

    With `files` (``scontrol show node``, ``show job -d``, ``show topology``, in any order) or `urls` (slurmrestd's ``/nodes``,
    ``/jobs``) it knows the whole cluster. Nothing is executed: whoever may ask the controller writes the files, as often as it likes.
    Keys: node partition, state, leaf, spine, block, gpus, sku, job (if it is the only one there); gpu job; job partition, nodes.

    Parameters
    ----------
    files : sequence of path
    urls : sequence of str
    root : path
        Where `/sys` is found.
    mapping : path
        Folder of files named by the GPU's index, each with job ids; empty for none.
    token : str
        File that holds slurmrestd's token, sent as ``X-SLURM-USER-TOKEN``, over https or to this machine only.

    Raises
    ------
    Unsupported
        Nothing is configured and no Slurm job can be seen on this machine.

    Notes
    -----
    Sources of names: scontrol(1) and topology.conf(5) of Slurm; slurmrestd OpenAPI; dcgm-exporter, "HPC job mapping".
    """

    def __init__(
        self, files: Sequence[str | Path] = (), *, urls: Sequence[str] = (), node: str = "", root: str | Path = "/", mapping: str | Path = "", token: str = "",
        timeout: float = 5.0, clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self.files = [Path(f) for f in ([files] if isinstance(files, str | Path) else files)]
        self.urls = [check_url(u) for u in ([urls] if isinstance(urls, str) else urls)]
        self.node, self.root, self.mapping, self.token = node or platform.node(), Path(root), Path(mapping) if mapping else None, token
        self.timeout, self.clock = timeout, clock
        self.rejected: dict[str, int] = {}
        self.last_error = ""
        self._before: dict[str, RosterRow] = {}
        if token and any(urlsplit(u).scheme == "http" and urlsplit(u).hostname not in LOOPBACK for u in self.urls):
            raise UsageError("slurm: expected https URLs, as a token goes along")
        if not (self.files or self.urls or self.mapping or any(any(self.root.glob(step)) for step in STEPS)):
            raise Unsupported("no Slurm job was ever started on this machine (no slurmstepd control group): configure files, urls or mapping")

    def collect(self) -> list[Message]:
        """Return one message of roster rows, none where nothing could be read (counted)."""
        facts, failed = Facts(), sum(self.rejected.values())
        documents: list[tuple[str, Callable[[], bytes]]] = [(str(f), f.read_bytes) for f in self.files]
        documents += [(u, partial(self._fetch, u)) for u in self.urls]
        for where, read in documents:
            try:
                for kind, fields in records(read(), where):
                    facts.take(kind, fields, where)
            except (OSError, GrayscopeError) as error:
                self._reject("unreadable", f"{where}: {error}" if isinstance(error, OSError) else str(error))
        if not (self.files or self.urls):
            self._here(facts)
        rows = tuple(facts.rows())
        if failed == sum(self.rejected.values()):  # else a job that is not told may run all the same
            rows += tuple(self._ended(rows))
        return [rows] if rows else []

    def _ended(self, rows: Sequence[RosterRow]) -> Iterator[RosterRow]:
        """Yield what was told before and is not any more: jobs that ended, parts that have no job now."""
        told = {row.subject for row in rows}
        now = int(self.clock() * 1e6)
        for subject, row in self._before.items():
            if subject not in told:
                free = {key: value for key, value in row.keys.items() if key != "job"}
                yield replace(row, until=now) if row.table == "job" else replace(row, keys=free)
        self._before = {row.subject: row for row in rows}

    def _fetch(self, url: str) -> bytes:
        headers = {"X-SLURM-USER-TOKEN": Path(self.token).read_text("utf-8").strip()} if self.token else {}
        return fetch(url, headers=headers, timeout=self.timeout, limit=LARGEST)[0]

    def _here(self, facts: Facts) -> None:
        """Read the jobs of this node off its control groups, and of its GPUs off the mapping."""
        facts.nodes.setdefault(self.node, {})
        paths = (p for step in STEPS for scope in self.root.glob(step) for p in scope.glob("job_*"))
        facts.running[self.node] |= {m[1] for p in paths if (m := JOB.fullmatch(p.name))}
        try:
            files = sorted(self.mapping.iterdir())[:4096] if self.mapping else []
        except OSError as error:
            self._reject("unreadable", f"{self.mapping}: {error.strerror}")
            return
        for file in files:
            if file.name.isdigit() and file.is_file():
                with file.open("rb") as stream:
                    ids = stream.read(4096).decode("ascii", "replace").split()
                facts.gpus[f"{self.node}/gpu{int(file.name)}"] = ids[0] if len(ids) == 1 and ids[0].isalnum() else ""

    def _reject(self, reason: str, said: str) -> None:
        self.rejected[reason] = self.rejected.get(reason, 0) + 1
        self.last_error = said


class Facts:
    """What several documents say together: jobs may come before their nodes, and both before the switches."""

    def __init__(self) -> None:
        self.nodes: dict[str, dict[str, str]] = {}
        self.running: dict[str, set[str]] = defaultdict(set)
        self.gpus: dict[str, str] = {}
        self.jobs: dict[str, dict[str, str]] = {}
        self._left = MOST

    def take(self, kind: str, fields: Mapping[str, str], where: str) -> None:
        """Add one record.

        Raises
        ------
        InputError
            A list of hosts that is none, a level that is no number, a job without its state.
        """
        if kind == "node":
            self._node(fields)
        elif kind == "job":
            self._job(fields, where)
        else:
            self._switch(kind, fields, where)

    def _names(self, text: str, where: str) -> list[str]:
        names = [_safe(name) for name in expand(text.replace("(null)", ""), where)]
        self._left -= len(names)
        if self._left < 0:
            raise InputError.at(where, "names of all host lists", f"at most {MOST}", "more")
        return names

    def _node(self, fields: Mapping[str, str]) -> None:
        gres = GRES.search(fields.get("Gres", ""))
        keys = {"partition": fields.get("Partitions", ""), "state": fields.get("State", "").lower(), "sku": (gres[1] or "") if gres else ""}
        keys["gpus"] = gres[2] if gres else ""
        self.nodes.setdefault(_safe(fields["NodeName"]), {}).update({k: _safe(v) for k, v in keys.items() if v})

    def _job(self, fields: Mapping[str, str], where: str) -> None:
        if "JobState" not in fields:
            raise InputError.at(where, f"job {fields['JobId']}: JobState", "a line that begins with it, as without --oneliner", "none")
        if not fields["JobState"].startswith(HOLDS):
            return
        job = _safe(fields["JobId"])
        names = self._names(fields.get("NodeList", ""), f"{where}: job {job}")
        self.jobs[job] = {"partition": _safe(fields.get("Partition", "")), "nodes": str(len(names))}
        for name in names:
            self.nodes.setdefault(name, {})
            self.running[name].add(job)
        for place in fields.get("GRES", "").split(";"):
            hosts, _, gres = place.strip().partition(" ")
            index = INDEX.search(gres)
            indices = self._names(f"[{index[1]}]", where)[:256] if index and index[1] else []
            for host in self._names(hosts, where) if indices else ():
                self.gpus |= {f"{host}/gpu{int(i)}": job for i in indices}

    def _switch(self, kind: str, fields: Mapping[str, str], where: str) -> None:
        if kind == "block":
            for name in self._names(fields.get("Nodes", ""), where):
                self.nodes.setdefault(name, {})["block"] = _safe(fields["BlockName"])
            return
        level = fields.get("Level", "0")
        if not level.isdigit() or len(level) > 3:
            raise InputError.at(where, f"switch {fields['SwitchName']}: Level", "a number", level)
        for name in self._names(fields.get("Nodes", ""), where):
            if int(level) < 2:
                self.nodes.setdefault(name, {})[("leaf", "spine")[int(level)]] = _safe(fields["SwitchName"])

    def rows(self) -> Iterator[RosterRow]:
        """Yield rows of nodes, GPUs and jobs, sorted."""
        for name, keys in sorted(self.nodes.items()):
            jobs = self.running.get(name, set())
            alone = {"job": next(iter(jobs))} if len(jobs) == 1 else {}
            yield RosterRow(name, "node", keys={"node": name, **keys, **alone})
        for name, job in sorted(self.gpus.items()):
            yield RosterRow(name, "gpu", keys={"node": name.partition("/")[0], "slot": name.rpartition("gpu")[2], **({"job": job} if job else {})})
        for job, keys in sorted(self.jobs.items()):
            yield RosterRow(f"job:{job}", "job", keys={k: v for k, v in keys.items() if v})


def _safe(text: str) -> str:
    """Return a value that can stand in a name: no separator, printable, bounded."""
    return "".join(c if c.isprintable() and c != "/" else "_" for c in text[:256])
