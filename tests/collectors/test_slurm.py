"""Slurm: text and JSON of the scheduler become jobs, leaves and spines of nodes and GPUs; broken ones are refused politely."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grayscope import plugins
from grayscope.errors import InputError, Unsupported, UsageError

from .fake_bmc import FakeBmc

hostlist: Any = __import__("grayscope.collectors._hostlist", fromlist=["expand"])
scontrol: Any = __import__("grayscope.collectors._scontrol", fromlist=["records"])

NODES = """NodeName=n001 Arch=x86_64 CoresPerSocket=56
   CPUAlloc=224 CPUEfctv=224 CPUTot=224 CPULoad=31.20
   AvailableFeatures=(null)
   Gres=gpu:h100:8(S:0-1)
   NodeAddr=n001 NodeHostName=n001 Version=24.05.4
   OS=Linux 5.15.0-122-generic #132-Ubuntu SMP Thu Aug 29 13:45:52 UTC 2024
   State=ALLOCATED ThreadsPerCore=2 TmpDisk=0 Weight=1 Owner=N/A MCS_label=N/A
   Partitions=train,debug
   Reason=fan slow, Board=x [root@2026-03-01T12:00:00]

NodeName=n002 Gres=gpu:8 State=IDLE+DRAIN Partitions=train
"""
JOBS = """JobId=42 JobName=llm
   JobState=PENDING Reason=Resources Dependency=(null)
   NodeList=(null)

JobId=43 JobName=a NodeList=n[003-900] JobState=PENDING
   UserId=someone(1000) GroupId=someone(1000) MCS_label=N/A
   JobState=RUNNING Reason=None
   Partition=train AllocNode:Sid=login1:1
   NodeList=n[001-002]
     Nodes=n[001-002] CPU_IDs=0-111 Mem=0 GRES=gpu:h100:4(IDX:0-2,7)

JobId=44 JobName=b
   JobState=RUNNING Reason=None
   Partition=train AllocNode:Sid=login1:2
   NodeList=n001
     Nodes=n001 CPU_IDs=112-223 Mem=0 GRES=gpu:h100:1(IDX:5)
