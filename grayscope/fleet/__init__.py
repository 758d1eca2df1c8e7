"""Fleet: a small generated cluster with planted faults, for the demo, tests and benchmarks.

`Fleet` is the door. Behind it there is one file per idea: who exists (`topology`), what equal parts keep different for
ever (`lottery`), how numbers wander (`noise`), the synchronous job (`work`), what is wrong and what only looks so
(`faults`, `decoys`), what sources would print (`devices`, `wires`, `hosts`, `counters`, `telemetry`), what was
really wrong (`truth`) and the same as an exporter's page (`exposition`).
"""

from grayscope.fleet.faults import Fault
from grayscope.fleet.fleet import Fleet

__all__ = ["Fault", "Fleet"]
