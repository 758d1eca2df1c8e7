"""Which source each captured file belongs to: patterns of paths below ``data``, the first that fits; a new file needs an entry here.

`NOBODY` is what no source reads, with the reason: other programs' settings and expectations, and kinds of telemetry that nobody here asks for.
"""

from __future__ import annotations

NOBODY = "nobody"
#: (pattern, source).
BELONGS = (
    ("flight_recorder/*/_dump_*", "flightrecorder"),
    ("flight_recorder/*/fault_injection.log", NOBODY),  # what was done to the job
    ("fixtures/*/LICENSE", NOBODY),
    # -- superbench
    ("fixtures/superbench/tests/analyzer/*.jsonl", "superbench"),
    ("fixtures/superbench/tests/data/monitor/monitor.jsonl", "superbench"),
    ("fixtures/superbench/tests/data/diagnosis_summary.jsonl", "superbench"),
    ("fixtures/superbench/tests/data/nccl_*.log", "nccltests"),
    ("fixtures/superbench/tests/data/*", NOBODY),  # outputs of single benchmarks: superbench's own results sum them up
    ("fixtures/superbench/tests/analyzer/*", NOBODY),  # rules and a baseline
    # -- telegraf
    ("fixtures/telegraf/amd_rocm_smi/testdata/*.json", "rocm"),
    ("fixtures/telegraf/nvidia_smi/testdata/*.xml", "nvidiasmi"),
    ("fixtures/telegraf/slurm/testcases/*/responses/*.json", "slurm"),
    ("fixtures/telegraf/redfish/testdata/*.json", "redfish"),
    ("fixtures/telegraf/kernel/testdata/pressure/*", "pressure"),
    ("fixtures/telegraf/kernel/testdata/stat_file_*", "stat"),
    ("fixtures/telegraf/kernel/testdata/entropy_stat_file_*", NOBODY),
    ("fixtures/telegraf/kernel/testdata/ksm/*", NOBODY),  # pages of memory that virtual machines share
    ("fixtures/telegraf/lustre2/*", NOBODY),
    ("fixtures/telegraf/nfsclient/*", NOBODY),
    ("fixtures/telegraf/*/telegraf.conf", NOBODY),
    ("fixtures/telegraf/*/expected.out", NOBODY),
    # -- gpud
    ("fixtures/gpud/components/accelerator/nvidia/infiniband/class/testdata/sys-class-infiniband-h100.0/*", "fabric"),
    ("fixtures/gpud/kernel_log_lines.txt", "kernellog"),
    ("fixtures/gpud/*/dmesg*", "kernellog"),
    ("fixtures/gpud/*/fabricmanager.log", "kernellog"),
    ("fixtures/gpud/pkg/kmsg/testdata/*.log", "kernellog"),
    ("fixtures/gpud/*/nvidia-smi.nvlink.status.a10", NOBODY),  # states of links for people; NVML and the XML tell them
    ("fixtures/gpud/*/lspci*", NOBODY),
    ("fixtures/gpud/components/memory/testdata/vmallocinfo.*", NOBODY),
    ("fixtures/gpud/pkg/config/testdata/*.yaml", NOBODY),
    ("fixtures/gpud/pkg/disk/testdata/*", NOBODY),  # partitions and mounts
    ("fixtures/gpud/pkg/file/testdata/file-*", NOBODY),
    ("fixtures/gpud/pkg/host/testdata/*", NOBODY),  # identity of machines that are not there
    # -- procfs
    ("fixtures/procfs/fixtures/proc/diskstats", "diskstats"),
    ("fixtures/procfs/fixtures/proc/stat", "stat"),
    ("fixtures/procfs/fixtures/proc/pressure/*", "pressure"),
    ("fixtures/procfs/fixtures/sys/class/infiniband/*", "fabric"),
    ("fixtures/procfs/fixtures/sys/class/net/*", "fabric"),
    ("fixtures/procfs/fixtures/sys/class/thermal/*", "host"),
    ("fixtures/procfs/fixtures/sys/class/nvme/*", "drive"),
    ("fixtures/procfs/fixtures/sys/block/*", "drive"),
    ("fixtures/procfs/fixtures/sys/devices/*/aer_dev_*", "aer"),
    ("fixtures/procfs/fixtures/sys/devices/*_link_width", "host"),
    ("fixtures/procfs/fixtures/sys/devices/*_link_speed", "host"),
    ("fixtures/procfs/fixtures/sys/devices/system/cpu/*", "host"),
    ("fixtures/procfs/*", NOBODY),  # the rest of proc and sys of some machine
)  # fmt: skip
