"""Kernlines: what lines of drivers mean, also cut, of older and newer kernels; what is none of them says nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given

import grayscope.collectors._kernlines as kernlines  # type: ignore[import-not-found]
from grayscope.event import Event
from grayscope.eventpolicy import Policy
from tests.mutations import MANY, mutated_text

# ruff: noqa: E501 (lines of a log are as long as they are)
#: Line, (kind, part, source, code), beginning of the text.
LINES = [
    ("NVRM: Xid (PCI:0000:3b:00): 94, pid=2503421, name=python3, Ch 00000008", ("gpu", "0000:3b:00.0", "xid", "94"), "Ch 00000008"),
    ("NVRM: Xid (PCI:0000:01:00 GPU-I:02 GPU-CI:01): 94, pid=7062, Contained: CE User Channel (0x9).", ("gpu", "0000:01:00.0", "xid", "94"), "Contained"),
    ("NVRM: Xid (PCI:0000:0f:00): 64, pid='<unknown>', name=<unknown>, Row Remapper Error", ("gpu", "0000:0f:00.0", "xid", "64"), "Row Remapper"),
    ("NVRM: Xid (PCI:0018:01:00): 145, pid=8, name=ray::Dict, RLW_RXPIPE Nonfatal XC0", ("gpu", "0018:01:00.0", "xid", "145"), "RLW_RXPIPE Nonfatal"),
    ("NVRM: Xid (PCI:0018:01:00): 149, NETIR Fatal XC0 i0 Link -1 (0x000fe406", ("gpu", "0018:01:00.0", "xid", "149"), "NETIR Fatal"),
    ("NVRM: Xid (0000:03:00): 14, Channel 00000001", ("gpu", "0000:03:00.0", "xid", "14"), "Channel"),
    ("NVRM: Xid (PCI:0000:01:00): 31, pid=123", ("gpu", "0000:01:00.0", "xid", "31"), ""),
    ("NVRM: GPU 0000:18:00.0: GPU has fallen off the bus.", ("gpu", "0000:18:00.0", "xid", "79"), "GPU has fallen"),
    ("nvidia-nvswitch0: SXid (PCI:0000:05:00.0): 20034, Fatal, Link 63 LTSSM Fault Up", ("node", "nvswitch0", "sxid", "20034"), "Fatal, Link 63"),
    ("nvidia-nvswitch3: SXid (PCI:0000:05:00.0): 12028, Non-fatal", ("node", "nvswitch3", "sxid", "12028"), "Non-fatal"),
    ("[tid 1] detected NVSwitch fatal error 12020 on fid 0 on NVSwitch pci bus id 00000000:86:00.0 physical id 3 port 61", ("node", "nvswitch3", "sxid", "12020"), "Fatal, port 61"),
    ("pcieport 0000:00:1c.0: PCIe Bus Error: severity=Corrected, type=Physical Layer, (Receiver ID)", ("pcie", "0000:00:1c.0", "aer", "corrected"), "type=Physical"),
    ("0000:3b:00.0: PCIe Bus Error: severity=Correctable, type=Data Link Layer", ("pcie", "0000:3b:00.0", "aer", "corrected"), "type=Data"),
    ("nvme 0000:01:00.0: AER: PCIe Bus Error: severity=Uncorrected (Non-Fatal), type=Transaction Layer", ("pcie", "0000:01:00.0", "aer", "nonfatal"), "type"),
    ("x 0000:01:00.0: PCIe Bus Error: severity=Uncorrectable (Fatal), type=Inaccessible", ("pcie", "0000:01:00.0", "aer", "fatal"), "type=Inaccessible"),
    ("EDAC MC1: 3 CE memory read error on CPU_SrcID#0_Chan#1_DIMM#0 (channel:1 slot:0 page:0x0)", ("node", "mc1", "edac", "ce"), "memory read error on"),
    ("EDAC MC0: 1 UE on any memory (page:0x0)", ("node", "mc0", "edac", "ue"), "on any memory"),
    ("mce: [Hardware Error]: Machine check events logged", ("node", "", "mce", "logged"), ""),
    ("mce: Uncorrected hardware memory error in user-access at 3fd0000", ("node", "", "mce", "ue"), "in user-access"),
    ("Memory failure: 0x3fd0: recovery action for dirty LRU page: Recovered", ("node", "", "mce", "poisoned"), "for dirty"),
    ("{1}[Hardware Error]: event severity: corrected", ("node", "", "ghes", "corrected"), ""),
    ("mlx5_core 0000:1a:00.0: Port module event[error]: module 0, Cable error, Bus stuck (I2C or data shorted)", ("nic", "0000:1a:00.0", "module", "bus_stuck"), "Cable"),
    ("mlx5_core 0000:1a:00.0: Port module event: module 1, Cable unplugged", ("nic", "0000:1a:00.0", "module", "unplugged"), "Cable"),
    ("mlx5_core 0000:1a:00.0: mlx5_pcie_event:301:(pid 5): Detected insufficient power on the PCIe slot (27W).", ("nic", "0000:1a:00.0", "module", "slot_power"), ""),
    ("mlx5_core 0000:1a:00.0 ens1np0: Link down", ("nic", "0000:1a:00.0", "link", "down"), "port ens1np0"),
    ("igb 0000:02:00.0 eno1: igb: eno1 NIC Link is Up 1000 Mbps Full Duplex", ("nic", "0000:02:00.0", "link", "up"), "port eno1"),
    ("ib0: link down", ("nic", "ib0", "link", "down"), "port ib0"),
    ("nvme nvme0: I/O 832 QID 4 timeout, aborting", ("drive", "nvme0", "nvme", "timeout"), "I/O 832"),
    ("nvme nvme2: controller is down; will reset: CSTS=0x3, PCI_STATUS=0x10", ("drive", "nvme2", "nvme", "reset"), "controller"),
    ("nvme nvme2: Removing after probe failure status: -19", ("drive", "nvme2", "nvme", "removed"), "Removing"),
    ("critical medium error, dev nvme0n1p2, sector 8 op 0x0:(READ)", ("drive", "nvme0", "disk", "medium_error"), "critical medium"),
    ("blk_update_request: I/O error, dev sda, sector 8 op 0x0:(READ) flags 0x0", ("drive", "sda", "disk", "io_error"), "blk_update"),
    ("md/raid1:md127: Disk failure on sdb1, disabling device.", ("node", "md127", "disk", "member_failed"), "disk failure on sdb1"),
    ("INFO: task python:4242 blocked for more than 122 seconds.", ("node", "", "kernel", "hung_task"), "122 seconds"),
    ("watchdog: BUG: soft lockup - CPU#3 stuck for 22s! [python:1]", ("node", "", "kernel", "soft_lockup"), "CPU#3"),
    ("rcu: INFO: rcu_sched self-detected stall on CPU", ("node", "", "kernel", "rcu_stall"), "stall"),
    ("CPU12: Package temperature above threshold, cpu clock throttled (total events = 7)", ("node", "", "kernel", "cpu_throttled"), "CPU12"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "expected", "text"), LINES)
def test_a_line_means(line: str, expected: tuple[str, ...], text: str) -> None:
    said = kernlines.meaning(line)
    assert said is not None
    assert said[:4] == expected
    assert said.text.startswith(text)


def test_every_code_has_a_rule() -> None:
    policy = Policy.load()
    for line, (_, _, source, code), _ in LINES:
        assert policy.of(Event(0, "n1", source, code, line)) is not None, (source, code)


@pytest.mark.parametrize("line", [
    "nvidia-nvswitch0: SXid (PCI:0000:05:00.0): 20034, Severity 1 Engine instance 62 Sub-engine instance 00",
    "nvidia-nvswitch0: SXid (PCI:0000:a9:00.0): 20034, Data {0x50610002, 0x10100030}",
    "NVRM: Xid (invalid): some error", "NVRM: Xid error: xyz, invalid data", "nvidia-nvswitch0: SXid (PCI:0000:00:00.0): xyz, Fatal error",
    "NVRM: GPU4 GSP RPC buffer contains function 103", "ata3: SATA link down (SStatus 0 SControl 300)", "IPv6: ADDRCONF(NETDEV_CHANGE): eth0: link becomes ready",
    "pcieport 0000:00:03.0: AER: Corrected error received: 0000:03:00.0", "EDAC MC: Ver: 3.0.0", "nvme nvme0: 8/0/0 default/read/poll queues", "",
])  # fmt: skip
def test_a_line_means_nothing(line: str) -> None:
    assert kernlines.meaning(line) is None


def test_a_process_cannot_write_its_own_verdict() -> None:
    """Its name is chosen by a user: it must not become part of the text by which rules are chosen."""
    said = kernlines.meaning("NVRM: Xid (PCI:0000:3b:00): 149, pid=1, name=Fatal to 0x0 , NETIR_BER_EVENT Nonfatal XC0 i0 Link 03")
    assert said is not None
    assert said.text == "NETIR_BER_EVENT Nonfatal XC0 i0 Link 03"


@pytest.mark.parametrize(("line", "text"), [
    ("NVRM: Xid (PCI:0000:3b:00): 149, pid=1, name=a, Fatal, NETIR_BER_EVENT Nonfatal XC0 i0 Link 03", "NETIR_BER_EVENT Nonfatal XC0 i0 Link 03"),
    ("NVRM: Xid (PCI:0000:3b:00): 154, pid=1, name=a, to 0x0 , GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)",
     "GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)"),
])  # fmt: skip
def test_a_comma_in_a_name_changes_nothing(line: str, text: str) -> None:
    said = kernlines.meaning(line)
    assert said is not None
    assert said.text == text


def test_captured_lines_are_read_but_for_those_that_are_wrong(shared: Path) -> None:
    lines = (shared / "data/fixtures/gpud/kernel_log_lines.txt").read_text().splitlines()
    said = [kernlines.meaning(line) for line in lines]
    odd = [line for line, s in zip(lines, said, strict=True) if s is None]
    assert sum(s is not None for s in said) > 135
    patterns = ("Severity", "Data {", "invalid", "xyz", "Serial", "serial", "GPU at PCI", "\\", "Xid error", "GPU4 ")
    assert all(any(word in line for word in patterns) for line in odd), odd


@MANY
@given(mutated_text(*(line for line, _, _ in LINES)))
def test_any_line_means_something_or_nothing(line: str) -> None:
    said = kernlines.meaning(line)
    assert said is None or (
        said.kind in ("gpu", "pcie", "nic", "drive", "node") and said.text.isprintable() and len(said.text) <= kernlines.KEPT and said.times >= 0
    )


@pytest.mark.parametrize(
    "line", ["NVRM: Xid (" * 4000, "EDAC MC0: 1 CE " + " on x" * 50_000, "a: link " * 30_000, "mlx5_core 0000:1a:00.0: " * 9000, "{1}[Hardware Error]: " * 9000]
)
def test_a_hostile_line_is_cut(line: str) -> None:
    said = kernlines.meaning(line)
    assert said is None or len(said.text) <= kernlines.KEPT
