"""Nvsentinel: incidents as HealthEvents of NVSentinel that it may store and show, and never acts on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from grayscope.handing import Note, camel, measured
from grayscope.promtext import bounded
from grayscope.sinks._handed import Handed
from grayscope.wording import utc

#: Characters of a message, and of a value in the metadata.
MESSAGE, VALUE = 1024, 256
PCI = re.compile(r"([0-9a-fA-F]{4,8}):([0-9a-fA-F]{2}):([0-9a-fA-F]{2})(?:\.[0-7])?")


class Nvsentinel(Handed):
    """Write one HealthEvent a line, in the JSON of its protobuf; the end of an incident clears what was said (``isHealthy``).

    Each is STORE_ONLY, not fatal, recommends nothing and asks that quarantine and drain be skipped.

    Notes
    -----
    Source of names: NVIDIA/NVSentinel ``data-models/protobufs/health_event.proto``.
    """

    by_hand = (
        """jq -c '{version: 1, events: [.]}' FILE | while read -r e; do grpcurl -plaintext -proto health_event.proto -d "$e" """
        "unix:///var/run/nvsentinel.sock datamodels.PlatformConnector/HealthEventOccurredV1; done"
    )

    def line(self, n: Note, over: bool) -> str:
        """Return one JSON object."""
        # Half a character, which JSON could carry and protobuf not, becomes a question mark.
        return json.dumps(health_event(n, over), ensure_ascii=False).encode("utf-8", "replace").decode()


def health_event(n: Note, over: bool) -> dict[str, object]:
    """Return a HealthEvent; check, node and entities are the same at the end as at the beginning.

    Examples
    --------
    >>> made = health_event(Note("ab", "n1", "n1/gpu3", "page", "gray", "slow_rank", 0, 5_000_000), False)
    >>> made["checkName"], made["entitiesImpacted"], made["processingStrategy"], made["isFatal"]
    ('GrayscopeSlowRank', [{'entityType': 'GPU', 'entityValue': '3'}], 'STORE_ONLY', False)
    """
    facts = {
        "incident": n.incident, "subject": n.subject, "state": n.state, "severity": n.severity, "mode": n.mode, "signal": n.metric, "measured": measured(n),
        "peers": str(n.n_peers), "probability": f"{n.probability:.2f}", "since": utc(n.began),
    }  # fmt: skip
    return {
        "version": 1, "agent": "grayscope", "componentClass": kind(n), "checkName": f"Grayscope{camel(n.mode or n.state)}", "isFatal": False,
        "isHealthy": over, "message": "over" if over else bounded(n.summary, MESSAGE), "recommendedAction": "NONE", "errorCode": [],
        "entitiesImpacted": [{"entityType": t, "entityValue": v} for t, v in entities(n)],
        "metadata": {k: bounded(v, VALUE) for k, v in facts.items() if v}, "generatedTimestamp": utc(n.time), "nodeName": bounded(n.node, VALUE),
        "quarantineOverrides": {"skip": True}, "drainOverrides": {"skip": True}, "processingStrategy": "STORE_ONLY",
    }  # fmt: skip


def kind(n: Note) -> str:
    """Return the class of the component."""
    part = n.device
    return "GPU" if part.startswith("gpu") else "NIC" if part.startswith("nic") else "NODE"


def entities(n: Note) -> Iterator[tuple[str, str]]:
    """Yield what is affected, in the kinds that NVSentinel's own monitors name, else ``COMPONENT``."""
    found = re.fullmatch(r"gpu(\d{1,6})(?:/nvlink(\d{1,6}))?(?:/.*)?", n.device)
    if found is None:
        yield from (("NIC", n.device), ("NICPort", "1")) if re.fullmatch(r"nic\d{1,6}", n.device) else (("COMPONENT", bounded(n.device)),)
        return
    yield "GPU", found[1]
    if found[2] is not None:
        yield "NVLINK", found[2]
    if n.keys.get("uuid"):
        yield "GPU_UUID", bounded(n.keys["uuid"])
    if match := PCI.fullmatch(n.keys.get("pci", "")):
        yield "PCI", f"{match[1][-4:]}:{match[2]}:{match[3]}".lower()
