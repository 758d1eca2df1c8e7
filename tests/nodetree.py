"""A made tree of proc and sys as large as a real GPU node's: 8 GPUs, 9 HCAs, 8 NVMe drives, 96 cores, 32 memory modules, fans and supplies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.hosttree import link, plant

AER = "RxErr 0\nBadTLP {0}\nBadDLLP 0\nRollover 0\nTimeout 0\nNonFatalErr 0\nCorrIntErr 0\nHeaderOF 0\nTOTAL_ERR_COR {0}"
FATAL = "Undefined 0\nDLP 0\nSDES 0\nTLP 0\nFCP 0\nCmpltTO 0\nCmpltAbrt 0\nUnxCmplt 0\nRxOF 0\nMalfTLP 0\nECRC 0\nUnsupReq 0\nTOTAL_ERR_{0} 0"
COUNTERS = [
    "VL15_dropped", "excessive_buffer_overrun_errors", "link_downed", "link_error_recovery", "local_link_integrity_errors", "multicast_rcv_packets",
    "multicast_xmit_packets", "port_rcv_constraint_errors", "port_rcv_data", "port_rcv_errors", "port_rcv_packets", "port_rcv_remote_physical_errors",
    "port_rcv_switch_relay_errors", "port_xmit_constraint_errors", "port_xmit_data", "port_xmit_discards", "port_xmit_packets", "port_xmit_wait",
    "symbol_error", "unicast_rcv_packets", "unicast_xmit_packets",
]  # fmt: skip
HARDWARE = [
    "duplicate_request", "implied_nak_seq_err", "lifespan", "local_ack_timeout_err", "np_cnp_sent", "np_ecn_marked_roce_packets", "out_of_buffer",
    "out_of_sequence", "packet_seq_err", "req_cqe_error", "req_cqe_flush_error", "req_remote_access_errors", "req_remote_invalid_request", "resp_cqe_error",
    "resp_cqe_flush_error", "resp_local_length_error", "resp_remote_access_errors", "rnr_nak_retry_err", "roce_adp_retrans", "roce_adp_retrans_to",
    "roce_slow_restart", "roce_slow_restart_cnps", "roce_slow_restart_trans", "rp_cnp_handled", "rp_cnp_ignored", "rx_atomic_requests", "rx_read_requests",
    "rx_write_requests",
]  # fmt: skip
#: Folders of the PCI tree by what sits there.
CLASS = {"gpu": "0x030200", "nic": "0x020700", "drive": "0x010802"}


class Size(NamedTuple):
    """How much of each there is; the default is a usual node of eight GPUs."""

    gpus: int = 8
    nics: int = 9
    drives: int = 8
    cores: int = 96
    controllers: int = 8
    modules: int = 4
    fans: int = 12
    supplies: int = 6


USUAL = Size()


def planted(root: Path, size: Size = USUAL) -> Path:
    """Plant everything that the host's sources read."""
    plant(root, {"proc/sys/kernel/hostname": "n1", "proc/uptime": "350735.47 1.0", "dev/kmsg": ""})
    for n in range(size.gpus):
        at = _device(root, "gpu", 0x10 + n)
        plant(root, {f"proc/driver/nvidia/gpus/{at}/information": f"Model: NVIDIA H100 80GB HBM3\nGPU UUID: GPU-{n}"})
    for n in range(size.nics):
        _nic(root, n)
    for n in range(size.drives):
        _drive(root, n)
    for n in range(2 * size.cores):
        _processor(root, n, size.cores)
    for n in range(size.controllers * size.modules):
        controller, module = divmod(n, size.modules)
        path = f"sys/devices/system/edac/mc/mc{controller}"
        plant(root, {f"{path}/{kind}_{what}": 0 for kind in ("ce", "ue") for what in ("count", "noinfo_count")})
        plant(root, {f"{path}/dimm{module}/dimm_{kind}_count": 0 for kind in ("ce", "ue")})
    _chips(root, size)
    list(grown(root, 1, size))
    return root


def grown(root: Path, ticks: int, size: Size = USUAL) -> Iterator[int]:
    """Yield tick after tick; before each, what always moves on a busy node has moved."""
    for t in range(1, ticks + 1):
        pressure = "some avg10=0.10 avg60=0.00 avg300=0.00 total={0}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total={0}"
        plant(root, {f"proc/pressure/{scope}": pressure.format(1000 * t) for scope in ("cpu", "memory", "io")})
        lines = "\n".join(f"cpu{n} 1 2 3 4 5 6 7 8 9 10" for n in range(2 * size.cores))
        plant(root, {"proc/stat": f"cpu  {700 * t} 0 {100 * t} {200 * t} {t} 0 {t} 0 0 0\n{lines}\nbtime 1700000000\nprocs_blocked 0"})
        disks = [f" 259 {n} nvme{n}n1 {100 * t} 0 {800 * t} {50 * t} {9 * t} 0 {72 * t} {t} 0 9 9 0 0 0 0" for n in range(size.drives)]
        plant(root, {"proc/diskstats": "\n".join(disks)})
        for n in range(size.nics):
            port = f"sys/class/infiniband/mlx5_{n}/ports/1/counters"
            plant(root, {f"{port}/port_{way}_{what}": 4_000_000 * t for way in ("rcv", "xmit") for what in ("data", "packets")})
        yield t


