"""Smipaths: which element of ``nvidia-smi -q -x`` is which metric, in which unit, from driver 4xx to 59x (nvsmi_device v8 to v13)."""

from __future__ import annotations

import re
from typing import NamedTuple

NUMBER = re.compile(r"([-+]?[0-9]{1,24}(?:\.[0-9]{1,12})?)\s*([A-Za-z/%()]*)")
#: What words are worth where a path expects a word.
WORDS = {"yes": 1.0, "no": 0.0, "active": 1.0, "not active": 0.0, "enabled": 1.0, "disabled": 0.0}
#: How the tool says that a part is gone.
GONE = ("gpu is lost", "gpu requires reset", "gpu requires restart")


class Told(NamedTuple):
    """A metric: its name, the labels that belong to the name, the unit that is expected and the factor to the name's."""

    name: str
    labels: tuple[tuple[str, str], ...] = ()
    unit: str = ""
    factor: float = 1.0


def _told(name: str, unit: str = "", factor: float = 1.0, **labels: str) -> Told:
    return Told(name, tuple(sorted(labels.items())), unit, factor)


PATHS: dict[str, Told] = {
    "temperature/gpu_temp": _told("DCGM_FI_DEV_GPU_TEMP", "C"),
    "temperature/memory_temp": _told("DCGM_FI_DEV_MEMORY_TEMP", "C"),
    "temperature/gpu_temp_tlimit": _told("DCGM_FI_DEV_GPU_TEMP_LIMIT", "C"),
    "power_readings/power_draw": _told("DCGM_FI_DEV_POWER_USAGE", "W"),
    "gpu_power_readings/power_draw": _told("DCGM_FI_DEV_POWER_USAGE", "W"),
    "gpu_power_readings/average_power_draw": _told("DCGM_FI_DEV_POWER_USAGE", "W"),
    "gpu_power_readings/instant_power_draw": _told("DCGM_FI_DEV_POWER_USAGE_INSTANT", "W"),
    "power_readings/enforced_power_limit": _told("DCGM_FI_DEV_ENFORCED_POWER_LIMIT", "W"),
    "gpu_power_readings/current_power_limit": _told("DCGM_FI_DEV_ENFORCED_POWER_LIMIT", "W"),
    "clocks/sm_clock": _told("DCGM_FI_DEV_SM_CLOCK", "MHz"),
    "clocks/mem_clock": _told("DCGM_FI_DEV_MEM_CLOCK", "MHz"),
    "utilization/gpu_util": _told("DCGM_FI_DEV_GPU_UTIL", "%"),
    "fb_memory_usage/used": _told("DCGM_FI_DEV_FB_USED", "MiB"),
    "ecc_mode/current_ecc": _told("DCGM_FI_DEV_ECC_CURRENT", "word"),
    "pci/replay_counter": _told("DCGM_FI_DEV_PCIE_REPLAY_COUNTER"),
    "pci/replay_rollover_counter": _told("pcie_replay_rollovers_total"),
    "pci/pci_gpu_link_info/pcie_gen/current_link_gen": _told("DCGM_FI_DEV_PCIE_LINK_GEN"),
    "pci/pci_gpu_link_info/pcie_gen/max_link_gen": _told("DCGM_FI_DEV_PCIE_MAX_LINK_GEN"),
    "pci/pci_gpu_link_info/link_widths/current_link_width": _told("DCGM_FI_DEV_PCIE_LINK_WIDTH", "x"),
    "pci/pci_gpu_link_info/link_widths/max_link_width": _told("DCGM_FI_DEV_PCIE_MAX_LINK_WIDTH", "x"),
    "retired_pages/multiple_single_bit_retirement/retired_count": _told("DCGM_FI_DEV_RETIRED_SBE"),
    "retired_pages/double_bit_retirement/retired_count": _told("DCGM_FI_DEV_RETIRED_DBE"),
    "retired_pages/pending_retirement": _told("DCGM_FI_DEV_RETIRED_PENDING", "word"),
    "remapped_rows/remapped_row_corr": _told("DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS"),
    "remapped_rows/remapped_row_unc": _told("DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS"),
    "remapped_rows/remapped_row_pending": _told("DCGM_FI_DEV_ROW_REMAP_PENDING", "word"),
    "remapped_rows/remapped_row_failure": _told("DCGM_FI_DEV_ROW_REMAP_FAILURE", "word"),
    "ecc_errors/channel_repair_pending": _told("gpu_repair_pending", "word", kind="channel"),
    "ecc_errors/tpc_repair_pending": _told("gpu_repair_pending", "word", kind="tpc"),
    "ecc_errors/unrepairable_memory": _told("DCGM_FI_DEV_MEMORY_UNREPAIRABLE_FLAG", "word"),
    "ecc_errors/aggregate/sram_threshold_exceeded": _told("DCGM_FI_DEV_THRESHOLD_SRM", "word"),
}
for _bank in ("max", "high", "partial", "low", "none"):
    PATHS[f"remapped_rows/row_remapper_histogram/row_remapper_histogram_{_bank}"] = _told(f"DCGM_FI_DEV_BANKS_REMAP_ROWS_AVAIL_{_bank.upper()}", "bank(s)")
