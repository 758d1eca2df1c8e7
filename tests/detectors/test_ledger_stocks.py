"""Ledger: stocks that are used up piece by piece."""

from __future__ import annotations

import re

import numpy as np
import pytest

from grayscope import plugins
from grayscope.catalogue import Catalogue
from grayscope.roster import Roster, RosterRow
from grayscope.stand import Stand
from grayscope.tick import Tick
from tests.detectors.books import NAMES, ROWS, SHOWN, Array, Books, flat, keep, late, staircase


def test_old_rows_are_told_once_and_accuse_nobody() -> None:
    books = keep(("gpu", staircase([], 200, start=1.0)))
    assert [(e.subject, e.spent, e.left, e.exhausted_at) for e in books.entries] == [("n0/gpu3", 1, 511, 0), ("n0/gpu5", 2, 510, 0)]
    assert books.findings == []


def test_rows_that_go_one_after_another_end_within_days() -> None:
    books = keep(("gpu", staircase(list(range(360, 2160, 180)), 2200)))  # two an hour
    assert books.accused == {"n0/gpu3"}
    first, last = books.findings[0], [e for e in books.entries if e.subject == "n0/gpu3"][-1]
    assert (first.mode, first.mechanism) == ("hbm_row_spares", "hbm_row_spares")
    assert first.exhausted_low < first.exhausted_at < first.exhausted_high
    assert (last.spent, last.left, last.unit) == (10, 502, "rows")
    assert abs(last.rate - 2.0) < 0.3
    assert last.exhausted_low < last.time + 502 / 2.0 * 3600e6 < last.exhausted_high
    assert "502" in books.findings[-1].why or "503" in books.findings[-1].why


def test_a_single_new_row_foretells_nothing() -> None:
    books = keep(("gpu", staircase([360], 800)))
    assert books.findings == []
    assert [e.exhausted_at for e in books.entries if e.subject == "n0/gpu3"] == [0]


def test_the_horizon_is_a_setting() -> None:
    table = ("gpu", staircase(list(range(360, 2160, 180)), 2200))
    assert keep(table, detector=plugins.detector("ledger", horizon=5.0)).findings == []


def test_more_than_ten_rows_are_beyond_the_knee_however_old() -> None:
    assert keep(("gpu", staircase([], 20, start=10.0))).findings == []
    books = keep(("gpu", staircase([], 20, start=11.0)))
    assert books.accused == {"n0/gpu3"}
    assert "83 % regress" in books.findings[0].why


def test_a_driver_reload_is_no_new_spending() -> None:
    values = staircase([], 100, start=3.0)
    values[SHOWN][40:45, 3] = 0  # read as nothing for a while
    values[ROWS][45, 3] = 3  # and then as before: the increments are fooled, the total is not
    books = keep(("gpu", values))
    assert [(e.subject, e.spent) for e in books.entries] == [("n0/gpu3", 3), ("n0/gpu5", 2)]


def test_without_totals_what_is_spent_is_at_least_what_was_seen() -> None:
    gained = {ROWS: staircase(list(range(20, 130, 10)), 200)[ROWS]}
    books = keep(("gpu", gained))
    assert books.accused == {"n0/gpu3"}
    assert "at least 11 rows" in books.findings[-1].why


def test_the_last_page_and_the_last_address() -> None:
    pages = late(10, 64)
    books = keep(("gpu", {'gpu_pages_retired_total{cause="single_bit"}': flat(0), 'gpu_pages_retired{cause="single_bit"}': pages}))
    assert books.accused == {"n0/gpu3"}
    assert (books.findings[0].left, books.findings[0].mechanism) == (0, "page_retirement")
    sram = keep(("gpu", {"gpu_sram_unique_uncorrected_errors_total": flat(0), "gpu_sram_unique_uncorrected_errors": late(0, 4)}))
    assert (sram.findings[0].left, sram.findings[0].mechanism) == (0, "sram_ecc")


def test_of_unique_errors_beyond_secded_two_are_the_last() -> None:
    """A bank bears four parity errors, but two of the others (GPU Memory Error Management)."""
    total, shown = (f'gpu_sram_unique_uncorrected_errors{end}{{kind="secded"}}' for end in ("_total", ""))
    books = keep(("gpu", {total: flat(0), shown: late(0, 2)}))
    assert [(f.left, f.expected, f.mechanism) for f in books.findings[:1]] == [(0, 2, "sram_ecc")]
    parity = keep(("gpu", {n.replace("secded", "parity"): v for n, v in ((total, flat(0)), (shown, late(0, 2)))}))
    assert parity.findings == []
    assert [e.left for e in parity.entries] == [2]


