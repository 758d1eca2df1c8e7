"""Fleet: a generated cluster, for the demo, tests and benchmarks: a small one with planted faults, or a scenario played out in full.

`Fleet` is the small door, `Simulation` the large one. Behind them there is one file per idea:

- who exists: `topology`, `fabric` (spines and paths), `skus`, `seats` (who works where and when), `schedule`, `register` (the roster),
  `place` (finds parts by name);
- what equal parts keep different for ever, and how numbers wander: `lottery`, `noise`;
- the synchronous job: `work`, and its pace without this or that: `paces`;
- what is wrong and what only looks so: `faults`, `hazards` (how often, how badly), `draw`, `couplings` (what comes with what), `scenario`,
  `decoys`; how each kind acts: `ills` with `illsmemory`, `illsdevice`, `illswire`, `illsbus`, `illsfabric`, `illsswitch`, `illshost`,
  `illslook`, made of `shapes`, joined in `effects`;
- what sources would print: `devices`, `devicesmore`, `buses`, `wires`, `nvlinks5`, `ports`, `mesh`, `hosts`, `machines`, `records`, `counters`,
  put together in `telemetry`, made untidy in `mess`, and as an exporter's page in `exposition`;
- what was really wrong: `truth` (measured) and `spent` (when redundancy is used up).
"""

from grayscope.fleet.faults import Fault
from grayscope.fleet.fleet import Fleet
from grayscope.fleet.scenario import Scenario
from grayscope.fleet.simulation import Simulation

__all__ = ["Fault", "Fleet", "Scenario", "Simulation"]
