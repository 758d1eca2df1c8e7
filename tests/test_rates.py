"""Counters: growth, wrap, clamp, reset, first sight, replacement."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grayscope.catalogue import Catalogue
from grayscope.rates import Rates, Raw

REPLAYS = "pcie_replays_total"  # 32 bit, wraps
NARROW = 'pcie_correctable_errors_total{type="bad_tlp"}'  # 16 bit, wraps
TINY = "pcie_uncorrectable_errors_total"  # 8 bit, wraps
SYMBOLS = "nic_port_symbol_errors_total"  # 16 bit, clamps
DOWNS = "nic_port_link_downs_total"  # 8 bit, clamps
ECC = 'gpu_ecc_corrected_errors_total{location="total",retention="volatile"}'  # 64 bit
CLOCK = 'gpu_clock_hertz{domain="sm"}'


def increments(metric: str, totals: list[float], factor: float = 1.0, rates: Rates | None = None) -> list[float]:
    rates = rates or Rates(Catalogue.load())
    raw = Raw("t", np.arange(len(totals)), ("a",), (metric,), np.array([factor]), np.array(totals, np.float64).reshape(-1, 1, 1))
    return [float(v) for v in rates.batch(raw).values.ravel()]


def same(found: list[float], expected: list[float]) -> bool:
    return bool(np.array_equal(found, expected, equal_nan=True))


NAN = float("nan")


@pytest.mark.parametrize(
    ("metric", "totals", "expected"),
    [
        (REPLAYS, [5, 5, 9], [NAN, 0, 4]),
        (REPLAYS, [2**32 - 3, 2], [NAN, 5]),  # round, not silent
        (NARROW, [2**16 - 1, 4], [NAN, 5]),
        (TINY, [250, 3], [NAN, 9]),
        (TINY, [250, 251, 3], [NAN, 1, 8]),
        (REPLAYS, [100, 110, 4], [NAN, 10, 4]),  # started again: what it shows came since
        (REPLAYS, [100, 101, 90], [NAN, 1, NAN]),  # another part's total is no burst
        (ECC, [2.0**40, 2.0**40 + 3, 0], [NAN, 3, 0]),  # driver reload
        (SYMBOLS, [65530, 65535, 65535, 65535], [NAN, NAN, NAN, NAN]),  # full: nobody knows
        (SYMBOLS, [65535, 3], [NAN, NAN]),  # cleared after it was full: nothing is known of a first row
        (DOWNS, [254, 255], [NAN, NAN]),
        (DOWNS, [255, 300, 310], [NAN, 45, 10]),  # a wider source than the narrowest
        (SYMBOLS, [60000, 10], [NAN, NAN]),  # clamping counters never wrap
        (REPLAYS, [5, NAN, 9], [NAN, NAN, 4]),  # since the previous row that was there
        (CLOCK, [1.0, 2.0], [1.0, 2.0]),  # a gauge is left alone
    ],
)
def test_increment(metric: str, totals: list[float], expected: list[float]) -> None:
    assert same(increments(metric, totals), expected)


def test_scaling_comes_after_the_way_round() -> None:
    assert same(increments(REPLAYS, [2**32 - 2, 2], factor=0.5), [NAN, 2.0])


def test_what_happened_is_counted() -> None:
    rates = Rates(Catalogue.load())
    increments(REPLAYS, [2**32 - 3, 2, 1], rates=rates)
    increments(SYMBOLS, [65535, 65535], rates=rates)
    increments(CLOCK, [np.inf, 9223372036854775794.0, 140737488355329.0, 5.0], rates=rates)
    assert rates.counts == {"reset": 1, "wrapped": 1, "saturated": 1, "blank": 2, "not_finite": 1}


def test_a_replaced_part_inherits_no_total() -> None:
    rates = Rates(Catalogue.load())
    increments(ECC, [100, 101], rates=rates)
    rates.forget({"a", "b"})
    assert same(increments(ECC, [5000, 5001], rates=rates), [NAN, 1])


def test_increments_stay_increments() -> None:
    rates = Rates(Catalogue.load(), cumulative=False)
    assert increments(REPLAYS, [5, 5, 1], rates=rates) == [5, 5, 1]


@given(st.lists(st.integers(0, 2**31), min_size=1, max_size=30), st.integers(0, 2**32 - 1))
def test_a_wrapping_counter_loses_nothing(steps: list[int], start: int) -> None:
    """Whatever the start, increments below half the range come back as they were, unless a fall looked like a reset."""
    totals = np.cumsum([start, *(s // 2 for s in steps)]) % 2**32
    found = increments(REPLAYS, totals.tolist())[1:]
    assert all(f == np.float32(s // 2) or (f != f) for f, s in zip(found, steps, strict=True))
    rolled = [f for f, a, b in zip(found, totals[:-1], totals[1:], strict=True) if b < a and a >= 2**31]
    assert all(f == f for f in rolled)


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=20), st.integers(1, 19))
def test_splitting_rows_changes_nothing(steps: list[int], cut: int) -> None:
    totals = np.cumsum(steps).astype(float).tolist()
    rates = Rates(Catalogue.load())
    cut = min(cut, len(totals) - 1)
    assert same(increments(ECC, totals[:cut], rates=rates) + increments(ECC, totals[cut:], rates=rates), increments(ECC, totals))


class PerCell:
    """The rules of the module's first lines, one cell after the other."""

    def __init__(self) -> None:
        self.last: dict[tuple[str, str], float] = {}
        self.peak: dict[tuple[str, str], float] = {}
        self.counts = dict.fromkeys(("reset", "wrapped", "saturated"), 0)

    def step(self, metric: str, subject: str, now: float) -> float:
        """Return the increment of one cell."""
        bits, clamps, cell = KINDS[metric][0], KINDS[metric][1], (metric, subject)
        if now != now:
            return NAN
        last, self.last[cell] = self.last.get(cell), now
        if last is None:
            return NAN
        found = now - last if now >= last else self._fell(cell, last, now, 2.0**bits, clamps)
        if clamps and now == 2.0**bits - 1 and found == found:
            self.counts["saturated"] += 1
            return NAN
        if found == found:
            self.peak[cell] = max(self.peak.get(cell, found), found)
        return found

    def _fell(self, cell: tuple[str, str], last: float, now: float, modulus: float, clamps: bool) -> float:
        around = now - last + modulus
        if not clamps and modulus < 2.0**64 and modulus / 2 <= last < modulus and around < modulus / 2:
            self.counts["wrapped"] += 1
            return around
        self.counts["reset"] += 1
        return now if 0 <= now <= max(self.peak.get(cell, 0.0), 0.0) else NAN