def test_a_replaced_board_starts_with_a_clean_book() -> None:
    detector = plugins.detector("ledger")
    keep(("gpu", staircase([], 20, start=11.0)), detector=detector)
    names = tuple(NAMES["gpu"](i) for i in range(16))
    fresh = np.zeros(16, bool)
    fresh[3] = True
    view = Roster(RosterRow(s, "gpu", keys={"sku": "A"}) for s in names).at(0)
    values = np.zeros((2, 16), np.float32)
    for t in range(21, 40):
        tick = Tick("gpu", t * 10_000_000, 10_000_000, view, names, (SHOWN, ROWS), values, fresh if t == 21 else np.zeros(16, bool))
        evidence = detector.step(tick, Stand(Catalogue.load()).step(tick))
        assert [f.subject for f in evidence] == []


def fleet(gaps: list[list[int]], ticks: int) -> dict[str, Array]:
    """Return increments and totals of parts 6 and on, whose steps come after so many ticks each."""
    values = {name: flat(0, ticks, 48) for name in (ROWS, SHOWN)}
    for who, mine in enumerate(gaps, 6):
        values[ROWS][np.cumsum(mine), who] = 1
    values[SHOWN] += np.cumsum(values[ROWS], axis=0)
    return values


def width(books: Books, subject: str) -> float:
    """Return the first interval's upper end over its lower."""
    first = next(e for e in books.entries if e.subject == subject and e.exhausted_high)
    return (first.exhausted_high - first.time) / (first.exhausted_low - first.time)


def test_a_part_begins_with_how_regularly_the_rows_of_others_go() -> None:
    others = [[200] * 9, [20] * 12, [70] * 10]
    late = [2000, 90]
    alone, among = keep(("gpu", fleet([late], 2200))), keep(("gpu", fleet([late, *others], 2200)))
    assert width(alone, "n0/gpu6") > 15
    assert width(among, "n0/gpu6") < 5
    bursts = keep(("gpu", fleet([late, *[[g, 1, 2, 1, 3 * g, 1, 1, 2 * g, 2, 1] for g in (60, 90, 120)]], 2200)))
    assert width(bursts, "n0/gpu6") > 1.5 * width(alone, "n0/gpu6")


def test_what_others_show_survives_a_checkpoint() -> None:
    values = fleet([[2000, 90], [200] * 9, [20] * 12], 2200)
    whole = keep(("gpu", values))
    first, second = plugins.detector("ledger"), plugins.detector("ledger")
    keep(("gpu", {name: v[:2050] for name, v in values.items()}), detector=first)
    second.restore(first.snapshot())
    assert second.kinds["stock"]._messages == {}
    rest = keep(("gpu", {name: v[2050:] for name, v in values.items()}), detector=second)
    assert width(rest, "n0/gpu6") == pytest.approx(width(whole, "n0/gpu6"), rel=1e-6)


def test_how_fast_rows_go_is_told_with_an_interval() -> None:
    books = keep(("gpu", staircase(list(range(360, 2160, 180)), 2200)))  # two an hour
    told = re.search(r"; spent at ([\d.]+) an hour \(80 % interval ([\d.]+) to ([\d.]+)\); used up", books.findings[-1].why)
    assert told is not None
    rate, low, high = map(float, told.groups())
    assert low < 2 < high
    assert low < rate < high < 2 * low


def test_the_worst_bank_ends_first() -> None:
    banks = {f'gpu_row_remap_banks{{availability="{a}"}}': flat(640 if a == "max" else 0) for a in ("max", "high", "partial", "low", "none")}
    assert keep(("gpu", banks)) == Books([], [])
    banks['gpu_row_remap_banks{availability="partial"}'][20:, 3] = 1
    books = keep(("gpu", banks))
    assert (books.findings, books.entries[0].budget, books.entries[0].left) == ([], 8, 2)
    banks['gpu_row_remap_banks{availability="low"}'][30:, 3] = 1
    books = keep(("gpu", banks))
    assert (books.accused, books.findings[0].left, books.entries[-1].spent) == ({"n0/gpu3"}, 1, 7)


def test_rows_of_one_bank_end_with_its_spares() -> None:
    gone = np.zeros((240, 8))
    for k in range(5):
        gone[20 + 30 * k :, 3] += 1
    touched = (gone > 0).astype(float)
    banks = {'gpu_row_remap_banks{availability="partial"}': touched, 'gpu_row_remap_banks{availability="max"}': 640 - touched}
    for cause, end in (("uncorrected", 8), ("corrected", 512)):
        rows = {f'gpu_rows_remapped_total{{cause="{cause}"}}': np.diff(gone, axis=0, prepend=0.0), f'gpu_rows_remapped{{cause="{cause}"}}': gone}
        last = next(e for e in keep(("gpu", {**rows, **banks}), period=60.0).entries if e.unit == "rows" and e.spent == 5)
        assert last.exhausted_low < (20 + 30 * (end - 1)) * 60_000_000 < last.exhausted_high, cause
