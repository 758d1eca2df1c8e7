"""The one list of parsers to fuzz: good examples, and a check that takes any bytes, holds what must hold, and raises nothing but that.

Checks are those of the parsers' own tests where these take one input. Collectors without an entry are in `NONE`, with the reason.
"""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from grayscope import plugins
from grayscope.agenda import Agenda
from grayscope.errors import GrayscopeError
from grayscope.event import Event
from grayscope.feedback import Answer, answers
from grayscope.frames import decode, encode
from grayscope.maintenance import Work
from grayscope.roster import RosterRow
from grayscope.told import read_lines


class Parser(NamedTuple):
    """One parser."""

    name: str
    examples: tuple[bytes, ...]
    check: Callable[[bytes], None]


#: Collectors that parse no text of their own.
NONE = {
    "nvml": "structures of a library; `test_nvmlfields` gives any value to any field",
    "prometheus": "answers are JSON, their names and values those of `exporter`; tested against a real and a fake server",
    "table": "columns of any table: read by polars, tested by themselves",
    "memory": "single numbers in files: `test_hosttrees` puts anything into them",
    "openmetrics": "the text that `exporter` reads",
    "inspector": "the lines that `nccl` reads",
}


def own(module: str) -> Any:
    """Return a module of collectors."""
    return import_module(f"grayscope.collectors.{module}")


def suite(name: str) -> Any:
    """Return a module of tests."""
    return import_module(f"tests.collectors.test_{name}")


def checked(name: str, test: str, examples: Sequence[bytes | str], *, as_bytes: bool = False) -> Parser:
    """Return a parser whose check is what a property-based test does with one input."""
    inner = getattr(suite(name), test).hypothesis.inner_test
    good = tuple(e if isinstance(e, bytes) else e.encode() for e in examples)
    return Parser(name, good, inner if as_bytes else lambda data: inner(data.decode("utf-8", "replace")))


def politely(read: Callable[[bytes], Any]) -> Callable[[bytes], None]:
    """Return a check: something is read, or one line says why not."""

    def check(data: bytes) -> None:
        try:
            read(data)
        except GrayscopeError as error:
            said = str(error)
        else:
            said = ""
        assert len(said) < 600, said
        assert "\n" not in said, said

    return check


def parsers() -> list[Parser]:
    """Return all parsers, by name."""
    return sorted([*_machine(), *_tools(), *_workload(), *_people(), *_ours()], key=lambda p: p.name)


def _machine() -> list[Parser]:
    bonding, disks, pcie, host, fabric, lines, frames, log = map(
        suite, ("bonding", "diskstats", "pcie", "host", "fabric", "kernlines", "kernframes", "kernellog")
    )
    whole = f"[  1.0] {log.LOST}\n{log.ISO.format(1, log.UUID)}\n6,1,2,-;x\n"
    return [
        checked("bonding", "test_any_text_is_read", (bonding.GOOD, bonding.CHURNED, bonding.BACKUP)),
        checked("diskstats", "test_any_text_is_read", (disks.OLD, disks.NEW)),
        checked("pcie", "test_any_text_gives_counts", (pcie.NEW.format(1, 2), pcie.OLD, pcie.NONFATAL.format(3))),
        checked("host", "test_any_text_gives_numbers_or_none", (host.STAT.format(1, 2, 3), host.PSI.format(1, 2))),
        checked("fabric", "test_any_text_is_a_state_and_a_rate_or_none", (fabric.RATE, "4: ACTIVE")),
        checked("kernlines", "test_any_line_means_something_or_nothing", [line for line, *_ in lines.LINES]),
        checked("kernframes", "test_any_line_is_read_or_refused", [line for line, *_ in frames.GOOD]),
        checked("nvmelog", "test_any_bytes_are_read_or_refused", (bytes(512), bytes([0, 54, 1, 100, 10, 3]) + bytes(506)), as_bytes=True),
        Parser("kernel", suite("kernel").RECORDS, _Ring()),
        Parser("kernellog", (whole.encode(),), _on_disk(lambda path: plugins.collector("kernellog", [path], zone=log.UTC)._file(path))),
    ]