#: Width, and whether it sticks at its end.
KINDS = {REPLAYS: (32, False), NARROW: (16, False), TINY: (8, False), SYMBOLS: (16, True), DOWNS: (8, True), ECC: (64, False)}
TOTALS = st.one_of(
    st.sampled_from([0, 1, 127, 128, 254, 255, 256, 2**15, 2**16 - 1, 2**16, 2**31, 2**32 - 1, 2**32, 2**53, -1]), st.integers(0, 300), st.just(NAN)
)


@given(st.data())
def test_a_table_at_once_gives_the_bits_of_one_cell_at_a_time(data: st.DataObject) -> None:
    """Subjects and metrics come and go from batch to batch, some are replaced: values and counts are those of the plain rules."""
    rates, plain = Rates(Catalogue.load()), PerCell()
    for _ in range(data.draw(st.integers(1, 4))):
        metrics = tuple(data.draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, unique=True)))
        subjects = tuple(data.draw(st.lists(st.sampled_from("abc"), min_size=1, unique=True)))
        shape = (data.draw(st.integers(1, 5)), len(metrics), len(subjects))
        values = np.array(data.draw(st.lists(TOTALS, min_size=int(np.prod(shape)), max_size=int(np.prod(shape)))), np.float64).reshape(shape)
        factors = np.array(data.draw(st.lists(st.sampled_from([1.0, 0.5, 1e-3]), min_size=len(metrics), max_size=len(metrics))))
        found = rates.batch(Raw("t", np.arange(shape[0]), subjects, metrics, factors, values))
        expected = [[[np.float32(plain.step(m, s, values[t, i, j]) * factors[i]) for j, s in enumerate(subjects)] for i, m in enumerate(metrics)]
                    for t in range(shape[0])]  # fmt: skip
        assert np.array_equal(found.values[:, : len(metrics)], np.array(expected, np.float32), equal_nan=True)
        assert {what: rates.counts[what] for what in plain.counts} == plain.counts
        if gone := data.draw(st.sets(st.sampled_from("abc"), max_size=2)):
            rates.forget(gone)
            plain.last = {cell: v for cell, v in plain.last.items() if cell[1] not in gone}
            plain.peak = {cell: v for cell, v in plain.peak.items() if cell[1] not in gone}


