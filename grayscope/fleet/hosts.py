"""Hosts: what the nodes themselves would print."""

from __future__ import annotations

import numpy as np

from grayscope.fleet.counters import Total
from grayscope.fleet.devices import Columns
from grayscope.fleet.effects import Effects
from grayscope.fleet.moment import Moment
from grayscope.fleet.noise import Drift, Floats, stream
from grayscope.fleet.topology import Topology


class Hosts:
    """Table node: air, fans, host memory and how busy the processors are."""

    def __init__(self, topology: Topology, seed: int, period: float) -> None:
        n = topology.nodes
        self.topology, self.period = topology, period
        self.rng = stream(seed, "hosts")
        self.fans = np.exp(self.rng.normal(0, 0.02, n))
        self.turn, self.load = Drift(stream(seed, "fans"), n, 40.0, 60 / period), Drift(stream(seed, "processors"), n, 0.02, 120 / period)
        self.corrected = Total(self.rng.poisson(2.0, n).astype(np.float64), bits=32)

    def hour(self, now: Moment, wrong: Effects, inlet: Floats, heat: Floats) -> Columns:
        """Return the columns [T, N]; `heat` is the GPUs' temperature [T, G], which the fans follow."""
        shape = (len(now.seconds), self.topology.nodes)
        hottest = heat.reshape(*shape, self.topology.gpus).mean(axis=2)
        working = now.working.reshape(*shape, self.topology.gpus).any(axis=2)
        errors = self.rng.poisson(0.05 * self.period / 86_400, shape) + wrong["edac"]
        return {
            "host_memory_corrected_errors_total": self.corrected.next(errors, now.hosts(self.topology.gpus)),
            "fan_speed_rpm": np.round((4000 + 70 * hottest) * self.fans * wrong["fan"] + self.turn.next(shape[0])),
            "inlet_temperature_celsius": np.round(inlet * 2) / 2,
            "host_cpu_busy_ratio": np.clip(np.where(working, 0.22, 0.02) + wrong["cpu"] + self.load.next(shape[0]), 0.005, 1.0),
        }
