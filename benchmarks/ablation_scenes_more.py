"""More situations: of counters, fans, supplies and drives, and of GPUs in one job after another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from ablation_scenes import AFTER, BEFORE, MINUTE, RETRANSMITS, SECOND, Floats, Rng, Scene, fleet, of, told

from grayscope.batch import Batch
from grayscope.event import Event
from grayscope.message import Message
from grayscope.roster import RosterRow

ECC = 'gpu_ecc_corrected_errors_total{location="dram",retention="volatile"}'
CPU = "host_cpu_busy_ratio"
HOT = 'gpu_clock_limit_seconds_total{reason="thermal_software"}'
TEMPERATURE, MOVED = "gpu_temperature_celsius", 'nic_port_transferred_bytes_total{direction="transmit"}'
BRAKE = 'gpu_clock_limit_seconds_total{reason="power_brake"}'


def storm(rng: Rng) -> Scene:
    """A few GPUs begin to count errors in the same moment."""
    names = tuple(f"n{i // 8:02}/gpu{i % 8}" for i in range(128))
    bad = np.isin(np.arange(128), rng.choice(128, int(rng.integers(2, 9)), replace=False))
    values = ((rng.random(128) < np.where(bad & (t > BEFORE), 0.99, 0.002))[None].astype(float) for t in range(BEFORE + AFTER))
    rows = tuple(RosterRow(n, "gpu", keys={"node": n[:3], "job": "job:1", "sku": "A"}) for n in names)
    return Scene(rows, told("gpu", names, (ECC,), values), frozenset(n for n, b in zip(names, bad, strict=True) if b))


def lemon(rng: Rng) -> Scene:
    """One GPU is a little slower for 24 minutes of each of ten jobs."""
    minute, long, n, at = 60 * SECOND, 200, 32, int(rng.integers(32))
    rows = [
        RosterRow(f"job:{j}/r{g}", "rank", j * long * minute + 1, (j + 1) * long * minute + 1,
                  {"gpu": f"n{g // 4}/gpu{g % 4}", "node": f"n{g // 4}", "job": f"job:{j}", "role": "dp"})
        for j in range(10) for g in range(n)
    ]  # fmt: skip
    offset, size = rng.normal(0, 0.01, n), 0.025 * (np.arange(n) == at)

    def batches() -> Iterator[Batch]:
        for t in range(10 * long):
            values = np.exp(size * (100 <= t % long < 124) + offset + rng.normal(0, 0.02, n)).astype(np.float32)
            yield Batch("rank", np.array([(t + 1) * minute]), tuple(f"job:{t // long}/r{g}" for g in range(n)), ("compute_seconds",), values[None, None])

    return Scene(tuple(rows), batches(), frozenset({f"n{at // 4}/gpu{at % 4}"}), minute)


def ports(rng: Rng) -> Scene:
    """All ports of a machine begin to retransmit: one matter."""
    n, names = int(rng.integers(16)), tuple(f"n{i // 8:02}/nic{i % 8}" for i in range(128))
    bad = np.arange(128) // 8 == n
    values = ((rng.poisson(5, 128) * (bad & (t > BEFORE)) + (rng.random(128) < 0.002))[None].astype(float) for t in range(BEFORE + AFTER))
    rows = tuple(RosterRow(s, "nic", keys={"node": s[:3], "job": "job:1", "sku": "A", "rail": f"rail:{s[-1]}"}) for s in names)
    return Scene(rows, told("nic", names, (RETRANSMITS,), values), frozenset({f"n{n:02}"}))


def cooled(rng: Rng) -> Scene:
    """The fans of a machine get slower, and so does the only rank of the job on it."""
    rows, at = fleet([1] * 24, 1), int(rng.integers(24))
    rows = tuple(replace(r, keys={"sku": "A"}) if r.table == "node" else r for r in rows)  # beside all machines, whatever their jobs
    bad, ranks = np.arange(24) == at, [r.subject for r in of(rows, "rank")]

    def batches() -> Iterator[Batch]:
        for t in range(1, BEFORE + AFTER):
            now, noise = bad & (t > BEFORE), rng.standard_normal((2, 24))
            time = np.array([t * 10 * SECOND])
            yield Batch(
                "node", time, tuple(r.subject for r in of(rows, "node")), ("fan_speed_rpm",), np.float32((9000 + 60 * noise[0]) * (1 - 0.5 * now))[None, None]
            )
            yield Batch("rank", time, tuple(ranks), ("compute_seconds",), np.exp(0.01 * noise[1] + 0.1 * now).astype(np.float32)[None, None])

    return Scene(rows, batches(), frozenset({f"n{at:02}"}), severity="page")


def halves(rng: Rng) -> Scene:
    """One of a job's two machines gets hot: its eight GPUs are limited most of the time, each by its own share, and its ranks are slower."""
    rows, n = fleet([2] * 4, 8), int(rng.integers(8))
    gpus, ranks, bad = [r.subject for r in of(rows, "gpu")], [r.subject for r in of(rows, "rank")], np.arange(64) // 8 == n
    share, much = rng.uniform(0.3, 1.0, 64), rng.uniform(0.05, 0.2)

    def batches() -> Iterator[Batch]:
        for t in range(1, BEFORE + AFTER):
            now, time = bad & (t > BEFORE), np.array([t * 10 * SECOND])
            limited, took = 10 * share * now * rng.uniform(0.8, 1.0, 64), np.exp(0.01 * rng.standard_normal(64) + much * now)
            yield Batch("gpu", time, tuple(gpus), (HOT,), limited.astype(np.float32)[None, None])
            yield Batch("rank", time, tuple(ranks), ("compute_seconds",), took.astype(np.float32)[None, None])

    return Scene(rows, batches(), frozenset({f"n{n:02}"}), severity="page")


