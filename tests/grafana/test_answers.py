"""`grayscope live` on the demo fleet, scraped by a real Prometheus: every query of every dashboard and rule is answered, and no panel is empty."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest
from click.testing import CliRunner

from grayscope import plugins
from grayscope.alertrules import rules
from grayscope.dashboards import load, load_rules
from grayscope.fleet import Fleet
from tests.grafana.test_dashboards import panels
from tests.promserver import Prometheus, free_port, get, until
from tests.sinks.test_real_alertmanager import Phone

pytestmark = pytest.mark.slow
#: The demo's two hours in a minute; Grafana takes four scrapes for a rate.
SPEED, RATE, STEP = "120x", "20s", 2


class Scraped:
    """A Prometheus that has scraped a whole run, and asks as Grafana would at its end."""

    def __init__(self, prometheus: Prometheus, text: str) -> None:
        self.prometheus, self.text = prometheus, text
        (build,) = prometheus.now("grayscope_build_info[1h]")
        self.begin, self.end = float(build["values"][0][0]), float(build["values"][-1][0])

    def now(self, expr: str) -> list[dict[str, Any]]:
        return self.prometheus.now(expr, time=self.end)

    def target(self, target: dict[str, Any], chosen: dict[str, str]) -> list[Any]:
        """Return the series of one query of a panel."""
        expr = filled(target["expr"], {**chosen, "__rate_interval": RATE})
        if target.get("instant"):
            return self.now(expr)
        return list(self.prometheus.api("query_range", query=expr, start=self.begin, end=self.end, step=STEP)["result"])

    def choices(self, variable: dict[str, Any], chosen: dict[str, str]) -> list[str]:
        """Return the values of a variable, by its own query."""
        asked = filled(variable["query"]["query"], chosen)
        if found := re.fullmatch(r"label_values\((.*), (\w+)\)", asked):
            given = {"match[]": found[1], "start": self.begin, "end": self.end}
            return list(self.prometheus.api(f"label/{found[2]}/values", **given))
        inner = re.fullmatch(r"query_result\((.*)\)", asked)
        assert inner is not None, asked
        lines = ["{" + ",".join(f'{k}="{v}"' for k, v in sorted(s["metric"].items())) + "} " + s["value"][1] for s in self.now(inner[1])]
        return [m[1] for line in lines if (m := re.search(variable["regex"].strip("/"), line))]


def filled(text: str, chosen: dict[str, str]) -> str:
    return re.sub(r"\$([a-z_]\w*)", lambda m: chosen[m[1]], text)


@pytest.fixture(scope="module")
def scraped(server: Callable[[str, str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scraped]:
    command, folder = server("prometheus", "prometheus"), tmp_path_factory.mktemp("demo")
    Fleet().write(folder / "trace")
    told = CliRunner().invoke(plugins.load("pipelines", "rules"), ["--out", str(folder), "--paths", "rules"])
    assert told.exit_code == 0, told.output
    written = folder / "grayscope.rules.yml"
    written.write_text(written.read_text().replace("interval: 30s", "interval: 2s"))
    port, phone = free_port(), Phone()
    env = {k: v for k, v in os.environ.items() if not k.startswith("GRAYSCOPE_")} | {"GRAYSCOPE_CLUSTER": "demo"}
    argv = [
        "live",
        "--trace",
        folder / "trace",
        "--speed",
        SPEED,
        "--listen",
        f"127.0.0.1:{port}",
        "--webhook",
        f"http://127.0.0.1:{phone.server.server_port}/",
    ]
    with ExitStack() as stack:
        stack.callback(phone.close)
        prometheus = stack.enter_context(Prometheus(command, folder / "prometheus", {"grayscope": port}, every="2s", rules=(written,)))
        log = stack.enter_context((folder / "log").open("w"))
        live = subprocess.Popen([sys.executable, "-m", "grayscope", *map(str, argv)], env=env, stdout=subprocess.DEVNULL, stderr=log)
        stack.callback(live.kill)
        pages = [""]

        def over() -> bool:
            with suppress(subprocess.TimeoutExpired):
                live.wait(2)
            if live.poll() is None:
                pages[0] = get(f"http://127.0.0.1:{port}/metrics")
            return live.poll() is not None

        until(over, lambda: (folder / "log").read_text()[-2000:], 400)
        assert live.returncode == 0, (folder / "log").read_text()[-2000:]
        yield Scraped(prometheus, pages[0])


def suspects(scraped: Scraped) -> list[str]:
    """Return whom the demo's pages and tickets are about."""
    found = scraped.now('group by (subject) (grayscope_incident_info{severity=~"page|ticket"})')
    return sorted(s["metric"]["subject"] for s in found)