"""
TOPOLOGY = """SwitchName=leaf1 Level=0 LinkSpeed=1 Nodes=n[001-002]
SwitchName=spine1 Level=1 LinkSpeed=1 Nodes=n[001-002] Switches=leaf[1-4]
BlockName=b7 BlockIndex=0 Nodes=n[001-018] BlockSize=18
"""


def told(*files: Path | str, **options: Any) -> dict[str, dict[str, str]]:
    (rows,) = plugins.collector("slurm", list(files), **options).collect()
    return {r.subject: dict(r.keys) for r in rows}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in (("nodes.txt", NODES), ("jobs.txt", JOBS), ("topology.txt", TOPOLOGY)):
        (tmp_path / name).write_text(text)
    return tmp_path


def test_nodes_jobs_and_switches_are_put_together(folder: Path) -> None:
    found = told(*sorted(folder.iterdir()))
    assert found["n001"] == {"node": "n001", "partition": "train,debug", "state": "allocated", "sku": "h100", "gpus": "8", "leaf": "leaf1", "spine": "spine1",
                             "block": "b7"}  # fmt: skip
    assert found["n002"]["job"] == "43"  # alone there; on n001 two share
    assert found["n002"]["state"] == "idle+drain"
    assert {s: k.get("job") for s, k in found.items() if "/gpu" in s} == {
        **{f"n001/gpu{i}": "43" for i in (0, 1, 2, 7)}, **{f"n002/gpu{i}": "43" for i in (0, 1, 2, 7)}, "n001/gpu5": "44"}  # fmt: skip
    assert found["job:43"] == {"partition": "train", "nodes": "2"}
    assert "job:42" not in found
    assert found["n018"]["block"] == "b7"


def test_the_rest_interface_says_the_same(tmp_path: Path) -> None:
    document = {
        "nodes": [{"name": "n001", "state": ["IDLE", "DRAIN"], "partitions": ["train"], "gres": "gpu:h100:8", "reason": "bad fan"}],
        "jobs": [{"job_id": 43, "job_state": ["RUNNING"], "nodes": "n001", "partition": "train", "gres_detail": ["gpu:h100:8(IDX:0-7)"]}],
        "errors": [],
    }  # fmt: skip
    (tmp_path / "rest.json").write_text(json.dumps(document))
    found = told(tmp_path / "rest.json")
    assert (found["n001"]["state"], found["n001"]["job"], found["n001"]["gpus"]) == ("idle+drain", "43", "8")


def test_the_rest_interface_is_asked_and_its_absence_counted(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t")
    fake = FakeBmc({"/slurm/v0.0.41/nodes": {"nodes": [{"name": "n1", "state": ["IDLE"]}]}})
    source = plugins.collector("slurm", urls=[f"{fake.url}/slurm/v0.0.41/nodes", f"{fake.url}/slurm/v0.0.41/jobs"], token=str(tmp_path / "token"))
    ((row,),) = source.collect()
    fake.close()
    assert (row.subject, row.keys["state"], source.rejected) == ("n1", "idle", {"unreadable": 1})
    with pytest.raises(UsageError, match="expected https URLs"):
        plugins.collector("slurm", urls="http://controller:6820/slurm/v0.0.41/nodes", token=str(tmp_path / "token"))


def test_a_node_sees_its_own_jobs_in_control_groups_and_gpu_by_gpu_in_the_mapping(tmp_path: Path) -> None:
    (tmp_path / "sys/fs/cgroup/system.slice/slurmstepd.scope/job_77/step_0").mkdir(parents=True)
    (tmp_path / "map").mkdir()
    for name, text in (("0", "77\n"), ("1", "77 78\n"), ("2", ""), ("notes", "9")):
        (tmp_path / "map" / name).write_text(text)
    found = told(root=tmp_path, node="n9", mapping=tmp_path / "map")
    assert found["n9"]["job"] == "77"
    assert {s: k.get("job") for s, k in found.items() if "gpu" in s} == {"n9/gpu0": "77", "n9/gpu1": None, "n9/gpu2": None}


def test_jobs_on_one_line_cannot_be_told_from_what_their_users_write(tmp_path: Path) -> None:
    (tmp_path / "jobs.txt").write_text("JobId=1 JobName=x UserId=a(1) JobState=RUNNING NodeList=n1\n")
    source = plugins.collector("slurm", [tmp_path / "jobs.txt"])
    assert source.collect() == []
    assert "as without --oneliner" in source.last_error


def test_a_machine_without_slurm_says_so(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="no Slurm job"):
        plugins.collector("slurm", root=tmp_path)


def test_one_broken_file_costs_itself_only(folder: Path) -> None:
    (folder / "bad.txt").write_text("SwitchName=leaf1 Level=0 Nodes=n[1-\n")
    source = plugins.collector("slurm", [folder / "bad.txt", folder / "none.txt", folder / "nodes.txt"])
    (rows,) = source.collect()
    assert {r.subject for r in rows} == {"n001", "n002"}
    assert source.rejected == {"unreadable": 2}


def test_many_records_of_short_lists_do_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import grayscope.collectors.slurm as module  # type: ignore[import-not-found]

    monkeypatch.setattr(module, "MOST", 5000)
    (tmp_path / "jobs.txt").write_text("".join(f"JobId={i} JobName=x\n   JobState=RUNNING\n   NodeList=n[1-999]\n" for i in range(100)))
    source = plugins.collector("slurm", [tmp_path / "jobs.txt"])
    source.collect()
    assert "names of all host lists: expected at most 5000" in source.last_error


def test_a_job_that_ended_frees_its_parts(folder: Path) -> None:
    source = plugins.collector("slurm", [folder / "jobs.txt", folder / "nodes.txt"], clock=lambda: 60.0)
    source.collect()
    (folder / "jobs.txt").write_text("JobId=44 JobName=b\n   JobState=COMPLETED Reason=None\n   NodeList=n001\n")
    (rows,) = source.collect()
    after = {r.subject: (r.keys.get("job"), r.until) for r in rows}
    assert after["n001/gpu5"] == after["n002/gpu0"] == after["n002"] == (None, None)
    assert after["job:43"] == after["job:44"] == (None, 60_000_000)
    (folder / "nodes.txt").unlink()
    (folder / "jobs.txt").write_text(JOBS)
    ((rows),) = source.collect()
    assert all(r.until is None for r in rows)  # one document is missing: nothing is said about what it would have told


@pytest.mark.parametrize(
    ("text", "words"),
    [("n[1-", "a closing one"), ("n[[1]]", "not nested"), ("n]", "not nested"), ("n[b]", "numbers such as"), ("n[9-1]", "ascending"),
     ("n[1-999999]", "at most"), ("n[1-1000]m[1-1000]", "at most"), ("n[]", "numbers such as")],
)  # fmt: skip
def test_host_lists_that_are_none_are_refused(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        hostlist.expand(text)


@settings(max_examples=500, deadline=None)
@given(st.text(alphabet="n[]0123-, ", max_size=20))
def test_any_host_list_is_names_or_one_clear_error(text: str) -> None:
    said = ""
    try:
        names = hostlist.expand(text)
    except InputError as error:
        said = str(error)
    assert "expected" in said if said else all("[" not in name and "," not in name for name in names)


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_damaged_documents_are_records_or_one_clear_error(data: st.DataObject) -> None:
    rest = json.dumps({"nodes": [{"name": "n1", "state": ["IDLE"], "gres": "gpu:8"}], "jobs": [{"job_id": 1, "nodes": "n1", "gres_detail": []}]})
    body = bytearray(data.draw(st.sampled_from([NODES, JOBS, TOPOLOGY, rest])).encode())
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, max(len(body) - 1, 0)))
        body[at : at + data.draw(st.integers(0, 30))] = data.draw(st.one_of(st.binary(max_size=4), st.sampled_from([b"=", b"\n", b"[", b"NodeName=", b"null"])))
    slurm: Any = __import__("grayscope.collectors.slurm", fromlist=["Facts"])
    said, facts = "", slurm.Facts()
    try:
        for kind, fields in scontrol.records(bytes(body), "f"):
            facts.take(kind, fields, "f")
    except InputError as error:
        said = str(error)
    assert "expected" in said if said else True
    for row in facts.rows():
        assert row.subject.isprintable()
        assert row.subject.count("/") <= 1
