"""Every captured file has an owner or is nobody's by name; owners read their files, or refuse them in one polite line."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from grayscope import plugins
from grayscope.errors import GrayscopeError
from grayscope.tracewriter import TraceWriter
from tests.captured import BELONGS, NOBODY
from tests.hosttree import values

chassis: Any = __import__("grayscope.collectors._chassis", fromlist=["survey"])
diskstats: Any = __import__("grayscope.collectors._diskstats", fromlist=["disks"])
host: Any = __import__("grayscope.collectors.host", fromlist=["processor_ticks"])
pcie: Any = __import__("grayscope.collectors.pcie", fromlist=["counts"])
sysfs: Any = __import__("grayscope.collectors._sysfs", fromlist=["Tree"])


@cache
def files(data: Path) -> dict[str, str]:
    """Return every captured file with its owner, ``""`` for those that have no entry."""
    found = sorted(str(p.relative_to(data)) for kind in ("fixtures", "flight_recorder") for p in (data / kind).rglob("*") if p.is_file())
    return {name: next((owner for pattern, owner in BELONGS if fnmatchcase(name, pattern)), "") for name in found}


def owned(data: Path, owner: str) -> list[Path]:
    return [data / name for name, who in files(data).items() if who == owner]


def test_every_file_has_an_entry_and_every_entry_a_file(shared: Path) -> None:
    found = files(shared / "data")
    assert len(found) > 3000
    assert [name for name, owner in found.items() if not owner] == []
    first = {next(pattern for pattern, _ in BELONGS if fnmatchcase(name, pattern)) for name in found}
    assert [pattern for pattern, _ in BELONGS if pattern not in first] == []


def test_what_belongs_to_nobody_is_named(shared: Path) -> None:
    nobody = {name.split("/")[2] for name, owner in files(shared / "data").items() if owner == NOBODY and name.startswith("fixtures/telegraf/")}
    assert nobody == {"LICENSE", "kernel", "lustre2", "nfsclient", "slurm"}


def outcome(name: str, path: Path, out: Path, **more: Any) -> str:
    """Import one file; return ``read`` or the one line of its refusal."""
    try:
        with TraceWriter(out) as writer:
            counts = plugins.collector(name, [path], **more).write(writer)
            return "read" if any(n for what, n in counts.items() if what in ("rows", "events", "roster")) else f"nothing: {counts}"
    except GrayscopeError as error:
        return str(error)


@pytest.mark.parametrize(("owner", "least"), [("superbench", 3), ("nccltests", 6), ("rocm", 8), ("nvidiasmi", 9)])
def test_files_of_importers(shared: Path, tmp_path: Path, owner: str, least: int) -> None:
    found = {path.name: outcome(owner, path, tmp_path / str(i)) for i, path in enumerate(owned(shared / "data", owner))}
    assert sum(said == "read" for said in found.values()) >= least, found
    assert all("\n" not in said and len(said) < 600 for said in found.values())


def test_logs_of_the_kernel(shared: Path, tmp_path: Path) -> None:
    found = {str(path): outcome("kernellog", path, tmp_path / str(i), zone=UTC) for i, path in enumerate(owned(shared / "data", "kernellog"))}
    assert sum(said == "read" for said in found.values()) >= 4, found
    assert all(said == "read" or said.endswith("tells of hardware") for said in found.values()), found


def test_dumps_of_ranks(shared: Path, tmp_path: Path) -> None:
    for folder in sorted({path.parent for path in owned(shared / "data", "flightrecorder")}):
        source = plugins.collector("flightrecorder", folder)
        assert sorted(source._files().values()) == sorted(folder.glob("_dump_*"))
        with TraceWriter(tmp_path / folder.name) as writer:
            counts = source.write(writer)
        assert [what for what in counts if what.startswith("rejected")] == [], counts
        assert counts["roster"] >= 16, counts


def test_answers_of_slurm(shared: Path) -> None:
    told = {}
    for path in owned(shared / "data", "slurm"):
        source = plugins.collector("slurm", [path], clock=lambda: 60.0)
        rows = sum(len(m) for m in source.collect() if isinstance(m, tuple))
        told[f"{path.parts[-3]}/{path.stem}"] = rows or "expected" in source.last_error
        assert "\n" not in source.last_error
    assert told == {f"{case}/{what}": True for case in ("gather", "panic") for what in ("diag", "jobs", "nodes", "partitions", "reservations")} | {
        "gather/jobs": 3, "gather/nodes": 3,
    }  # fmt: skip


def test_resources_of_controllers(shared: Path) -> None:
    """Each file stands at its own address, and is a chassis that stands for itself where it is anything else."""
    read, broken = {}, []
    for path in owned(shared / "data", "redfish"):
        try:
            said = json.loads(path.read_text())
        except ValueError:
            broken.append(path.name)
            continue
        places = {"/redfish/v1/Power": said, "/redfish/v1/Thermal": said, "/redfish/v1/PowerSubsystem": said, "/redfish/v1/ThermalSubsystem": said}
        get: Callable[[str], Mapping[str, Any]] = {**places, "/c": {k.rpartition("/")[2]: {"@odata.id": k} for k in places}, "/own": said}.get  # type: ignore[assignment]
        found = chassis.survey(lambda at, get=get: get(at) or {}, ["/c", "/own"])
        read[path.name] = len(found.numbers) + len(found.health)
    assert all("invalid" in name for name in broken)
    assert {name for name, n in read.items() if n} >= {"dell_power.json", "dell_thermal.json", "hp_power.json", "hp_thermal.json", "hp_thermal_ilo4.json"}, read


def test_files_of_proc(shared: Path) -> None:
    data, rejected = shared / "data", list[str]()
    ticks = {path.name: bool(host.processor_ticks(path.read_text())) for path in owned(data, "stat")}
    assert {name for name, found in ticks.items() if found} >= {"stat", "stat_file_full"}
    pressure = [host.TOTAL.findall(path.read_text()) for path in owned(data, "pressure")]
    assert len(pressure) == 6
    assert all(pressure)
    assert all(diskstats.disks(path.read_text(), rejected.append) for path in owned(data, "diskstats"))
    counts = [pcie.counts(path.read_text(), rejected.append) for path in owned(data, "aer")]
    assert counts
    assert all(counts)
    assert rejected == []


@pytest.mark.parametrize("owner", ["fabric", "host", "drive"])
def test_trees(shared: Path, tmp_path: Path, owner: str) -> None:
    """Whole trees give numbers without a refusal that is nobody's fault, and each of their files can be asked for."""
    data, rejected = shared / "data", dict[str, int]()
    tree = sysfs.Tree("/", rejected)
    for path in owned(data, owner):
        text = tree.text(str(path))
        assert text is None or len(text) <= sysfs.LARGEST
    assert rejected == {}
    (tmp_path / "sys/class").mkdir(parents=True)
    gpud = data / "fixtures/gpud/components/accelerator/nvidia/infiniband/class/testdata/sys-class-infiniband-h100.0"
    (tmp_path / "sys/class/infiniband").symlink_to(gpud)
    for root in (data / "fixtures/procfs/fixtures", *([tmp_path] if owner == "fabric" else [])):
        collector = plugins.collector(owner, root, **({"page": refuse} if owner == "drive" else {}))
        collector.collect()
        assert values(collector.collect())


def refuse(path: str) -> bytes:
    raise PermissionError(13, "Operation not permitted", path)
