"""The page of a run: complete, closed to whatever names bring along, bounded, and read by a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner

from grayscope import plugins
from grayscope.fleet import Fleet
from grayscope.fleet.faults import Fault
from grayscope.incident import Incident
from grayscope.ledger import Entry
from grayscope.replaying import replay
from grayscope.results import COVERAGE, INCIDENTS, LEDGER, VERDICTS, Results, ResultsWriter, read_results
from grayscope.roster import Roster, RosterRow
from tests.browser import browser

EVIL = "n1/<script>alert(1)</script>\"'>\u202e\n" + "x" * 10_000
SECOND = 1_000_000


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A generated fleet with planted faults, replayed."""
    home = tmp_path_factory.mktemp("report")
    Fleet(nodes=4, hours=1.0, seed=102, faults=[Fault("n002/gpu3", "thermal_throttle", "gray", 1500.0, strength=0.2)]).write(home / "trace")
    replay(home / "trace", out=home / "results")
    return home / "trace", home / "results"


def report(*arguments: object) -> str:
    result = CliRunner().invoke(plugins.load("pipelines", "report"), [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return Path(str(arguments[arguments.index("--out") + 1])).read_text("utf-8")


def written(path: Path, incidents: list[Incident], ledger: list[Entry] | None = None) -> Path:
    from grayscope.verdict import Verdict

    writer = ResultsWriter(path)
    writer.incidents(incidents)
    writer.ledger(ledger or [])
    writer.verdicts([Verdict(i.noticed, i.subject, "gray", "normal", 9.0, "w", i.began) for i in incidents])
    writer.close({}, {"trace": EVIL, "settings": {EVIL: EVIL}, "counts": {}, "versions": {}, "input": None})
    return path


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_a_run_with_its_trace_has_map_plots_ledger_coverage_and_digest(run: tuple[Path, Path], tmp_path: Path) -> None:
    trace, results = run
    text = report(results, "--trace", trace, "--out", tmp_path / "r.html")
    said = read_results(results)
    assert said.incidents.num_rows
    assert said.run["input"] in text
    assert text.count("<article") == said.incidents.num_rows
    assert text.count('<div class="t">') + text.count("<div class=t>") >= 3
    assert "<svg" in text
    assert "onset" in text
    assert "n002/gpu3" in text


def test_without_a_trace_the_page_says_what_is_missing(run: tuple[Path, Path], tmp_path: Path) -> None:
    text = report(run[1], "--out", tmp_path / "r.html")
    assert "No plots" in text
    assert "<svg" not in text


def test_the_same_results_give_the_same_page(run: tuple[Path, Path], tmp_path: Path) -> None:
    trace, results = run
    assert report(results, "--trace", trace, "--out", tmp_path / "a.html") == report(results, "--trace", trace, "--out", tmp_path / "b.html")


def test_no_name_breaks_out_of_the_page(tmp_path: Path) -> None:
    evil = Incident(EVIL[:40], EVIL, EVIL, "gray", "page", EVIL, 0, SECOND, history=((SECOND, "gray", "page"),), rivals=((EVIL, 0.1),), summary=EVIL)
    text = report(written(tmp_path / "results", [evil], [Entry(0, EVIL, EVIL, 2, 1, 1, EVIL)]), "--out", tmp_path / "r.html")
    tags = Tags(text).found
    assert not {tag for tag, _ in tags} & {"script", "img", "iframe", "link", "object"}
    assert not [name for _, attributes in tags for name in attributes if name.startswith("on") or name == "style"]
    assert "\u202e" not in text
    assert len(text) < 60_000


def test_the_page_loads_nothing_and_allows_nothing(run: tuple[Path, Path], tmp_path: Path) -> None:
    text = report(run[1], "--trace", run[0], "--out", tmp_path / "r.html")
    policy = next(a["content"] for tag, a in Tags(text).found if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert not re.search(r"https?://|@import|url\(", text)


def test_a_hundred_incidents_on_ten_thousand_gpus_stay_below_three_megabytes() -> None:
    from grayscope.series import POINTS, Series
    from pipelines._reportmap import fleet
    from pipelines._reportpage import Content, page

    rows = [RosterRow(f"n{n:04}", "node", keys={"rack": f"rack{n // 8}"}) for n in range(1250)]
    rows += [RosterRow(f"n{n:04}/gpu{g}", "gpu", keys={"node": f"n{n:04}", "rack": f"rack{n // 8}", "slot": str(g)}) for n in range(1250) for g in range(8)]
    times = tuple(range(POINTS))
    line = tuple(1.23456 * (n % 7) for n in times)
    signal = {
        "side": "service", "detector": "slower", "metric": "gpu_clock_hertz", "mode": "", "strength": 9.0, "value": 1.0, "expected": 2.0, "n_peers": 9,
        "since": 1, "left": None, "exhausted_at": None, "why": "w" * 300,
    }  # fmt: skip
    pieces: tuple[dict[str, object], ...] = tuple({"time": n, "subject": f"n{n:04}", "strength": 9.0, "signals": [signal] * 4} for n in range(16))
    found = [
        Incident(f"i{n}", f"n{n:04}/gpu1", "", "gray", "page", "slow_rank", 0, 9, None, None, ((9, "gray", "page"),), 1.0, (), "s" * 400, pieces)
        for n in range(130)
    ]
    places = fleet([(i.subject, "gray", "gray") for i in found], Roster(rows).at(0))
    empty = Results(VERDICTS.empty_table(), INCIDENTS.empty_table(), COVERAGE.empty_table(), None, LEDGER.empty_table(), {})
    two = [Series("n1/gpu1", "gpu_clock_hertz", "Hz", 64, 0, POINTS, times, line, line, line, line)] * 2
    text = page(Content(empty, found, [], places, lambda i: two))
    assert places.gpus == 10_000
    assert text.count("<article") == 100
    assert "30 more incidents are left out" in text
    assert len(text.encode()) < 3 << 20


def test_what_is_no_results_directory_is_named(tmp_path: Path) -> None:
    from grayscope.cli import main

    with pytest.raises(SystemExit) as end:
        main(["report", str(tmp_path), "--out", str(tmp_path / "r.html")])
    assert end.value.code == 2
    assert not (tmp_path / "r.html").exists()


@pytest.mark.slow
def test_a_real_browser_shows_it_on_a_desk_and_on_a_phone(run: tuple[Path, Path], tmp_path: Path, server: Callable[[str, str], str]) -> None:
    command = server("chromium", "chromium fonts-dejavu-core")
    pages = [tmp_path / "whole.html", tmp_path / "evil.html"]
    report(run[1], "--trace", run[0], "--out", pages[0])
    evil = Incident("id", EVIL, EVIL, "gray", "page", EVIL, 0, SECOND, history=((SECOND, "gray", "page"),), summary=EVIL)
    report(written(tmp_path / "results", [evil], [Entry(0, EVIL, EVIL, 2, 1, 1, EVIL)]), "--out", pages[1])
    with browser(command, tmp_path / "profile") as opened:
        for page in pages:
            for width in (1200, 360):
                opened.open(page, width)
                assert opened.value("document.documentElement.scrollWidth") <= width, (page.name, width)
                assert opened.value("document.querySelectorAll('article').length") >= 1
                # The policy lets the page's own style through: else nothing would lie side by side.
                assert opened.value("getComputedStyle(document.querySelector('.map')).display") == "flex"
        assert opened.complaints == []
