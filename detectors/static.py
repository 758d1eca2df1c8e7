"""Static: fixed limits, as the health rules of DCGM, AzNHC, GCM and NVSentinel have them today.

Sources: the passive rules of NVIDIA DCGM 4.6 (DcgmHealthWatch), Azure's AzNHC, Meta's gcm and NVIDIA's NVSentinel (2025/26), read off their
code; each limit stands below with its source. Not the originals: they run on the node, and only part of what they read is in this
telemetry. Left out: active tests (AzNHC's floors of bandwidth), retired pages within a week, rules by driver and firmware, PCIe and port
checks against expectations per SKU, and all that was counted before the recording began. Windows of a minute or an hour tumble. Warnings
count like failures unless told otherwise; DCGM's warning that the power limit was felt at all is left out unless asked for, as busy parts
feel it all day and watches are chosen by subsystem. Blind by design: slow clocks, heat without throttling, a narrow or slow link, counts
below a limit, whatever only peers could tell.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from grayscope.catalogue import Metric
from grayscope.columns import Columns, Field, Memory
from grayscope.evidence import NOTHING, Evidence, Finding
from grayscope.rivals import CERTAIN, called, mode_of
from grayscope.standing import Standing
from grayscope.tick import Tick

#: Seconds of a rule's window; a value as it stands has none, a total never ends.
NOW, SECOND, MINUTE, HOUR, TOTAL = 0, 1, 60, 3600, -1
WINDOWS = (MINUTE, HOUR, TOTAL)
#: What the subsystem power watches.
POWER = 'gpu_clock_limit_seconds_total{reason="power"}'


class Rule(NamedTuple):
    """More than `limit` within the window is an alarm; below `limit`, for what is worse when lower."""

    metric: str
    limit: float
    window: int
    source: str
    warns: bool = False


RULES = (
    Rule('gpu_ecc_uncorrected_errors_total{location="total",retention="volatile"}', 0, TOTAL, "DCGM"),
    Rule('gpu_ecc_corrected_errors_total{location="total",retention="volatile"}', 20e6, TOTAL, "AzNHC (gcm: 50 million)"),
    Rule('gpu_ecc_corrected_errors_total{location="dram",retention="volatile"}', 20e6, TOTAL, "AzNHC"),
    Rule('gpu_ecc_corrected_errors_total{location="sram",retention="volatile"}', 10e3, TOTAL, "AzNHC"),
    Rule('gpu_rows_remapped_total{cause="uncorrected"}', 511, TOTAL, "DCGM", True),
    Rule("gpu_row_remap_pending", 0, NOW, "gcm"),
    Rule("gpu_row_remap_failed", 0, NOW, "DCGM, gcm"),
    Rule("gpu_page_retirement_pending", 0, NOW, "DCGM", True),
    Rule("gpu_pages_retired_total", 62, TOTAL, "DCGM"),
    Rule("gpu_recovery_action", 0, NOW, "DCGM"),
    *(Rule(f'gpu_clock_limit_seconds_total{{reason="{heat}"}}', 0, NOW, "DCGM", True) for heat in ("thermal", "thermal_hardware", "thermal_software")),
    Rule(POWER, 0, NOW, "DCGM", True),
    *(Rule(f"{where}nvlink_{what}_total", 0, MINUTE, "DCGM, gcm") for where in ("", "gpu_") for what in ("replays", "recoveries")),
    *(Rule(f"{where}nvlink_crc_errors_total", 0, MINUTE, "DCGM", True) for where in ("", "gpu_")),
    *(Rule(f"{where}nvlink_crc_errors_total", 99, SECOND, "DCGM") for where in ("", "gpu_")),
    *(Rule(f"{where}nvlink_packet_errors_total", 0, NOW, "DCGM (NVLink 5)") for where in ("", "gpu_")),
    Rule('nvlink_bit_error_ratio{stage="effective"}', 1e-12, NOW, "DCGM (NVLink 5)"),  # silent on the raw one
    Rule("nvlink_up", 1, NOW, "DCGM"),
    Rule("pcie_replays_total", math.nan, MINUTE, "DCGM", True),  # the limit follows from generation and width
    Rule("nic_port_link_downs_total", 0, NOW, "NVSentinel"),
    Rule('nic_port_receive_errors_total{class="overrun"}', 0, NOW, "NVSentinel"),
    Rule('nic_port_receive_errors_total{class="integrity"}', 0, NOW, "NVSentinel"),
    Rule('nic_port_retransmits_total{cause="rnr"}', 0, NOW, "NVSentinel"),
    Rule("nic_port_symbol_errors_total", 10, SECOND, "NVSentinel"),
    Rule("nic_port_symbol_errors_total", 120, HOUR, "NVSentinel"),
    Rule("nic_port_link_recoveries_total", 5, MINUTE, "NVSentinel"),
    Rule("nic_port_receive_errors_total", 10, SECOND, "NVSentinel"),
    Rule('nic_port_retransmits_total{cause="ack_timeout"}', 1, SECOND, "NVSentinel"),
    Rule('nic_port_discards_total{direction="transmit"}', 100, SECOND, "NVSentinel"),
    Rule('nic_port_congestion_total{event="slow_restart"}', 10, SECOND, "NVSentinel"),
)  # fmt: skip
#: DCGM: replays per minute and lane, by PCIe generation (a bit error ratio of 1e-12); without the link's own data Gen5 x16.
REPLAYS = (0.15, 0.15, 0.3, 0.48, 0.96, 1.92, 3.84)
GENERATION, LANES = 5, 16
#: DCGM 4.6: codes that fail or warn; once seen, the verdict holds until the part is replaced (there: until DCGM restarts).
FAILING = frozenset((48, 64, 74, 79, 95, 119, 120, 140))
WARNING = frozenset((94, 63, 31, 32, 43, 38, 39, 42, 60, 61, 62, 54, 56, 57, 58, 78, 67, 73, 121, 137))


class Static:
    """Compare what is reported with the limits of today's health checks.

    Parameters
    ----------
    false_pages : float
        Unused: the limits are what they are.
    warnings : bool
        False leaves out what only warns: violations of power and heat, PCIe replays, single CRC errors, spare rows, some Xids.
    power : bool
        Watch the subsystem power too: any time at the power limit warns.
    """

    rival: ClassVar[bool] = True

    def __init__(self, *, false_pages: float = 1.0, warnings: bool = True, power: bool = False) -> None:
        del false_pages
        self.warnings, self.xids = warnings, FAILING | WARNING if warnings else FAILING
        self.rules = tuple(r for r in RULES if (warnings or not r.warns) and (power or r.metric != POWER))
        self.memory = Memory({"sum": Field(np.float64, 0.0, (len(WINDOWS),)), "xid": Field(np.int32, 0, per_metric=False)})
        self.windows: dict[str, list[int]] = {}  # table -> number of the current window of each length
        self.plans: dict[str, Plan] = {}  # by table, made again when its metrics change

    def step(self, tick: Tick, standing: Standing) -> Evidence:
        """Return whatever is beyond a limit."""
        plan = self.plans.get(tick.table)
        if plan is None or plan.metrics is not standing.metrics:
            plan = self.plans[tick.table] = Plan(self.rules, tick, standing)
        if not len(plan.row) and tick.table != "gpu":
            return NOTHING
        columns = self.memory.of(tick)
        self._count(tick, columns, plan)
        findings = [*_beyond(tick, standing, columns, plan), *self._xids(tick, columns)]
        return Evidence(findings) if findings else NOTHING

    def _count(self, tick: Tick, columns: Columns, plan: Plan) -> None:
        """Add this tick to the sums; a new window begins at zero."""
        sums = columns.arrays["sum"]
        number = [(tick.time - 1) // (w * 1_000_000) if w > 0 else 0 for w in WINDOWS]
        for i, (now, before) in enumerate(zip(number, self.windows.get(tick.table, number), strict=True)):
            if now != before:
                sums[i] = 0.0
        self.windows[tick.table] = number
        for i, rows in enumerate(plan.summed):
            sums[i, rows] += np.where(np.isfinite(tick.values[rows]), tick.values[rows], 0.0)

    def _xids(self, tick: Tick, columns: Columns) -> Iterator[Finding]:
        if tick.table != "gpu":
            return
        codes = columns.arrays["xid"]
        where = {name: i for i, name in enumerate(tick.subjects)} if tick.events else {}
        for event in tick.events:
            if event.source == "xid" and event.subject in where and event.code.isdecimal() and int(event.code) in self.xids:
                codes[where[event.subject]] = int(event.code)
        for s in np.flatnonzero(codes).tolist():
            text = f"Xid {codes[s]} was seen, which fails the check of DCGM until it is restarted"
            yield Finding(tick.time, tick.subjects[s], "health", "static", CERTAIN, value=float(codes[s]), expected=0.0, why=text)

    def snapshot(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the whole state."""
        return self.memory.snapshot() | {f"{table}|windows": np.array(n, np.int64) for table, n in self.windows.items()}

    def restore(self, state: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Become what `snapshot` returned."""
        self.windows = {key.partition("|")[0]: n.tolist() for key, n in state.items() if key.endswith("|windows")}
        self.memory.restore({key: array for key, array in state.items() if not key.endswith("|windows")})


class Plan:
    """Which rule stands for which row of a table: worked out once, as rules are few and ticks are many."""

    def __init__(self, rules: tuple[Rule, ...], tick: Tick, standing: Standing) -> None:
        self.metrics = standing.metrics
        known = [m for m, x in enumerate(standing.metrics) if x is not None]
        pairs = [(m, rule) for m in known for rule in _rules(rules, tick.metrics[m])]
        self.row, self.rules = np.array([m for m, _ in pairs], np.intp), [r for _, r in pairs]
        self.summed = [np.unique([m for m, r in pairs if r.window == w]).astype(np.intp) for w in WINDOWS]
        self.limit = np.array([[r.limit] for r in self.rules], np.float64).reshape(-1, 1)
        lower = [(x := standing.metrics[m]) is not None and x.worse == "lower" for m in self.row.tolist()]
        self.sign = np.where(np.array(lower, bool), -1.0, 1.0)[:, None]
        self.replays = [i for i, r in enumerate(self.rules) if r.metric == "pcie_replays_total"]

    def values(self, tick: Tick, columns: Columns) -> NDArray[np.float64]:
        """Return what each rule looks at, shape [rules, S]."""
        values = tick.values[self.row].astype(np.float64)
        for i, rule in enumerate(self.rules):
            if rule.window in WINDOWS:
                values[i] = columns.arrays["sum"][WINDOWS.index(rule.window), self.row[i]]
            elif rule.window == SECOND:
                values[i] /= tick.period / 1e6
        return values


def _beyond(tick: Tick, standing: Standing, columns: Columns, plan: Plan) -> Iterator[Finding]:
    """Yield one finding for each cell beyond a limit, by the first rule that says so."""
    if not len(plan.row):
        return
    values, limit = plan.values(tick, columns), np.broadcast_to(plan.limit, (len(plan.row), len(tick.subjects)))
    if plan.replays:
        limit = limit.copy()
        limit[plan.replays] = _replays(tick)
    with np.errstate(invalid="ignore"):
        bad = plan.sign * values > plan.sign * limit
    told = set[tuple[int, int]]()
    for i, s in np.argwhere(bad).tolist() if bad.any() else ():
        metric = standing.metrics[plan.row[i]]
        if metric is not None and (plan.row[i], s) not in told:
            told.add((int(plan.row[i]), s))
            yield _finding(tick, metric, int(plan.row[i]), s, plan.rules[i], float(values[i, s]), float(limit[i, s]))


def _finding(tick: Tick, metric: Metric, m: int, s: int, rule: Rule, value: float, limit: float) -> Finding:
    over = "below" if metric.worse == "lower" else "above"
    text = f"{tick.metrics[m]}: {value:.4g}{_per(rule.window)} is {over} the limit {limit:.4g} of {rule.source}"
    found = Finding(tick.time, called(tick, tick.subjects[s]), metric.side, "static", CERTAIN, mode_of(metric), metric.mechanism or "", tick.metrics[m])
    return found._replace(value=value, expected=limit, why=text)


def _rules(rules: tuple[Rule, ...], name: str) -> tuple[Rule, ...]:
    """Return the rules for a metric: those of its full name, else those of its name without labels.

    Examples
    --------
    >>> [r.limit for r in _rules(RULES, 'nvlink_crc_errors_total{class="data"}')], _rules(RULES, "gpu_power_watts")
    ([0, 99], ())
    """
    return tuple(r for r in rules if r.metric == name) or tuple(r for r in rules if r.metric == name.partition("{")[0])


def _replays(tick: Tick) -> NDArray[np.float64]:
    """Return DCGM's limit of replays per minute for every link."""
    rows = {name: m for m, name in enumerate(tick.metrics)}

    def known(name: str, otherwise: float, low: int, high: int) -> NDArray[np.float64]:
        values = tick.values[rows[name]].astype(np.float64) if name in rows else np.full(len(tick.subjects), math.nan)
        return np.clip(np.where(np.isfinite(values), values, otherwise), low, high)

    generation = known("pcie_link_generation", GENERATION, 1, len(REPLAYS) - 1).astype(np.intp)
    limit: NDArray[np.float64] = np.ceil(np.round(np.array(REPLAYS)[generation] * known("pcie_link_width_lanes", LANES, 1, 32), 9))
    return limit


def _per(window: int) -> str:
    return {SECOND: " per second", MINUTE: " in a minute", HOUR: " in an hour", TOTAL: " in total"}.get(window, "")