# -- ratios of two counters -----------------------------------------------------------------------------------------

ERRORS, BITS, RATIO = "nic_port_fec_corrected_bits_total", "nic_port_received_bits_total", 'nic_port_bit_error_ratio{stage="raw"}'


def formed(errors: list[float], bits: list[float], rates: Rates | None = None, told: str = "") -> list[float] | None:
    """Return the ratio that is formed of two counters of one port, None where there is none; `told` is another column."""
    names = (ERRORS, BITS, *([told] if told else []))
    values = np.array([errors, bits, *([[1e-9] * len(bits)] if told else [])], np.float64).T[:, :, None]
    batch = (rates or Rates(Catalogue.load())).batch(Raw("nic", np.arange(len(bits)), ("n1/nic0",), names, np.ones(len(names)), values))
    return [float(v) for v in batch.values[:, batch.metrics.index(RATIO), 0]] if RATIO in batch.metrics[len(names) :] else None


@pytest.mark.parametrize(
    ("errors", "bits", "expected"),
    [
        ([0, 99.5], [0, 1e10], [NAN, 1e-8]),
        ([0, 0, 0], [0, 1e9, 5e12], [NAN, 5e-10, 5e-10]),  # none is a bound, no zero, and the same one however much was received
        ([0, 9], [0, 1e8], [NAN, NAN]),  # too little was received to say anything
        ([0, 99.5, 50, 149.5], [0, 1e10, 1e9, 1.1e10], [NAN, 1e-8, NAN, 1e-8]),  # both started again
        ([0, 9e5, NAN, 9e5 + 199.5], [0, 1e10, 2e10, 3e10], [NAN, 9.00005e-5, NAN, 1e-8]),  # over the same time for both
        ([0, 99.5, 299.0], [0, NAN, 3e10], [NAN, NAN, 9.98333e-9]),
    ],
)
def test_a_ratio_is_formed_of_two_counters_whatever_the_batching(errors: list[float], bits: list[float], expected: list[float]) -> None:
    whole = formed(errors, bits)
    assert whole == pytest.approx(expected, rel=1e-5, nan_ok=True)
    one, parts = Rates(Catalogue.load()), list[float]()
    for t in range(len(bits)):
        parts += formed([errors[t]], [bits[t]], one) or []
    assert same(parts, whole or [])


def test_a_ratio_that_is_told_is_not_formed_and_a_replaced_part_has_none() -> None:
    assert formed([0, 1], [0, 1e10], told="nic_port_bit_error_ratio") is None
    assert formed([0, 1], [0, 1e10], told=RATIO) is None
    rates = Rates(Catalogue.load())
    formed([0, 1], [0, 1e10], rates)
    rates.forget({"n1/nic0"})
    assert same(formed([50], [5e10], rates) or [], [NAN])


def test_a_ratio_of_increments_needs_no_past() -> None:
    assert formed([99.5, 0, NAN], [1e10, 1e8, 1e10], Rates(Catalogue.load(), cumulative=False)) == pytest.approx([1e-8, NAN, NAN], nan_ok=True)
