"""Skus: the kinds of GPU in the generated fleet, and what each of them cannot tell."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sku:
    """One kind of GPU.

    Parameters
    ----------
    gpu, node : str
        Names of the part and of the machine.
    clock, memory_clock : float
        Hertz under load.
    idle, busy, limit : float
        Watts: without work, added by full work, and the cap.
    generation : float
        Of its PCIe link.
    mute : tuple of str
        Metrics that it does not support, labels left out.
    """

    gpu: str
    node: str
    clock: float
    memory_clock: float
    idle: float
    busy: float
    limit: float
    generation: float = 5.0
    mute: tuple[str, ...] = ()


#: Data sheets: 700 W and 1000 W; clocks under load as commonly seen, idle power assumed.
H100 = Sku("NVIDIA H100 80GB HBM3", "HGX H100", 1.83e9, 2.619e9, 75.0, 560.0, 700.0)
#: NVLink 5 has neither flit CRC nor replay counters (telemetry reference, section 1.6).
B200 = Sku(
    "NVIDIA B200", "HGX B200", 1.92e9, 3.996e9, 140.0, 760.0, 1000.0,
    mute=("nvlink_replays_total", "nvlink_crc_errors_total", "gpu_nvlink_replays_total", "gpu_nvlink_crc_errors_total", "gpu_sm_active_ratio"),
)  # fmt: skip
KINDS = (H100, B200)
