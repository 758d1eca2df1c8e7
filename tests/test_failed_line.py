"""One GPU through the whole line: its memory is corrected, then its job suffers, then it fails: one incident that remembers what it was."""

from __future__ import annotations

import numpy as np

from grayscope import assembly
from grayscope.event import Event
from grayscope.explaining import explain
from grayscope.incident import Incident
from grayscope.roster import Roster, RosterRow
from grayscope.settings import Settings
from grayscope.tick import Tick
from grayscope.verdict import Verdict
from grayscope.wording import utc

PERIOD, GPUS, BAD = 10_000_000, 64, 9
WORN, SLOW, FAILS, END = 60, 180, 300, 310
ECC = 'gpu_ecc_corrected_errors_total{location="total",retention="volatile"}'


def test_masked_then_gray_then_failed_is_one_incident_that_tells_all_three() -> None:
    rows = []
    for i in range(GPUS):
        keys, gpu = {"job": "job:1", "sku": "A", "node": f"n{i // 8:02d}", "role": "dp"}, f"n{i // 8:02d}/gpu{i % 8}"
        rows += [RosterRow(gpu, "gpu", keys=keys), RosterRow(f"job:1/r{i:03d}", "rank", keys={**keys, "gpu": gpu})]
    view, draw, bad = Roster(rows).at(0), np.random.default_rng(1), np.arange(GPUS) == BAD
    engine = assembly.engine(Settings(), periods={"gpu": PERIOD, "rank": PERIOD})
    said, found, subject = list[Verdict](), list[Incident](), view.tables["gpu"][BAD]
    for t in range(1, END):
        errors = np.where(bad & (t > WORN), draw.poisson(3, GPUS), draw.random(GPUS) < 0.001)
        compute = np.exp(0.01 * draw.standard_normal(GPUS) + 0.15 * (bad & (t > SLOW)))
        events = (Event(t * PERIOD - 1, subject, "xid", "48", "double bit", 1),) if t == FAILS else ()
        for table, metric, values in (("gpu", ECC, errors), ("rank", "compute_seconds", compute)):
            matrix = np.asarray(values, np.float32)[None]
            tick = Tick(table, t * PERIOD, PERIOD, view, view.tables[table], (metric,), matrix, np.zeros(GPUS, bool), events)
            output = engine.judged(tick, engine.compared(tick))
            said += output.verdicts
            found += output.incidents
    assert [(v.subject, v.previous, v.state) for v in said] == [(subject, *step) for step in (("normal", "masked"), ("masked", "gray"), ("gray", "failed"))]
    assert len({i.id for i in found}) == 1
    last = found[-1]
    assert [(state, severity) for _, state, severity in last.history] == [("masked", "ticket"), ("gray", "page"), ("failed", "page")]
    assert [time for time, _, _ in last.history] == [v.time for v in said]  # what each verdict says of before is the incident's history
    assert (last.state, last.mode, last.noticed, last.escalated) == ("failed", "uncorrectable_memory", said[0].time, said[1].time)
    told = explain(last)
    assert f"history: masked from {utc(said[0].time)}, gray from {utc(said[1].time)}, failed from {utc(said[2].time)}\n" in told
    assert [part for part in (ECC, "compute_seconds", "xid 48", "left: hbm_ecc: ") if part not in told] == []