def _device(root: Path, kind: str, bus: int) -> str:
    """Plant a device below a port of its own; return its address."""
    upper, lower = f"0000:{bus - 8:02x}:01.0" if kind == "gpu" else f"0000:{bus:02x}:01.0", f"0000:{bus:02x}:00.0"
    for at, path, what in ((upper, f"sys/devices/pci{bus}/{upper}", "0x060400"), (lower, f"sys/devices/pci{bus}/{upper}/{lower}", CLASS[kind])):
        told = {"aer_dev_correctable": AER.format(bus), "aer_dev_nonfatal": FATAL.format("NONFATAL"), "aer_dev_fatal": FATAL.format("FATAL"), "class": what}
        told |= {f"{which}_link_{name}": value for which in ("current", "max") for name, value in (("width", "16"), ("speed", "32.0 GT/s PCIe"))}
        plant(root, {f"{path}/{name}": text for name, text in told.items()})
        link(root, f"sys/bus/pci/devices/{at}", path)
    return lower


def _nic(root: Path, n: int) -> None:
    at, path = _device(root, "nic", 0x40 + n), f"sys/class/infiniband/mlx5_{n}"
    port = f"{path}/ports/1"
    told = {"board_id": "MT_0000000838", "node_guid": f"a088:c203:00fd:{n:04x}"}
    plant(root, {f"{path}/{name}": text for name, text in told.items()})
    plant(root, {f"{port}/state": "4: ACTIVE", f"{port}/phys_state": "5: LinkUp", f"{port}/rate": "400 Gb/sec (4X NDR)", f"{port}/link_layer": "InfiniBand"})
    plant(root, {f"{port}/counters/{name}": 0 for name in COUNTERS} | {f"{port}/hw_counters/{name}": 0 for name in HARDWARE})
    bus = f"sys/bus/pci/devices/{at}"
    link(root, f"{path}/device", str((root / bus).resolve().relative_to(root.resolve())))
    link(root, f"sys/class/net/ib{n}/device", str((root / bus).resolve().relative_to(root.resolve())))
    plant(root, {f"sys/class/net/ib{n}/{name}": text for name, text in (("operstate", "up"), ("carrier_down_count", 1), ("speed", 400_000), ("dev_port", 0))})


def _drive(root: Path, n: int) -> None:
    at, path = _device(root, "drive", 0x60 + n), f"sys/class/nvme/nvme{n}"
    plant(root, {f"{path}/{name}": text for name, text in (("model", "ACME 3T8"), ("serial", f"S{n}"), ("state", "live"), ("hwmon9/temp1_input", 38000))})
    plant(root, {f"sys/block/nvme{n}n1/size": 7_501_476_528, f"dev/nvme{n}": ""})
    link(root, f"{path}/device", str((root / f"sys/bus/pci/devices/{at}").resolve().relative_to(root.resolve())))


def _processor(root: Path, n: int, cores: int) -> None:
    path = f"sys/devices/system/cpu/cpu{n}"
    told = {"topology/physical_package_id": n % cores * 2 // cores, "topology/core_id": n % cores % (cores // 2)}
    told |= {f"thermal_throttle/{scope}_throttle_{what}": 0 for scope in ("core", "package") for what in ("count", "total_time_ms")}
    plant(root, {f"{path}/{name}": value for name, value in told.items()})


def _chips(root: Path, size: Size) -> None:
    for n, kind in enumerate(("x86_pkg_temp", "x86_pkg_temp", "acpitz")):
        plant(root, {f"sys/class/thermal/thermal_zone{n}/type": kind, f"sys/class/thermal/thermal_zone{n}/temp": 51000})
    for package in range(2):
        path = f"sys/class/hwmon/hwmon{package}"
        cores = {f"{path}/temp{c + 2}_{what}": value for c in range(size.cores // 2) for what, value in (("label", f"Core {c}"), ("input", 50000))}
        plant(root, {f"{path}/name": "coretemp", f"{path}/temp1_label": f"Package id {package}", f"{path}/temp1_input": 55000, **cores})
        link(root, f"{path}/device", f"sys/devices/platform/coretemp.{package}")
    plant(root, {"sys/class/hwmon/hwmon2/name": "nct6798"})
    plant(root, {f"sys/class/hwmon/hwmon2/fan{n + 1}_{what}": v for n in range(size.fans) for what, v in (("input", 8000 + n), ("alarm", 0))})
    for n in range(size.supplies):
        path = f"sys/class/hwmon/hwmon{n + 3}"
        told = {"name": "pmbus", "in1_label": "vin", "in1_input": 230_000, "in1_lcrit_alarm": 0, "in1_min_alarm": 0, "temp1_input": 40_000, "fan1_input": 9000}
        plant(root, {f"{path}/{name}": value for name, value in told.items()})
        link(root, f"{path}/device", f"sys/devices/i2c/{n}-0058")
