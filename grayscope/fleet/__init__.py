"""Fleet: a small generated cluster with planted faults, for the demo, tests and benchmarks."""
