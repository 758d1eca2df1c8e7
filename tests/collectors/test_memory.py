"""Memory: EDAC's counts per module or per controller, never both; wraps and resets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from grayscope import plugins
from grayscope.errors import Unsupported
from tests.hosttree import Clock, events, keys, plant, values

MC = "sys/devices/system/edac/mc"
CORRECTED, UNCORRECTED = "host_memory_corrected_errors_total", "host_memory_uncorrected_errors_total"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    plant(tmp_path, {"proc/sys/kernel/hostname": "n1", f"{MC}/mc0/ce_count": 12, f"{MC}/mc0/ue_count": 0, f"{MC}/mc0/ce_noinfo_count": 2,
                     f"{MC}/mc0/ue_noinfo_count": 0, f"{MC}/mc1/ce_count": 4, f"{MC}/mc1/ue_count": 1, f"{MC}/power/control": "auto"})  # fmt: skip
    for module, count in (("dimm0", 7), ("dimm3", 3)):
        where = f"{MC}/mc0/{module}"
        plant(tmp_path, {f"{where}/dimm_ce_count": count, f"{where}/dimm_ue_count": 0, f"{where}/dimm_label": "CPU_SrcID#0_MC#0_Chan#1_DIMM#0"})
    return tmp_path


def twice(root: Path, change: dict[str, object]) -> tuple[Any, list[Any]]:
    clock = Clock()
    collector = plugins.collector("memory", root, clock=clock)
    first = list(collector.collect())
    plant(root, change)
    clock.now += 10
    return collector, [m for m in first if isinstance(m, tuple)] + list(collector.collect())


def test_each_error_counts_once(root: Path) -> None:
    collector, messages = twice(root, {f"{MC}/mc0/ce_count": 15, f"{MC}/mc0/dimm3/dimm_ce_count": 6, f"{MC}/mc1/ce_count": 5, f"{MC}/mc1/ue_count": 2})
    told = values(messages)
    assert sum(n for (s, m), n in told.items() if s == "n1/mc0" and m.startswith(CORRECTED)) == 3
    assert told["n1/mc0", CORRECTED + '{dimm="dimm3"}'] == 3
    assert told["n1/mc0", CORRECTED + '{dimm="unknown"}'] == 0
    assert (told["n1/mc1", CORRECTED], told["n1/mc1", UNCORRECTED]) == (1, 1)
    assert keys(messages)["n1/mc0"] == {"table": "node", "node": "n1"}
    assert events(messages) == []
    assert collector.rejected == {}


def test_a_counter_that_somebody_cleared_is_no_burst(root: Path) -> None:
    collector, messages = twice(root, {f"{MC}/mc0/dimm0/dimm_ce_count": 0, f"{MC}/mc0/dimm3/dimm_ce_count": 1})
    assert all(n == 0 for (_, m), n in values(messages).items() if m.startswith(CORRECTED))
    assert collector.samples.live.rates.counts["reset"] == 2


def test_a_counter_of_32_bits_wraps(root: Path) -> None:
    plant(root, {f"{MC}/mc1/ce_count": 2**32 - 3})
    collector, messages = twice(root, {f"{MC}/mc1/ce_count": 4})
    assert values(messages)["n1/mc1", CORRECTED] == 7
    assert collector.samples.live.rates.counts["wrapped"] == 1


def test_what_is_no_number_is_counted_and_the_rest_told(root: Path) -> None:
    plant(root, {f"{MC}/mc1/ce_count": "many"})
    collector, messages = twice(root, {})
    assert collector.rejected == {"not_a_number": 1}
    assert ("n1/mc1", UNCORRECTED) in values(messages)


def test_a_machine_without_edac_says_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="needs ECC memory and the EDAC driver"):
        plugins.collector("memory", tmp_path)
