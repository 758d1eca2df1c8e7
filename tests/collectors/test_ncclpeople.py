"""People: names of processes: once given they stay; what cannot be read makes them poorer, never wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import grayscope.collectors._ncclpeople as naming  # type: ignore[import-not-found]


def process(root: Path, pid: int, **environ: str) -> None:
    (root / "proc" / str(pid)).mkdir(parents=True)
    (root / "proc" / str(pid) / "environ").write_bytes(b"\0".join(f"{k}={v}".encode() for k, v in environ.items()))


@pytest.fixture
def people(tmp_path: Path) -> Any:
    return naming.People(tmp_path, "n017")


@pytest.mark.parametrize(
    ("environ", "subject", "gpu"),
    [
        ({"RANK": "12", "LOCAL_RANK": "4", "SLURM_JOB_ID": "9"}, "job:9/r12", "n017/gpu4"),
        ({"SLURM_PROCID": "3", "SLURM_LOCALID": "3", "SLURM_JOB_ID": "9", "CUDA_VISIBLE_DEVICES": "6"}, "job:9/r3", "n017/gpu6"),
        ({"RANK": "1", "CUDA_VISIBLE_DEVICES": "GPU-5ab,GPU-6cd", "LOCAL_RANK": "1"}, "job:unknown/r1", ""),
        ({"RANK": "1", "CUDA_VISIBLE_DEVICES": "0,1", "LOCAL_RANK": "7"}, "job:unknown/r1", ""),
        ({"RANK": "../x", "SLURM_JOB_ID": "a/b"}, "job:unknown/n017-5", ""),
        ({}, "job:unknown/n017-5", ""),
    ],
)
def test_what_a_process_was_started_with_names_it(people: Any, tmp_path: Path, environ: dict[str, str], subject: str, gpu: str) -> None:
    process(tmp_path, 5, **environ)
    person = people.of("n017", 5)
    assert (person.subject, person.gpu) == (subject, gpu)


def test_a_process_of_another_machine_is_not_looked_up_here(people: Any, tmp_path: Path) -> None:
    process(tmp_path, 5, RANK="1")
    person = people.of("n018", 5, folder="nccl-inspector-77")
    assert (person.subject, people.alive(person)) == ("job:77/n018-5", False)


@pytest.mark.parametrize(("folder", "job"), [("nccl-inspector-77", "77"), ("nccl-inspector-unknown-jobid", "unknown"), ("", "unknown")])
def test_the_folder_may_name_the_job(people: Any, folder: str, job: str) -> None:
    assert people.of("n017", 5, folder=folder).job == job


def test_a_process_that_is_here_tells_the_job_of_those_that_share_its_folder(people: Any, tmp_path: Path) -> None:
    process(tmp_path, 5, SLURM_JOB_ID="9")
    people.learn("/dumps/a", "n018", 5)
    people.learn("/dumps/a", "n017", 5)
    assert [people.of("n018", 7, folder=f).job for f in ("/dumps/a",)] == ["9"]
    assert people.of("n018", 8, folder="/dumps/nccl-inspector-77").job == "77"


def test_a_name_stays_and_ends_with_its_process(people: Any, tmp_path: Path) -> None:
    process(tmp_path, 5, RANK="1")
    first = people.of("n017", 5)
    (tmp_path / "proc" / "5" / "environ").unlink()
    assert people.of("n017", 5) is first
    assert people.leave(0) == []
    (tmp_path / "proc" / "5").rmdir()
    assert people.leave(0) == [first]
    assert people.leave(0) == []


def test_who_is_elsewhere_is_gone_after_an_hour_of_silence(people: Any) -> None:
    people.leave(1000)
    first, second = people.of("n018", 5), people.of("n018", 6)
    assert people.leave(4000) == []
    people.of("n018", 6)
    assert people.leave(4700) == [first]
    assert people.leave(7700) == [second]


def test_ras_tells_the_gpu_of_a_process_and_a_given_job_holds(tmp_path: Path) -> None:
    people = naming.People(tmp_path, "n017", "mine")
    person = people.of("n017", 5)
    people.place("n017", 5, 3)
    people.place("n017", 99, 3)
    assert (person.subject, person.keys()["gpu"]) == ("job:mine/n017-5", "n017/gpu3")


def test_processes_are_bounded(people: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(naming, "MOST", 2)
    assert [people.of("n018", pid) is None for pid in range(3)] == [False, False, True]
