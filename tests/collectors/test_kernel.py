"""Kernel: each record once and in order; what was lost is counted; names are those of the other sources."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grayscope import plugins
from grayscope.errors import Unsupported
from grayscope.event import Event
from tests.hosttree import Clock, events, link, plant, values
from tests.mutations import MANY

BOOT = 1_699_990_000
GPU, NIC = "0000:81:00.0", "0000:5e:00.0"
XID = "NVRM: Xid (PCI:0000:81:00): {}, pid=1, name=x, text"
RECORDS = (b"4,7,9,-;NVRM: Xid (PCI:0000:81:00): 48\n", b"4,18446744073709551615,99999999999999999999,-;x\n", b"4,8,9,-;EDAC MC0: 1 CE x on y (z)\n")


class FakeRing:
    """A fake of the kernel's ring as /dev/kmsg shows it: one record a read, EAGAIN at the end, EPIPE where records were overwritten."""

    def __init__(self) -> None:
        self.waiting: list[bytes | OSError] = []
        self.sequence = 100

    def say(self, text: str, *, uptime: float = 9999.0, priority: int = 4) -> None:
        self.waiting.append(f"{priority},{self.sequence},{int(uptime * 1e6)},-;{text}\n SUBSYSTEM=pci\n DEVICE=+pci:{GPU}\n".encode())
        self.sequence += 1

    def overwrite(self, count: int) -> None:
        self.waiting.append(BrokenPipeError(32, "Broken pipe"))
        self.sequence += count

    def __call__(self, handle: int, size: int) -> bytes:
        assert handle >= 0
        assert size >= 8192
        if not self.waiting:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        told = self.waiting.pop(0)
        if isinstance(told, OSError):
            raise told
        return told


@pytest.fixture
def root(tmp_path: Path) -> Path:
    plant(tmp_path, {"proc/sys/kernel/hostname": "n1", "proc/sys/kernel/random/boot_id": "boot-1", "proc/stat": f"cpu 1\nbtime {BOOT}", "dev/kmsg": ""})
    plant(tmp_path, {f"proc/driver/nvidia/gpus/{GPU}/information": "Model: H100", "sys/class/net/ens1/operstate": "up"})
    link(tmp_path, "sys/class/infiniband/mlx5_0/device", f"sys/devices/pci0000:5d/{NIC}")
    link(tmp_path, "sys/class/net/ens1/device", f"sys/devices/pci0000:5d/{NIC}")
    link(tmp_path, "sys/bus/pci/devices/0000:80:01.0", f"sys/devices/pci0000:80/0000:80:01.0/{GPU}/..")
    return tmp_path


def made(root: Path, ring: FakeRing, **more: Any) -> Any:
    return plugins.collector("kernel", root, clock=Clock(BOOT + 10_000), read=ring, **more)


def test_records_become_events_at_their_own_time(root: Path) -> None:
    ring = FakeRing()
    ring.say(XID.format(94), uptime=9990.5)
    collector = made(root, ring)
    (event,) = [m for m in collector.collect() if isinstance(m, Event)]
    assert event == Event((BOOT + 9990) * 1_000_000 + 500_000, "n1/gpu0", "xid", "94", "text")
    assert events(collector.collect()) == []
    collector.close()
    collector.close()


def test_who_is_meant_is_called_as_elsewhere(root: Path) -> None:
    ring = FakeRing()
    for text in (f"x {GPU}: PCIe Bus Error: severity=Corrected, type=x", "pcieport 0000:80:01.0: PCIe Bus Error: severity=Corrected, type=x",
                 "pcieport 0000:00:07.0: PCIe Bus Error: severity=Corrected, type=x", f"mlx5_core {NIC} ens1: Link down", "ens1: link up",
                 "nvme nvme3: I/O 1 QID 4 timeout, aborting", "EDAC MC0: 2 CE x on y (z)", "INFO: task a:1 blocked for more than 120 seconds."):  # fmt: skip
        ring.say(text)
    found = {(subject, source, code) for subject, source, code, _ in events(made(root, ring).collect())}
    assert found == {
        ("n1/gpu0/pcie", "aer", "corrected"), ("n1/0000:00:07.0", "aer", "corrected"), ("n1/mlx5_0", "link", "down"), ("n1/mlx5_0", "link", "up"),
        ("n1/nvme3", "nvme", "timeout"), ("n1/mc0", "edac", "ce"), ("n1", "kernel", "hung_task"),
    }  # fmt: skip