# Counts of SRAM come as one number or as parity and SECDED, which are added; older drivers nest by kind and place instead.
for _kept, _kind, _retention in (("volatile", "VOL", "volatile"), ("aggregate", "AGG", "lifetime")):
    _sram = {"location": "sram", "retention": _retention}
    PATHS |= {
        f"ecc_errors/{_kept}/sram_correctable": _told("gpu_ecc_corrected_errors_total", "", 1.0, **_sram),
        f"ecc_errors/{_kept}/dram_correctable": _told(f"DCGM_FI_DEV_ECC_SBE_{_kind}_DEV"),
        f"ecc_errors/{_kept}/dram_uncorrectable": _told(f"DCGM_FI_DEV_ECC_DBE_{_kind}_DEV"),
    }
    for _detail in ("", "_parity", "_secded"):
        PATHS[f"ecc_errors/{_kept}/sram_uncorrectable{_detail}"] = _told("gpu_ecc_uncorrected_errors_total", "", 1.0, **_sram)
    for _bits, _error in (("single_bit", "SBE"), ("double_bit", "DBE")):
        for _place, _short in {"total": "TOTAL", "device_memory": "DEV", "l1_cache": "L1", "l2_cache": "L2", "register_file": "REG"}.items():
            PATHS[f"ecc_errors/{_kept}/{_bits}/{_place}"] = _told(f"DCGM_FI_DEV_ECC_{_error}_{_kind}_{_short}")
for _reason, _ours in {
    "gpu_idle": "idle", "applications_clocks_setting": "application_clocks", "sw_power_cap": "power", "hw_slowdown": "hardware",
    "hw_thermal_slowdown": "thermal_hardware", "hw_power_brake_slowdown": "power_brake", "sync_boost": "sync_boost",
    "sw_thermal_slowdown": "thermal_software", "display_clocks_setting": "display",
}.items():  # fmt: skip
    for _old in ("clocks_throttle_reason", "clocks_event_reason"):
        PATHS[f"{_old}s/{_old}_{_reason}"] = _told("gpu_clock_event_active", "word", 1.0, reason=_ours)
for _reason, _ours in {
    "sw_power_cap": "power", "sync_boost": "sync_boost", "sw_therm_slowdown": "thermal_software", "hw_therm_slowdown": "thermal_hardware",
    "hw_power_brake": "power_brake",
}.items():  # fmt: skip
    PATHS[f"clocks_event_reasons_counters/clocks_event_reasons_counters_{_reason}"] = _told("gpu_clock_limit_seconds_total", "us", 1e-6, reason=_ours)


def values(texts: dict[str, str]) -> tuple[dict[tuple[str, tuple[tuple[str, str], ...]], float], int]:
    """Return the metrics of one card by (name, labels), and how many texts are not what is expected there.

    Examples
    --------
    >>> found, odd = values({"temperature/gpu_temp": "38 C", "pci/replay_counter": "N/A", "clocks/sm_clock": "fast", "fan_speed": "30 %"})
    >>> found, odd
    ({('DCGM_FI_DEV_GPU_TEMP', ()): 38.0}, 1)
    """
    found: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    odd = 0
    for path, told in PATHS.items():
        text = texts.get(path, "").strip("[]").lower()
        if text in ("", "n/a", "not supported", "none", "unknown error", "not available", *GONE):
            continue
        value = number(text, told.unit)
        if value is None:
            odd += 1
        else:
            key = (told.name, told.labels)
            found[key] = found.get(key, 0.0) + value * told.factor
    return found | fabric(texts), odd


def number(text: str, unit: str) -> float | None:
    """Return a number in the expected unit, None if it is another or no number.

    Examples
    --------
    >>> number("25.58 W", "W"), number("16x", "x"), number("192 bank(s)", "bank(s)"), number("yes", "word"), number("3 kw", "W")
    (25.58, 16.0, 192.0, 1.0, None)
    """
    if unit == "word":
        return WORDS.get(text.lower())
    found = NUMBER.fullmatch(text)
    return float(found[1]) if found and found[2].lower() == unit.lower() else None


def fabric(texts: dict[str, str]) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return what the card says of its fabric.

    Examples
    --------
    >>> fabric({"fabric/state": "Completed", "fabric/health/summary": "Limited Capacity"})[("gpu_fabric_condition", (("condition", "limited_capacity"),))]
    1.0
    """
    state, summary, width = (texts.get(f"fabric/{p}", "").lower() for p in ("state", "health/summary", "health/bandwidth"))
    found: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    if state in ("completed", "in progress", "not started"):
        found["gpu_fabric_registered", ()] = float(state == "completed")
    if summary in ("healthy", "unhealthy", "limited capacity"):
        found["gpu_fabric_healthy", ()] = float(summary != "unhealthy")
        found["gpu_fabric_condition", (("condition", "limited_capacity"),)] = float(summary == "limited capacity")
    if width in ("full", "degraded"):
        found["gpu_fabric_condition", (("condition", "degraded_bandwidth"),)] = float(width == "degraded")
    return found
