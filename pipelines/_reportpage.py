"""Reportpage: results as one page that needs nothing else: no script, no network, no font; bounded, and it says what it leaves out."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from grayscope.errors import InputError
from grayscope.explaining import called, explained
from grayscope.incident import SEVERITIES, Incident
from grayscope.ledger import Entry
from grayscope.ledgerwords import end_in_words, left_in_words
from grayscope.markup import esc, explanation, table
from grayscope.peerplot import LETTERS, plot
from grayscope.peerplot import STYLE as PLOT
from grayscope.results import Results
from grayscope.series import Series
from grayscope.verdict import STATES
from grayscope.wording import utc

from ._reportmap import Fleet, Mark, Tile

#: Bounds of the page: incidents told, drawings of each, rows of ledger and coverage.
INCIDENTS, PLOTS, ROWS = 100, 2, 200
STYLE = """
:root{color-scheme:light;font:15px/1.45 system-ui,"DejaVu Sans",sans-serif}body{margin:0 auto;max-width:1100px;padding:0 12px 40px;color:#111;
background:#fff}
h1{font-size:1.5rem;margin:.8em 0 .2em}h2{font-size:1.2rem;margin:1.6em 0 .4em;border-bottom:2px solid #111}h3{font-size:1rem;margin:0}
p,li,dd,h1,h3,figcaption,summary{overflow-wrap:anywhere}nav a{margin-right:1em}a{color:#0b3d91}
.wide{overflow-x:auto;max-width:100%}table{border-collapse:collapse;font-size:.85rem}th,td{text-align:left;padding:2px 10px 2px 0;
border-bottom:1px solid #bbb;white-space:nowrap}
td:first-child{max-width:22em;overflow:hidden;text-overflow:ellipsis}.r{text-align:right}
.map{display:flex;flex-wrap:wrap;gap:10px}.g{border:1px solid #999;padding:4px 6px;min-width:0;max-width:100%;box-sizing:border-box}
.g>b{display:block;font-size:.75rem;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}.ts{display:flex;flex-wrap:wrap;gap:3px}
.t{display:inline-flex;flex-wrap:wrap;width:60px;border:1px solid #ccc;padding:1px;align-content:flex-start}.t i{box-sizing:border-box;width:15px;
height:15px;border:1px solid #ddd;font:bold 10px/13px sans-serif;text-align:center}
.t i.n{width:60px;height:13px;border:0;font:9px/13px sans-serif;overflow:hidden;white-space:nowrap;text-align:left}
.unknown{background:#eee;color:#111}.masked{background:#f3d46b;color:#111}.gray{background:#8a5a9e;color:#fff}.failed{background:#111;color:#fff}
i.over{outline:2px dashed #111;outline-offset:-2px;background-clip:content-box}.bad{border:2px solid #111}
.key i{display:inline-block;width:18px;height:18px;border:1px solid #111;font:bold 12px/18px sans-serif;text-align:center;margin-right:3px;
box-sizing:border-box}.key span{margin-right:14px;white-space:nowrap}
article{border-left:5px solid #999;padding:2px 0 2px 10px;margin:14px 0}article.page{border-color:#111}article.ticket{border-color:#777}
article.notice{border-color:#ddd}
dl{margin:.3em 0;font-size:.9rem}dt{font-weight:bold;float:left;margin-right:.5em}dd{margin:0 0 2px}
figure{margin:8px 0;max-width:660px}figcaption{font-size:.8rem}svg{width:100%;height:auto;display:block}
@media print{details{display:block}}
"""
STYLE += PLOT


@dataclass(frozen=True, slots=True)
class Content:
    """What a page is made of."""

    results: Results
    incidents: Sequence[Incident]
    ledger: Sequence[Entry]
    fleet: Fleet
    series: Callable[[Incident], Sequence[Series]] | None


def page(content: Content) -> str:
    """Return the page as HTML."""
    ordered = sorted(content.incidents, key=lambda i: (-SEVERITIES.index(i.severity), i.noticed, i.id))
    shown = ordered[:INCIDENTS]
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    body = "".join([_head(content, ordered), *_map(content.fleet, shown), *_incidents(content, shown, len(ordered)), *_ledger(content.ledger),
                    *_coverage(content.results), *_run(content.results)])  # fmt: skip
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="referrer" content="no-referrer">'
        f"<title>grayscope report</title><style>{STYLE}</style></head><body>{body}</body></html>\n"
    )


def _head(content: Content, ordered: Sequence[Incident]) -> str:
    counts = {s: [i for i in ordered if i.severity == s] for s in reversed(SEVERITIES)}
    said = ", ".join(f"{len(found)} {name}{'' if len(found) == 1 else 's'} ({sum(i.ended is None for i in found)} open)" for name, found in counts.items())
    fleet = content.fleet
    size = f"{fleet.nodes:,} nodes, {fleet.gpus:,} GPUs." if fleet.gpus else "Without the trace, only those in trouble are known by name."
    links = "".join(f'<a href="#{name}">{name}</a>' for name in ("map", "incidents", "ledger", "coverage", "run"))
    return f"<h1>grayscope report: {esc(content.results.run.get('trace') or 'no name')}</h1><p>{said}. {size}</p><nav>{links}</nav>"


def _map(fleet: Fleet, shown: Sequence[Incident]) -> Iterator[str]:
    anchors: dict[str, int] = {}
    for n, incident in enumerate(shown):
        for subject in (incident.subject, *(str(p.get("subject")) for p in incident.evidence)):
            anchors.setdefault(subject, n)
    yield '<h2 id="map">Map</h2><p>The worst state of each place in the run. A square is a GPU, in the order of its slots; '
    yield "the line with the name stands for all else on the node.</p>"
    keys = "".join(f'<span><i class="{s}">{LETTERS[s]}</i>{s}</span>' for s in STATES[1:])
    yield f'<p class=key>{keys}<span><i class="masked over">M</i>dashed: over by the end</span></p><div class=map>'
    for group, tiles in fleet.groups.items():
        yield f"<section class=g><b>{esc(group, 60)}</b><div class=ts>{''.join(_tile(t, anchors) for t in tiles)}</div></section>"
    yield "</div>"
    if fleet.left_out:
        yield f"<p>{fleet.left_out:,} more places are left out of the map; those in trouble come first.</p>"


def _tile(tile: Tile, anchors: dict[str, int]) -> str:
    name, rest = esc(tile.name, 80), tile.rest
    below = f'<i class="n {_classes(rest)}">{LETTERS[rest.state]} {name}</i>' if rest.subject else f"<i class=n>{name}</i>"
    cells = "".join(f'<i class="{_classes(m)}">{LETTERS[m.state]}</i>' if m.subject else "<i></i>" for m in tile.slots.values())
    if not tile.worst:
        return f"<div class=t>{cells}{below}</div>"
    told = "; ".join(f"{m.subject}: {m.state}{'' if m.now == m.state else f', now {m.now}'}" for m in (rest, *tile.slots.values()) if m.subject)
    at = next((anchors[m.subject] for m in (*tile.slots.values(), rest) if m.subject in anchors), None)
    link = ("a", f' href="#i{at}"') if at is not None else ("div", "")
    return f'<{link[0]} class="t bad"{link[1]} title="{esc(told, 500)}">{cells}{below}</{link[0]}>'


def _classes(mark: Mark) -> str:
    return f"{mark.state} over" if mark.now == "normal" else mark.state


def _incidents(content: Content, shown: Sequence[Incident], total: int) -> Iterator[str]:
    yield '<h2 id="incidents">Incidents</h2>'
    if not total:
        yield "<p>None.</p>"
    elif content.series is not None:
        yield "<p>Thick: the suspect. Grey band: eighty of a hundred peers; dashed: their median; dotted: its own past. Below: the states it went through.</p>"
    else:
        yield "<p>No plots: the trace was not given.</p>"
    for n, (incident, text) in enumerate(explained(shown, content.ledger)):
        title = f"{incident.severity.upper()} {incident.subject}: {called(incident)}"
        yield f'<article id="i{n}" class="{incident.severity}"><h3>{esc(title, 400)}</h3>'
        yield f"<p>{esc(incident.summary or 'no words', 500)}</p>"
        yield from (plot(s, incident) for s in (content.series(incident) if content.series is not None else ()))
        yield f"<details open><summary>why ({esc(incident.id, 40)})</summary>{explanation(text)}</details></article>"
    if total > len(shown):
        yield f"<p>{total - len(shown):,} more incidents are left out, the calmest and latest of all; the results hold them.</p>"


def _ledger(entries: Sequence[Entry]) -> Iterator[str]:
    latest = {(e.subject, e.mechanism, e.unit): e for e in sorted(entries, key=lambda e: e.time)}
    held = sorted((e for e in latest.values() if e.spent > 0), key=lambda e: (not e.left <= 0, e.exhausted_at or 2**62, e.subject, e.mechanism))
    yield '<h2 id="ledger">Ledger</h2><p>What is left of redundancy that has been spent; what ends first comes first.</p>'
    rows = [(e.subject, e.mechanism, left_in_words(e), end_in_words(e), utc(e.time)) for e in held[:ROWS]]
    yield table(("subject", "redundancy", "left", "used up", "as of"), rows) if rows else "<p>Nothing has been spent.</p>"
    if len(held) > ROWS:
        yield f"<p>{len(held) - ROWS:,} more rows are left out.</p>"


def _coverage(results: Results) -> Iterator[str]:
    yield '<h2 id="coverage">Coverage</h2><p>What was watched: share of the rows that were expected; least first.</p>'
    try:
        rows = sorted(
            results.coverage.select(["table", "metric", "expected", "reporting", "share"]).to_pylist(), key=lambda r: (r["share"], r["table"], r["metric"])
        )
    except (KeyError, TypeError) as error:
        raise InputError(f"coverage: expected table, metric, expected, reporting and share, found {', '.join(results.coverage.column_names)}") from error
    told = [(r["metric"], r["table"], f"{r['reporting']:,} of {r['expected']:,}", f"{r['share']:.1%}") for r in rows[:ROWS]]
    yield table(("metric", "table", "reporting", "share"), told, frozenset({2, 3})) if told else "<p>Nothing was watched.</p>"
    if len(rows) > ROWS:
        yield f"<p>{len(rows) - ROWS:,} more metrics are left out.</p>"


def _run(results: Results) -> Iterator[str]:
    run = results.run
    yield f'<h2 id="run">Run</h2><p>Digest of the input: <b>{esc(run.get("input") or "none: live")}</b></p>'
    for name in ("settings", "counts", "versions"):
        part = run.get(name)
        rows = (
            [(key, json.dumps(value) if not isinstance(value, str) else value) for key, value in sorted(part.items())[:ROWS]] if isinstance(part, dict) else []
        )
        yield f"<h3>{name}</h3>{table(('key', 'value'), rows)}"
