"""Exposition: the same numbers as a page of dcgm-exporter, in its names and units, for one node at one moment."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from grayscope.fleet.topology import SKU

#: Name, kind, our metric, and the factor from our unit to the exporter's.
FIELDS: tuple[tuple[str, str, str, float], ...] = (
    ("DCGM_FI_DEV_SM_CLOCK", "gauge", 'gpu_clock_hertz{domain="sm"}', 1e-6),
    ("DCGM_FI_DEV_MEM_CLOCK", "gauge", 'gpu_clock_hertz{domain="memory"}', 1e-6),
    ("DCGM_FI_DEV_GPU_TEMP", "gauge", 'gpu_temperature_celsius{sensor="gpu"}', 1.0),
    ("DCGM_FI_DEV_MEMORY_TEMP", "gauge", 'gpu_temperature_celsius{sensor="memory"}', 1.0),
    ("DCGM_FI_DEV_POWER_USAGE", "gauge", "gpu_power_watts", 1.0),
    ("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "counter", "gpu_energy_joules_total", 1e3),
    ("DCGM_FI_DEV_GPU_UTIL", "gauge", "gpu_active_ratio", 100.0),
    ("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "gauge", "gpu_tensor_active_ratio", 1.0),
    ("DCGM_FI_DEV_POWER_VIOLATION", "counter", 'gpu_clock_limit_seconds_total{reason="power"}', 1e9),
    ("DCGM_FI_DEV_CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN_NS", "counter", 'gpu_clock_limit_seconds_total{reason="thermal_software"}', 1e9),
    ("DCGM_FI_DEV_ECC_SBE_VOL_TOTAL", "counter", 'gpu_ecc_corrected_errors_total{location="total",retention="volatile"}', 1.0),
    ("DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS", "counter", 'gpu_rows_remapped_total{cause="corrected"}', 1.0),
    ("DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", "counter", 'gpu_rows_remapped_total{cause="uncorrected"}', 1.0),
    ("DCGM_FI_DEV_ROW_REMAP_PENDING", "gauge", "gpu_row_remap_pending", 1.0),
    ("DCGM_FI_DEV_ROW_REMAP_FAILURE", "gauge", "gpu_row_remap_failed", 1.0),
    ("DCGM_FI_DEV_PCIE_LINK_WIDTH", "gauge", "pcie_link_width_lanes", 1.0),
    ("DCGM_FI_DEV_PCIE_LINK_GEN", "gauge", "pcie_link_generation", 1.0),
    ("DCGM_FI_DEV_PCIE_REPLAY_COUNTER", "counter", "pcie_replays_total", 1.0),
)
#: What the exporter prints as whole numbers.
FRACTIONS = frozenset({"DCGM_FI_DEV_POWER_USAGE", "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE"})


def page(node: str, gpus: Mapping[int, tuple[str, Mapping[str, float]]]) -> str:
    """Return the text of one scrape; empty where nothing is reported.

    Parameters
    ----------
    gpus : mapping
        Slot to (serial number, our metrics by name); NaN is left out.
    """
    return "".join(f"{line}\n" for line in _lines(node, gpus))


def _lines(node: str, gpus: Mapping[int, tuple[str, Mapping[str, float]]]) -> Iterator[str]:
    for name, kind, metric, factor in FIELDS:
        known = [(slot, serial, values[metric]) for slot, (serial, values) in gpus.items() if math.isfinite(values[metric])]
        if known:
            yield f"# HELP {name} {metric.partition('{')[0].replace('_', ' ')}."
            yield f"# TYPE {name} {kind}"
        for slot, serial, value in known:
            shown = f"{value * factor:.6f}" if name in FRACTIONS else str(round(value * factor))
            yield f"{name}{{{_labels(node, slot, serial)}}} {shown}"


def _labels(node: str, slot: int, serial: str) -> str:
    low = serial.lower()
    labels = {
        "gpu": slot, "UUID": f"GPU-{low[:8]}-{low[8:12]}-4000-8000-{low}", "pci_bus_id": f"00000000:{0x1B + 0x10 * slot:02X}:00.0",
        "device": f"nvidia{slot}", "modelName": SKU, "hostname": node,
    }  # fmt: skip
    return ",".join(f'{key}="{value}"' for key, value in labels.items())