def chosen(scraped: Scraped, board: dict[str, Any], **wanted: str) -> dict[str, str]:
    """Return a value for each variable: what is wanted if it is on offer, else all or the first one."""
    picked: dict[str, str] = {}
    for variable in board["templating"]["list"]:
        if variable["type"] != "query":
            continue
        offered = scraped.choices(variable, picked)
        assert offered, f"{board['title']}: nothing to choose for {variable['name']}"
        name = variable["name"]
        picked[name] = wanted.get(name) or (variable["allValue"] if variable.get("includeAll") else offered[0])
        assert picked[name] in offered or picked[name] == variable.get("allValue"), f"{name}: {picked[name]} is not on offer"
    return picked


def unanswered(scraped: Scraped, name: str, **wanted: str) -> set[str]:
    """Return the queries of a dashboard's panels that give nothing."""
    board = load(name)
    picked = chosen(scraped, board, **wanted)
    return {f"{p['title']}: {t['refId']}" for p in panels(board, folded=False) for t in p["targets"] if not scraped.target(t, picked)}


@pytest.mark.parametrize("name", ["fleet", "redundancy", "itself"])
def test_no_panel_is_empty(name: str, scraped: Scraped) -> None:
    assert unanswered(scraped, name) == set()
    assert unanswered(scraped, name, cluster="demo") == set()


def test_no_panel_about_a_suspect_is_empty(scraped: Scraped) -> None:
    found = suspects(scraped)
    assert len(found) == 4, found
    without = {s: unanswered(scraped, "incident", subject=s) for s in found}
    # Who spends nothing has nothing left to show; whoever spends has.
    assert set.union(*without.values()) <= {"Redundancy left: A", "Time until it is spent: A"}
    assert set.intersection(*without.values()) == set()


def test_no_panel_about_a_node_is_empty(scraped: Scraped) -> None:
    without = [unanswered(scraped, "node", node=s.partition("/")[0]) for s in suspects(scraped)]
    assert set.union(*without) <= {"Redundancy left on this node: A"}
    assert set.intersection(*without) == set()


def test_a_metric_that_nobody_has_is_noticed(scraped: Scraped) -> None:
    assert scraped.target({"expr": 'grayscope_misspelt{cluster=~"$cluster"}'}, {"cluster": ".*"}) == []


def test_every_rule_is_evaluated_on_series_that_are_there(scraped: Scraped) -> None:
    groups = scraped.prometheus.api("rules")["groups"]
    assert [(r["name"], r["lastError"]) for g in groups for r in g["rules"] if r["health"] != "ok" or r.get("lastError")] == []
    assert sum(len(g["rules"]) for g in groups) == len(rules("rules"))
    asked = [r["data"][0]["model"]["expr"] for r in load_rules("rules")]
    assert [type(scraped.now(expr)) for expr in asked] == [list] * len(asked)
    named = {m for expr in asked for m in re.findall(r"grayscope_\w+", expr)}
    assert [m for m in sorted(named) if not scraped.now(m)] == []
    told = scraped.now("group by (incident) (ALERTS{severity=~'page|ticket',incident!=''})")  # some hold for longer than the run, and are pending
    assert len(told) == len(suspects(scraped))


def test_promtool_finds_nothing_to_say_about_the_page(scraped: Scraped, server: Callable[[str, str], str]) -> None:
    done = subprocess.run([server("promtool", "prometheus"), "check", "metrics"], input=scraped.text, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    assert 'compute_seconds{subject="job:1/r0"' in scraped.text
