"""From files of Linux to tickets: four nodes, four parts that go bad, one ticket each, and nothing about the others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from grayscope import assembly, plugins
from grayscope.event import heartbeat
from grayscope.settings import Settings
from tests.collectors.test_fabric import IB, port
from tests.collectors.test_pcie import FATAL, NEW, NONFATAL
from tests.hosttree import Clock, link, plant

MC, MD = "sys/devices/system/edac/mc/mc0", "sys/block/md0/md"
SOURCES = ("drive", "fabric", "memory", "pcie")
NODES, RAILS, BAD, LOOKS = 4, 4, 70, 125


@pytest.fixture
def roots(tmp_path: Path) -> list[Path]:
    """four machines of four rails, with their memory and an array."""
    made = [tmp_path / f"n{n}" for n in range(NODES)]
    for root in made:
        plant(root, {"proc/sys/kernel/hostname": root.name, f"{MC}/ce_count": 3, f"{MC}/ue_count": 0, f"{MD}/degraded": 0, f"{MD}/array_state": "active"})
        for rail in range(RAILS):
            port(root, f"mlx5_{rail}")
            card = f"sys/devices/pci0000:{rail:x}0/0000:{rail:x}1:00.0"
            plant(root, {f"{card}/aer_dev_correctable": NEW.format(0, 9), f"{card}/aer_dev_nonfatal": NONFATAL.format(0), f"{card}/aer_dev_fatal": FATAL,
                         f"{card}/max_link_width": 16, f"{card}/current_link_width": 16, f"{card}/current_link_speed": "32.0 GT/s PCIe"})  # fmt: skip
            link(root, f"{IB}/mlx5_{rail}/device", card)
            link(root, f"sys/bus/pci/devices/{card.rpartition('/')[2]}", card)
    return made


def change(root: Path, look: int, rng: np.random.Generator) -> None:
    """Let a machine go on for ten seconds: traffic, and from `BAD` on what is wrong with it."""
    words = (1e9 * look + rng.integers(0, 10**7, RAILS)).astype(int).tolist()
    plant(root, {f"{IB}/mlx5_{rail}/ports/1/counters/{name}": n for rail, n in enumerate(words) for name in ("port_xmit_data", "port_rcv_data")})
    wrong: dict[str, dict[str, object]] = {
        "n0": {f"{IB}/mlx5_3/ports/1/rate": "200 Gb/sec (2X NDR)"},
        "n1": {f"{IB}/mlx5_0/ports/1/counters/symbol_error": 3 + 7 * (look - BAD)},
        "n2": {"sys/devices/pci0000:20/0000:21:00.0/current_link_width": 8},
        "n3": {f"{MD}/degraded": 1},
    }
    plant(root, wrong[root.name] if look >= BAD else {})


def test_what_goes_bad_is_a_ticket_and_nothing_else_is(roots: list[Path]) -> None:
    clock, rng, engine = Clock(), np.random.default_rng(7), assembly.engine(Settings())
    sources = [plugins.collector(name, root, clock=clock) for root in roots for name in SOURCES]
    told = []
    for look in range(LOOKS):
        for root in roots:
            change(root, look, rng)
        for message in [m for source in sources for m in source.collect()] + [heartbeat(int(clock.now * 1e6))]:
            told += [(look, a.labels["severity"], a.annotations["summary"].split(" is ")[0]) for a in engine.step(message).alerts if a.ends is None]
        clock.now += 10
    assert {(severity, subject) for _, severity, subject in told} == {("ticket", s) for s in ("n0/mlx5_3", "n1/mlx5_0", "n2/mlx5_2/pcie", "n3/md0")}
    assert len(told) == NODES
    assert all(BAD <= look < BAD + 60 for look, *_ in told)