class _Ring:
    """Records of the kernel's ring, to one collector that gets them all."""

    def __init__(self) -> None:
        self.collector: Any = None

    def __call__(self, data: bytes) -> None:
        if self.collector is None:
            self.ring, root = suite("kernel").FakeRing(), Path(tempfile.mkdtemp())
            (root / "dev").mkdir()
            (root / "dev" / "kmsg").touch()
            self.collector = plugins.collector("kernel", root, clock=lambda: suite("kernel").BOOT, read=self.ring)
        suite("kernel").test_any_bytes_are_read.hypothesis.inner_test((self.collector, self.ring), [data])


def _on_disk(read: Callable[[Path], Any]) -> Callable[[bytes], None]:
    path = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None), "n1.log")

    def check(data: bytes) -> None:
        path.write_bytes(data)
        read(path)

    return politely(check)


def _tools() -> list[Parser]:
    smi, dcgmi, rocm, ipmi, gpud, sentinel, bmc = map(suite, ("nvidiasmi", "dcgmi", "rocm", "ipmi", "gpud", "nvsentinel", "redfish"))
    parsing, jsons = own("ipmi"), own("_jsons")

    def sensors(data: bytes) -> None:
        for sensor in parsing.listing(data, "f")[0]:
            place, _, value = parsing.meaning(sensor)
            assert place.isprintable(), place
            assert abs(value) < 1e13, value

    def answers(data: bytes) -> None:
        source = plugins.collector("gpud", ["x"])
        for answer in jsons.documents(data, "x"):
            if isinstance(answer, dict):
                source._machine("n1", answer.get("gpuInfo"))
                assert all(e.text.isprintable() for time, node, read in source._told([("n1", 0, answer)]) for e in read(time, node))

    def events(data: bytes) -> None:
        source = plugins.collector("nvsentinel", ["x"])
        assert all(e.subject.isprintable() for found in source._events(data, "f") for e in source.read(found, 0, "n1"))

    def chassis(data: bytes) -> None:
        try:
            resources = json.loads(data)
        except (ValueError, RecursionError):
            return
        if isinstance(resources, dict):
            found = own("_chassis").survey(lambda path: r if isinstance(r := resources.get(path), dict) else {}, ["/redfish/v1/Chassis/1"])
            assert all(abs(v) < float("inf") for v in found.numbers.values()), found.numbers

    services = tuple(json.dumps(copy.deepcopy(made())).encode() for made in (bmc.modern, bmc.older))
    return [
        checked("nvidiasmi", "test_no_mutation_crashes_the_parser", smi.GOOD, as_bytes=True),
        checked("dcgmi", "test_no_mutation_crashes_the_parser", (dcgmi.DMON, dcgmi.REPORT, dcgmi.DIAG, json.dumps(dcgmi.JSON)), as_bytes=True),
        checked("rocm", "test_no_mutation_crashes_the_parser", (rocm.output(card0=rocm.card()),), as_bytes=True),
        Parser("ipmi", tuple(t.encode() for t in (ipmi.SENSOR, ipmi.ELIST, ipmi.FREE, ipmi.COMMA)), politely(sensors)),
        Parser("gpud", tuple(json.dumps(a).encode() for a in gpud.ANSWERS), politely(answers)),
        Parser("nvsentinel", (json.dumps(sentinel.XID).encode(), json.dumps(sentinel.at(1)).encode()), politely(events)),
        Parser("redfish", services, politely(chassis)),
    ]


def _workload() -> list[Parser]:
    inspector, ras, log, prom, logs, nvrx, bench, steps, kineto = map(
        suite, ("ncclinspector", "ncclras", "nccllog", "ncclprom", "nccltests", "nvrx", "superbench", "steps", "kineto")
    )
    ranks = ras.status(ras.rank(0), ras.rank(1), lost=(ras.missing(2), ras.missing(3, dead=True)))
    traces = [json.dumps(kineto.trace(1, steps=2)), json.dumps(kineto.trace(0, steps=1, seq=False))]
    take = partial(checked, as_bytes=True)
    return [
        take(
            "ncclinspector",
            "test_any_line_is_a_record_or_counted",
            (inspector.line({}), inspector.line({"event_trace_ts": inspector.TRACE}), inspector.marker(3)),
        ),
        take("ncclras", "test_any_answer_is_ranks_or_one_error", (b"OK\n" + ranks,)),
        take("nccllog", "test_any_line_is_read", (log.HEAD + log.FAILED, log.WARN + log.RETRY, log.HEAD + log.ASYNC)),
        take("ncclprom", "test_any_line_is_a_sample_or_not", prom.TEXT.splitlines()),
        take("nccltests", "test_any_log_is_read_without_an_error", (logs.log(), logs.OLD)),
        take("nvrx", "test_any_log_is_read_without_an_error", (nvrx.report(head="2026-01-01T00:00:00Z "), nvrx.report() + nvrx.WARNING)),
        take("superbench", "test_any_line_is_read_or_counted", (bench.result(), bench.SAMPLE)),
        take("steps", "test_any_line_is_a_step_or_an_error_that_is_counted", (json.dumps(steps.LINE),)),
        take("kineto", "test_any_file_is_a_trace_or_one_error", traces),
    ]


