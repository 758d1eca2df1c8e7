"""People: which rank of which job a process is, and on which GPU: from what it was started with, RAS, or its folder's name."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

#: Of a process's environment only these are looked at, and at most so many bytes.
WANTED = ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "LOCAL_RANK", "SLURM_LOCALID", "OMPI_COMM_WORLD_LOCAL_RANK", "CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID")
LARGEST = 1 << 20
FOLDER = re.compile(r"nccl-inspector-(?!unknown)([A-Za-z0-9_.-]{1,64})")
#: Processes that are known at a time.
MOST = 1 << 16
#: Seconds of silence after which a process whose end cannot be seen is taken to be gone.
QUIET = 3600.0


@dataclass(slots=True)
class Person:
    """One rank, as far as it is known.

    Parameters
    ----------
    subject, job, host : str
    pid : int
    gpu : str
        Subject of its GPU, ``""`` where unknown.
    seen_alive : bool
        The process is in this machine's process table: its end will be noticed.
    heard : float
        When something was last heard of it, seconds.
    comms : dict of str to str
        Label of a group and the communicator that the process is a member of there.
    smallest, inner : (int, str)
        Size and name of its smallest communicator, and of the smallest whose members were all heard.
    """

    subject: str
    job: str
    host: str
    pid: int
    gpu: str = ""
    seen_alive: bool = False
    heard: float = 0.0
    comms: dict[str, str] = field(default_factory=dict)
    smallest: tuple[int, str] = (1 << 30, "")
    inner: tuple[int, str] = (1 << 30, "")

    def keys(self) -> dict[str, str]:
        """Return the roster keys; each group's label leads to its communicator."""
        known = {"job": self.job, "node": self.host, "role": "rank", **self.comms}
        return known | ({"gpu": self.gpu} if self.gpu else {}) | ({"comm": self.smallest[1]} if self.smallest[1] else {})


class People:
    """Names processes. A name once given stays.

    A process is `job:J/rN` where its environment can be read (same user, or root) and says its rank, else `job:J/HOST-PID`:
    positions in communicators are no ranks of the job. Process ids are those of the process's own name space; in containers
    that have one of their own they lead nowhere, and only names are poorer for it.

    Parameters
    ----------
    root : path
        Where ``proc`` is.
    host : str
        This machine, as its processes call it.
    job : str
        Job of all processes; else SLURM_JOB_ID, else the folder ``nccl-inspector-<job>``, else ``unknown``.
    """

    def __init__(self, root: str | Path, host: str, job: str = "") -> None:
        self.proc, self.host, self.job = Path(root) / "proc", host, job
        self.known: dict[tuple[str, int, int], Person] = {}
        self.jobs: dict[str, str] = {}
        self.now = 0.0

    def of(self, host: str, pid: int, lane: int = -1, folder: str = "") -> Person | None:
        """Return who a process is (with several GPUs: its `lane`), None if there are too many."""
        person = self.known.get((host, pid, lane))
        if person is None and len(self.known) < MOST:
            person = self.known[host, pid, lane] = self._meet(host, pid, lane, folder)
        if person is not None:
            person.heard = self.now
        return person

    def learn(self, folder: str, host: str, pid: int) -> None:
        """Learn a folder's job from one of its processes, if that is here: those on other machines are of the same job."""
        if folder not in self.jobs and host == self.host and len(self.jobs) < MOST:
            job = self._environment(pid).get("SLURM_JOB_ID", "")
            if job:
                self.jobs[folder] = job

    def place(self, host: str, pid: int, gpu: int) -> None:
        """Take note of the GPU that a process works on; with several GPUs in one process that says nothing."""
        person = self.known.get((host, pid, -1))
        if person is not None:
            person.gpu = f"{host}/gpu{gpu}"

    def alive(self, person: Person) -> bool:
        """Say whether a process of this machine is still there."""
        return person.seen_alive and (self.proc / str(person.pid)).is_dir()

    def leave(self, now: float) -> list[Person]:
        """Begin a look at `now`, seconds; return who is gone, and forget them: processes that ended, and others after an hour of silence."""
        self.now = now
        gone = [k for k, p in self.known.items() if (not self.alive(p) if p.seen_alive else now - p.heard > QUIET)]
        return [self.known.pop(k) for k in gone]

    def _meet(self, host: str, pid: int, lane: int, folder: str) -> Person:
        here = host == self.host
        said = self._environment(pid) if here else {}
        named = FOLDER.search(folder)
        job = self.job or said.get("SLURM_JOB_ID", "") or self.jobs.get(folder, "") or (named[1] if named else "") or "unknown"
        rank = next((said[n] for n in WANTED[:3] if said.get(n, "").isdecimal()), "") if lane < 0 else ""
        own = f"r{int(rank)}" if rank else f"{host}-{pid}" + (f"-{lane}" if lane >= 0 else "")
        gpu = gpu_of(said) if lane < 0 else ""
        return Person(f"job:{job}/{own}", job, host, pid, f"{host}/gpu{gpu}" if gpu else "", here and (self.proc / str(pid)).is_dir())

    def _environment(self, pid: int) -> dict[str, str]:
        try:
            with (self.proc / str(pid) / "environ").open("rb") as file:
                data = file.read(LARGEST)
        except OSError:
            return {}
        pairs = (p.partition(b"=") for p in data.split(b"\0"))
        said = {n.decode("ascii", "replace"): v.decode("ascii", "replace")[:64] for n, _, v in pairs}
        return {n: said[n] for n in WANTED if re.fullmatch(r"[A-Za-z0-9_.,-]+", said.get(n, ""))}


def gpu_of(said: dict[str, str]) -> str:
    """Return the number of the GPU that a process was given, ``""`` where that cannot be said.

    Examples
    --------
    >>> gpu_of({"LOCAL_RANK": "1"}), gpu_of({"LOCAL_RANK": "1", "CUDA_VISIBLE_DEVICES": "4,6"}), gpu_of({"CUDA_VISIBLE_DEVICES": "GPU-5ab"})
    ('1', '6', '')
    """
    local = next((said[n] for n in WANTED[3:6] if said.get(n, "").isdecimal()), "")
    visible = said.get("CUDA_VISIBLE_DEVICES", "")
    if not visible:
        return local and str(int(local))
    shown = visible.split(",")
    at = 0 if len(shown) == 1 else int(local) if local else -1
    return shown[at] if 0 <= at < len(shown) and re.fullmatch(r"[0-9]{1,4}", shown[at]) else ""