def grazing(rng: Rng) -> Scene:
    """A GPU is too hot and limited all the time, but its rank holds its job up only for ten to twenty minutes, with ten to thirty between, three times."""
    rows, at, size = fleet([8], 4), int(rng.integers(32)), rng.uniform(0.03, 0.06)
    gpus, ranks, bad = [r.subject for r in of(rows, "gpu")], [r.subject for r in of(rows, "rank")], np.arange(32) == at
    spans = [(rng.integers(60, 120), rng.integers(100, 180)) for _ in range(3)]  # ticks of ten seconds
    held = np.concatenate([np.zeros(BEFORE), *(np.repeat([1.0, 0.0], span) for span in spans)])

    def batches() -> Iterator[Batch]:
        for t, now in enumerate(held, 1):
            time, hot = np.array([t * 10 * SECOND]), bad * (t > BEFORE)
            took = np.exp(0.005 * rng.standard_normal(32) + size * now * bad)
            yield Batch("gpu", time, tuple(gpus), (HOT,), (4.0 * hot * rng.uniform(0.8, 1.0, 32)).astype(np.float32)[None, None])
            yield Batch("rank", time, tuple(ranks), ("compute_seconds",), took.astype(np.float32)[None, None])

    return Scene(rows, batches(), frozenset({gpus[at]}), severity="page")


def busy(rng: Rng) -> Scene:
    """Processors of a machine are busy with something else, and its ranks are slower: nobody's part."""
    rows, n = fleet([8], 4), int(rng.integers(8))
    nodes, ranks, bad = [r.subject for r in of(rows, "node")], [r.subject for r in of(rows, "rank")], np.arange(8) == n

    def batches() -> Iterator[Batch]:
        for t in range(1, BEFORE + AFTER):
            now, time = bad & (t > BEFORE), np.array([t * 10 * SECOND])
            used, took = 0.2 + 0.02 * rng.standard_normal(8) + 0.5 * now, np.exp(0.01 * rng.standard_normal(32) + 0.1 * np.repeat(now, 4))
            yield Batch("node", time, tuple(nodes), (CPU,), used.astype(np.float32)[None, None])
            yield Batch("rank", time, tuple(ranks), ("compute_seconds",), took.astype(np.float32)[None, None])

    return Scene(rows, batches(), frozenset())