def _people() -> list[Parser]:
    slurm, roster, nodes = suite("slurm"), suite("rosterfile"), own("kubernetes")

    def records(data: bytes) -> None:
        facts = own("slurm").Facts()
        for kind, fields in own("_scontrol").records(data, "f"):
            facts.take(kind, fields, "f")
        assert all(row.subject.isprintable() for row in facts.rows())

    def rows(data: bytes) -> None:
        module = own("rosterfile")
        parse = module.parse_toml if data[:1] == b"[" else module.parse_csv
        for subjects, keys, where in parse(data, "f"):
            assert all(module.row(s, keys, where).subject for s in module.expand(subjects, where))

    def words(data: bytes) -> None:
        events, problems = read_lines(data, "f")
        agenda = Agenda()
        for event in (*events, *(Event(9, "n1", "maintenance", code, data.decode("utf-8", "replace")) for code in ("begin", "end"))):
            agenda.take(event)
        assert all(w.note.isprintable() and w.until() >= w.start for w in agenda.works.values())
        assert all(a.note.isprintable() for a in answers(events).values())
        assert len(problems) <= data.count(b"\n") + 1

    said = [Work("n1", 0, 9_000_000, "a note").event(5), Work("n2/gpu0", 5, 9, closed=True).event(7), Answer("ab12", "n1", True, 9, "dead").event(9)]
    rest = json.dumps({"nodes": [{"name": "n1", "state": ["IDLE"], "gres": "gpu:8"}], "jobs": [{"job_id": 1, "nodes": "n1", "gres_detail": []}]})
    node = {"kind": "Node", "metadata": {"name": "a", "labels": {"topology.kubernetes.io/zone": "z"}}, "spec": {"unschedulable": True}}
    return [
        Parser("slurm", tuple(t.encode() for t in (slurm.NODES, slurm.JOBS, slurm.TOPOLOGY, rest)), politely(records)),
        Parser("hostlist", (b"n[01-03,7],gpu[1-2]-x", b"n1,n2"), politely(lambda data: own("_hostlist").expand(data.decode("utf-8", "replace")))),
        Parser("maintenance", (b"\n".join(map(encode, said)), said[0].text.encode()), words),
        Parser("rosterfile", (roster.TOML.encode(), roster.CSV.encode()), politely(rows)),
        Parser(
            "kubernetes", tuple(json.dumps(d).encode() for d in (node, {"kind": "List", "items": [node, node]})), politely(lambda data: nodes.parse(data, "f"))
        ),
    ]


def _ours() -> list[Parser]:
    """Return what takes in metrics from exporters, pickles from anybody, and frames from our own spool."""
    import pickle

    text = f"# TYPE DCGM_FI_DEV_GPU_TEMP gauge\nDCGM_FI_DEV_GPU_TEMP{{{suite('exposition').GPU}}} 42 1700000000000\nnode_load1 1e3\n"
    dump = pickle.dumps({"version": "2.5", "entries": [{"profiling_name": "nccl:all_reduce", "time": 1.5, "sizes": ((1, 2),), "done": True, "more": None}]}, 2)
    return [
        Parser("exporter", (text.encode(),), lambda data: suite("exposition").Reader().cells(data) and None),
        Parser("flightrecorder", (dump,), politely(lambda data: own("_pickle").plain(data, "f"))),
        Parser("frames", (encode(Event(5, "n1", "xid", "94")), encode((RosterRow("n1", "node", 1),))), politely(decode)),
    ]
