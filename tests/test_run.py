"""A run in a notebook: frames, evidence beside peers, plots; read only when asked for, and nothing that a name brings along gets out."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import grayscope
from grayscope.errors import InputError, UsageError
from grayscope.fleet import Fleet
from grayscope.fleet.faults import Fault
from grayscope.incident import Incident
from grayscope.ledger import Entry
from grayscope.results import ResultsWriter, read_results
from grayscope.run import Run
from grayscope.verdict import Verdict

EVIL = "n1/<script>alert(1)</script>\"'>\u202e\n" + "x" * 10_000
SECOND = 1_000_000


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    Fleet(nodes=4, hours=1.0, seed=102, faults=[Fault("n002/gpu3", "thermal_throttle", "gray", 1500.0, strength=0.2)]).write(folder / "trace")
    return folder


@pytest.fixture(scope="module")
def run(home: Path) -> Run:
    return grayscope.replay(home / "trace", out=home / "results")


def suspect(run: Run) -> Incident:
    (found,) = [i for i in run.found if i.severity == "page"]
    return found


def hostile(folder: Path) -> Run:
    evil = Incident(EVIL, EVIL, EVIL, "gray", "page", EVIL, 0, SECOND, history=((SECOND, "gray", "page"),), rivals=((EVIL, 0.1),), summary=EVIL)
    writer = ResultsWriter(folder)
    writer.incidents([evil, replace(evil, id="ab12", subject="n2", severity="ticket")])
    writer.ledger([Entry(0, EVIL, EVIL, 2, 1, 1, EVIL)])
    writer.verdicts([Verdict(SECOND, EVIL, "gray", "normal", 9.0, "w", 0)])
    writer.close({}, {"trace": EVIL, "settings": {EVIL: EVIL}, "counts": {"rows": 1}, "versions": {}, "input": None})
    return grayscope.read_run(folder)


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.depth = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not [name for name, _ in attrs if name.startswith("on")]
        self.found.append(tag)
        self.depth += tag not in ("img", "meta")

    def handle_endtag(self, tag: str) -> None:
        self.depth -= 1


def test_frames_hold_what_the_results_directory_holds(run: Run, home: Path) -> None:
    read = read_results(home / "results")
    assert run.verdicts.equals(pl.DataFrame(read.verdicts))
    assert run.incidents.equals(pl.DataFrame(read.incidents))
    assert run.coverage.height == read.coverage.num_rows
    assert run.counts["rows"] > 0


def test_evidence_is_the_suspect_against_the_band_of_its_peers_and_its_own_past(run: Run) -> None:
    frame = run.evidence(suspect(run).id)
    first = frame.filter(pl.col("metric") == frame["metric"][0])
    assert first.columns == ["metric", "unit", "subject", "time", "value", "low", "median", "high", "past", "peers"]
    assert first["time"].is_sorted()
    assert first["time"].dtype == pl.Datetime("us", "UTC")
    assert first["peers"].max() >= 3  # type: ignore[operator]
    whole = first.drop_nulls()
    assert (whole["low"] <= whole["median"]).all()
    assert (whole["median"] <= whole["high"]).all()
    clock = frame.filter(pl.col("metric").str.starts_with("gpu_clock_hertz") & (pl.col("subject") == "n002/gpu3"))
    late = clock.filter(pl.col("time").dt.timestamp("us") > suspect(run).noticed)
    assert (late["value"] < late["low"]).all()
    assert (late["value"] < 0.95 * late["past"]).all()


def test_what_a_gpu_does_for_its_job_is_told_by_its_rank_among_the_ranks_of_the_job(run: Run) -> None:
    ranks = run.evidence(suspect(run).id, most=50).filter(pl.col("metric") == "compute_seconds")
    assert ranks["subject"].unique().str.starts_with("job:").all()
    assert ranks.height > 0


def test_peers_are_those_that_the_metric_is_judged_among(run: Run) -> None:
    said = {(p["subject"], s["metric"]): s["n_peers"] for p in suspect(run).evidence for s in p["signals"]}  # type: ignore[attr-defined]
    frame = run.evidence(suspect(run).id, most=50).group_by("subject", "metric").agg(pl.col("peers").first())
    drawn = {(subject, metric): peers for subject, metric, peers in frame.rows() if said.get((subject, metric))}
    assert drawn
    assert all(peers == min(said[key], 64) for key, peers in drawn.items())


def test_points_and_metrics_are_as_many_as_asked_for(run: Run) -> None:
    frame = run.evidence(suspect(run).id, points=20, most=1)
    assert frame["metric"].n_unique() == 1
    assert 2 < frame.height <= 20
    for points, most in ((1, 1), (10**9, 1), (20, 0)):
        with pytest.raises(UsageError, match="expected 2 to"):
            run.evidence(suspect(run).id, points=points, most=most)


def test_an_incident_is_named_by_its_id_its_beginning_or_its_suspect(run: Run) -> None:
    incident = suspect(run)
    for name in (incident.id, incident.id[:4], incident.subject):
        assert run.incident(name).incident is incident
    with pytest.raises(UsageError, match=rf"no incident '{incident.id[:-1]}x': did you mean {incident.id}"):
        run.plot(f"{incident.id[:-1]}x")
    with pytest.raises(UsageError, match="named by its id"):
        run.evidence(7)  # type: ignore[arg-type]


def test_a_plot_is_one_document_in_a_notebook_and_on_disk(run: Run, tmp_path: Path) -> None:
    plot = run.plot(suspect(run).id)
    root = ElementTree.fromstring(plot.svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert len([e for e in root.iter() if e.get("class") == "own"]) == len(plot.series) == 2
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|@import|url\(", plot.svg)
    assert plot._repr_svg_() == plot.save(tmp_path / "p.svg").read_text("utf-8")
    page = plot.save(tmp_path / "p.html").read_text("utf-8")
    (coded,) = re.findall(r"base64,([A-Za-z0-9+/=]+)", page)
    assert base64.b64decode(coded).decode() == plot.svg
    assert suspect(run).subject in repr(plot)
    with pytest.raises(UsageError, match=r"\.svg or \.html"):
        plot.save(tmp_path / "p.png")


def test_what_was_read_back_is_what_was_replayed(run: Run, home: Path) -> None:
    again = grayscope.read_run(home / "results", trace=home / "trace")
    assert again.incidents.equals(run.incidents)
    assert again.evidence(suspect(run).id).equals(run.evidence(suspect(run).id))
    assert str(again.incident(suspect(run).id)) == str(run.incident(suspect(run).id))
    assert repr(again) == repr(run)
    assert again.compare(run).changed.height == 0
    assert again.compare(run).same_input


def test_nothing_is_read_before_it_is_asked_for(run: Run, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from grayscope import results

    read: list[str] = []

    def noted(path: Path) -> object:
        read.append(path.name)
        return pq.read_table(path)

    monkeypatch.setattr(results, "read_table", noted)
    again = grayscope.read_run(home / "results", trace=tmp_path / "not there")
    assert again.counts == run.counts
    assert read == []
    assert again.incidents.height == len(again.found) == len(run.found)
    assert set(read) == {"incidents.parquet"}
    assert again.scores.height == 0  # they were not kept


def test_another_trace_or_none_is_refused(run: Run, home: Path, tmp_path: Path) -> None:
    name = suspect(run).id
    with pytest.raises(UsageError, match=r"read_run\(results, trace="):
        grayscope.read_run(home / "results").plot(name)
    assert grayscope.read_run(home / "results").incident(name).plot is None
    Fleet(nodes=1, hours=0.1, seed=103, faults=[]).write(tmp_path / "other")
    with pytest.raises(InputError, match="the trace that was replayed, found"):
        grayscope.read_run(home / "results", trace=tmp_path / "other").evidence(name)
    assert grayscope.read_run(home / "results", trace=tmp_path / "other", check=False).evidence(name).height == 0
    assert "nothing to draw" in grayscope.read_run(home / "results", trace=tmp_path / "other", check=False).plot(name).svg


def test_what_is_no_results_directory_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"run\.json is missing"):
        grayscope.read_run(tmp_path)
    (tmp_path / "run.json").write_text("[1]")
    with pytest.raises(InputError, match="expected an object, found list"):
        grayscope.read_run(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(InputError, match=r"verdicts\.parquet"):
        _ = grayscope.read_run(tmp_path).verdicts


def test_a_notebook_shows_a_run_and_an_incident_in_words(run: Run) -> None:
    listed, told = run._repr_html_(), run.incident(suspect(run).id)._repr_html_()
    assert suspect(run).id in listed
    assert "page" in listed
    assert "refuted if" in told
    assert "<img alt=" in told
    for text in (listed, told):
        assert "<style" not in text
        assert Tags(text).depth == 0
    assert len(repr(run)) < 200
    assert len(repr(run.incident(suspect(run).id))) < 400


def test_no_name_breaks_out_and_every_representation_is_bounded(tmp_path: Path) -> None:
    run = hostile(tmp_path / "a")
    cases = [run.incident(i.id) for i in run.found]
    shown = [run._repr_html_(), *(c._repr_html_() for c in cases), run.compare(hostile(tmp_path / "b"))._repr_html_()]
    for text in shown:
        tags = Tags(text)
        assert tags.depth == 0
        assert not {"script", "img", "iframe", "link", "object", "style"} & set(tags.found)
        assert "\u202e" not in text
        assert len(text) < 30_000
    assert all(len(repr(x)) < 700 and "\n" not in repr(x) and "\u202e" not in repr(x) for x in (run, *cases))


def test_a_hostile_name_in_the_numbers_stays_inside_the_drawing() -> None:
    from grayscope.plot import Plot
    from grayscope.series import Series

    evil = Incident("ab", EVIL, EVIL, "gray", "page", EVIL, 0, 5, history=((5, "gray", "page"), (7, EVIL, "page")))
    plot = Plot(evil, [Series(EVIL, EVIL, EVIL, 3, 0, 10, (2, 5, 8), (1.0, None, 2.0), (0.5, None, 1.0), (1.0, None, 1.5), (2.0, None, 2.0), 0.0)])
    root = ElementTree.fromstring(plot.svg)
    assert {e.tag.rpartition("}")[2] for e in root.iter()} <= {"svg", "title", "style", "rect", "text", "polygon", "path"}
    assert Tags(plot._repr_html_()).found == ["img"]
    assert len(plot.svg) < 10_000


def test_of_a_large_folder_only_the_incident_that_is_asked_for_is_taken_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from grayscope import recalling

    writer = ResultsWriter(tmp_path / "many")
    writer.incidents([Incident(f"{n:05}", f"n{n}", f"n{n}", "masked", "ticket", "", n, n, evidence=({"time": n, "why": "slow"},)) for n in range(500)])
    writer.incidents([Incident("last", "n9", "n9", "gray", "page", "", 999, 999, 1000, 2000)])
    writer.close({}, {"trace": "c1", "counts": {"rows": 7}})
    taken: list[str] = []
    known = recalling._incident

    def noted(row: Any, where: str) -> Incident:
        taken.append(where)
        return known(row, where)

    monkeypatch.setattr(recalling, "_incident", noted)
    run = grayscope.read_run(tmp_path / "many")
    listed = run._repr_html_()
    assert repr(run) == "<run of c1: 1 page, 500 tickets; 500 open; 7 rows>"
    assert listed.index("last") < listed.index("00000")
    assert "471 more" in listed
    assert taken == []
    assert run.incident("00321").incident.noticed == 321
    assert len(taken) == 1
    assert len(run.found) == 501


@pytest.mark.parametrize("spoil", [lambda t: t.drop_columns(["severity"]), lambda t: t.set_column(4, "began", pa.array(["x"] * t.num_rows))])
def test_a_folder_with_foreign_columns_is_named(tmp_path: Path, spoil: Callable[[pa.Table], pa.Table]) -> None:
    writer = ResultsWriter(tmp_path / "r")
    writer.incidents([Incident("ab", "n1", "n1", "gray", "page", "", 0, 0)])
    writer.close({}, {"trace": "c1"})
    file = tmp_path / "r" / "incidents.parquet"
    pq.write_table(spoil(pq.read_table(file)), file)
    with pytest.raises(InputError, match="c1: incidents: "):
        repr(grayscope.read_run(tmp_path / "r"))