def braked(rng: Rng) -> Scene:
    """Two machines of a job of seven lose a power supply each, and brake their GPUs."""
    rows, some = fleet([7], 8), rng.choice(7, 2, replace=False)
    bad = np.isin(np.arange(7), some)
    nodes, gpus, ranks = (tuple(r.subject for r in of(rows, table)) for table in ("node", "gpu", "rank"))

    def batches() -> Iterator[Batch]:
        for t in range(1, BEFORE + 2 * AFTER):
            now, time = bad & (t > BEFORE), np.array([t * 10 * SECOND])
            took = np.exp(0.01 * rng.standard_normal(56) + 0.1 * np.repeat(now, 8))
            yield Batch("node", time, nodes, ("psu_redundancy_intact",), (1 - now).astype(np.float32)[None, None])
            yield Batch("gpu", time, gpus, (BRAKE,), np.repeat(9.0 * now, 8).astype(np.float32)[None, None])
            yield Batch("rank", time, ranks, ("compute_seconds",), took.astype(np.float32)[None, None])

    return Scene(rows, batches(), frozenset(f"n{n:02}" for n in some.tolist()), severity="page")


def drives(rng: Rng) -> Scene:
    """Of drives whose latency follows their load one gets four times as much of it, another a fourth, and that one is tired."""
    names = tuple(f"h{i // 12}/disk{i % 12:02}" for i in range(48))
    busy, tired = rng.choice(48, 2, replace=False)

    def values() -> Iterator[Floats]:
        wander = rng.normal(0, 0.5, 48)
        for t in range(600):
            wander = 0.9 * wander + 0.22 * rng.standard_normal(48)
            use = np.exp(wander + np.log(4) * (t >= 300) * ((np.arange(48) == busy) * 1.0 - (np.arange(48) == tired)))
            latency = 1e-4 * (1 + use) * np.exp(rng.normal(0, 0.05, 48)) * (1 + 0.4 * (t >= 300) * (np.arange(48) == tired))
            yield np.stack([1e8 * use, latency])

    metrics = ("drive_throughput_bytes_per_second", "drive_latency_seconds")
    return Scene(tuple(RosterRow(n, "drive") for n in names), told("drive", names, metrics, values(), MINUTE), frozenset({names[tired]}), MINUTE)


def moved(rng: Rng) -> Scene:
    """Of ports that retransmit now and then one moves thirty times as much, and retransmits as often for it; another moves a thirtieth, with as many errors."""
    names = tuple(f"n{i // 8:02}/nic{i % 8}" for i in range(64))
    busy, bad = rng.choice(64, 2, replace=False)
    much = np.where(np.arange(64) == busy, 30.0, np.where(np.arange(64) == bad, 1 / 30, 1.0))
    rate = 0.5 * np.where(np.arange(64) == busy, 30.0, 1.0)
    values = (np.stack([rng.poisson(rate), 1e9 * much * np.exp(0.05 * rng.standard_normal(64))]) for _ in range(2 * (BEFORE + AFTER)))
    rows = tuple(RosterRow(s, "nic", keys={"node": s[:3], "job": "job:1", "sku": "A", "rail": f"rail:{s[-1]}"}) for s in names)
    return Scene(rows, told("nic", names, (RETRANSMITS, MOVED), values), frozenset({names[bad]}))


def turns(rng: Rng) -> Scene:
    """The GPUs of one machine are lost by turns, in four of ten jobs; what counts is what is said from the last time on."""
    long, names, bad = 144, tuple(f"n{n:02}/gpu{g}" for n in range(8) for g in range(2)), int(rng.integers(8))
    days = np.sort(rng.choice(9, 4, replace=False)).tolist()
    rows = [
        RosterRow(s, table, day * long * 10 * MINUTE + 1, (day + 1) * long * 10 * MINUTE + 1, {"job": f"job:{day}", "node": s[:3]})
        for day in range(10) for s, table in [*((s, "gpu") for s in names), *((f"n{n:02}", "node") for n in range(8))]
    ]  # fmt: skip
    falls = {day * long + int(rng.integers(20, 120)): k % 2 for k, day in enumerate(days)}

    def messages() -> Iterator[Message]:
        for t in range(1, 10 * long):
            if t in falls:
                yield Event(t * 10 * MINUTE - MINUTE, f"n{bad:02}/gpu{falls[t]}", "xid", "79", "fallen off the bus")
            yield Batch("gpu", np.array([t * 10 * MINUTE]), names, (TEMPERATURE,), rng.normal(60, 1, (1, 1, len(names))).astype(np.float32))

    return Scene(tuple(rows), messages(), frozenset({f"n{bad:02}"}), 10 * MINUTE, since=(max(falls) + 1) * 10 * MINUTE)


MORE = {f.__name__: f for f in (storm, lemon, ports, cooled, halves, grazing, busy, braked, drives, moved, turns)}