def test_a_storm_is_one_event_a_second(root: Path) -> None:
    ring = FakeRing()
    for n in range(3000):
        ring.say(XID.format(95), uptime=9000 + n / 1500)
    assert events(made(root, ring).collect()) == [("n1/gpu0", "xid", "95", 1500), ("n1/gpu0", "xid", "95", 1500)]


def test_what_was_overwritten_is_counted(root: Path) -> None:
    ring = FakeRing()
    ring.say("a")
    collector = made(root, ring)
    collector.collect()
    ring.overwrite(40)
    ring.say(XID.format(48))
    messages = collector.collect()
    assert events(messages) == [("n1/gpu0", "xid", "48", 1)]
    assert collector.rejected == {"overrun": 1}
    told = values(messages)
    assert (told["n1", "kernel_log_records_lost_total"], told["n1", 'kernel_log_events_total{family="xid"}']) == (40, 1)


def test_only_the_kernel_is_believed(root: Path) -> None:
    ring = FakeRing()
    ring.say(XID.format(79), priority=12)
    ring.say("no frame at all")
    ring.waiting.append(b"what\n")
    collector = made(root, ring)
    assert events(collector.collect()) == []
    assert collector.rejected == {"bad_line": 1}


def test_what_is_older_than_the_history_is_not_told(root: Path) -> None:
    ring = FakeRing()
    ring.say(XID.format(48), uptime=6000)
    ring.say(XID.format(94), uptime=9000)
    assert [e[2] for e in events(made(root, ring).collect())] == ["94"]


def test_a_restarted_agent_goes_on_where_it_was(root: Path) -> None:
    ring, state = FakeRing(), root / "state.json"
    ring.say(XID.format(48))
    assert len(events(made(root, ring, state=state).collect())) == 1
    assert json.loads(state.read_text()) == {"boot_id": "boot-1", "sequence": 100}
    ring.sequence = 100
    for code in (48, 63):
        ring.say(XID.format(code))
    assert [e[2] for e in events(made(root, ring, state=state).collect())] == ["63"]
    plant(root, {"proc/sys/kernel/random/boot_id": "boot-2"})
    ring.sequence = 5
    ring.say(XID.format(79))
    assert [e[2] for e in events(made(root, ring, state=state).collect())] == ["79"]


@pytest.mark.parametrize("broken", ["", "{", '{"boot_id": "boot-1", "sequence": "many"}', "[1]", "null"])
def test_a_broken_state_is_no_state(root: Path, broken: str) -> None:
    plant(root, {"state.json": broken})
    ring = FakeRing()
    ring.say(XID.format(48))
    assert len(events(made(root, ring, state=root / "state.json").collect())) == 1


def test_without_the_log_it_says_what_would_bring_it(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unsupported, match=r"No such file or directory.*needs Linux"):
        plugins.collector("kernel", tmp_path / "none")

    def refuse(*_: object) -> int:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(Unsupported, match="needs root, CAP_SYSLOG"):
        plugins.collector("kernel", root)


def test_a_recorded_ring_is_read_in_blocks(root: Path, shared: Path) -> None:
    recorded = (shared / "data/fixtures/gpud/pkg/kmsg/testdata/kmsg.1.log").read_bytes()
    (root / "dev/kmsg").write_bytes(recorded + f"4,5000,9999000000,-;{XID.format(63)}\n".encode())
    collector = plugins.collector("kernel", root, clock=Clock(BOOT + 10_000), history=1e9)
    assert ("n1/gpu0", "xid", "63", 1) in events(collector.collect())
    assert collector.rejected.get("bad_line", 0) == 0
    collector.close()


@pytest.fixture(scope="module")
def hardened(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One collector that gets everything."""
    ring = FakeRing()
    collector = plugins.collector("kernel", plant(tmp_path_factory.mktemp("fuzz"), {"dev/kmsg": ""}), clock=Clock(BOOT), read=ring)
    yield collector, ring
    collector.close()


@settings(MANY, max_examples=500)
@given(st.lists(st.one_of(st.binary(max_size=300), st.sampled_from(RECORDS)), max_size=4))
def test_any_bytes_are_read(hardened: tuple[Any, FakeRing], data: list[bytes]) -> None:
    collector, ring = hardened
    ring.waiting += [d for d in data if d]
    found = events(collector.collect())
    assert all(count > 0 for *_, count in found)
    assert not ring.waiting
    assert len(collector._rest) <= 16_384


def test_this_machine_has_a_log_or_says_why_not() -> None:
    try:
        collector = plugins.collector("kernel", history=0.0)
    except Unsupported as refusal:
        assert "needs" in str(refusal)  # noqa: PT017 (either answer is right)
        return
    collector.collect()
    collector.close()
    assert collector.rejected.get("bad_line", 0) == 0
