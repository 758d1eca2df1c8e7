"""Kubernetes: where a node stands (zone, block, leaf, rack) and what it is, read off its labels."""

from __future__ import annotations

import json
import os
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from grayscope.errors import GrayscopeError, InputError, Unsupported, UsageError, shorten
from grayscope.message import Message
from grayscope.roster import RosterRow

from ._http import check_url, fetch

LARGEST, MOST = 256 << 20, 100_000
ACCOUNT = "var/run/secrets/kubernetes.io/serviceaccount"
#: Roster key and the labels it is read from, best first. AWS numbers its layers from the top.
KEYS = {
    "zone": ("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"),
    "region": ("topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region"),
    "core": ("network.topology.nvidia.com/core", "topology.k8s.aws/network-node-layer-1"),
    "spine": ("network.topology.nvidia.com/spine", "topology.k8s.aws/network-node-layer-2"),
    "leaf": ("network.topology.nvidia.com/leaf", "topology.k8s.aws/network-node-layer-3"),
    "clique": ("nvidia.com/gpu.clique", "network.topology.nvidia.com/accelerator"),
    "block": ("cloud.google.com/gce-topology-block",),
    "rack": ("topology.kubernetes.io/rack", "cloud.google.com/gce-topology-subblock"),
    "host": ("cloud.google.com/gce-topology-host",),
    "sku": ("nvidia.com/gpu.product", "amd.com/gpu.product-name"),
    "gpus": ("nvidia.com/gpu.count",),
    "driver": ("nvidia.com/cuda.driver-version.full",),
    "machine": ("node.kubernetes.io/instance-type", "nvidia.com/gpu.machine"),
}


class Kubernetes:
    """Reads node objects: from a file of ``kubectl get nodes -o json``, or one's own from the API server of the pod's cluster.

    Asks for one node, which needs ``get`` on nodes; about 20 kB and a few ms, so a period of minutes is enough. Taints and cordons are
    told as key ``state``. It cannot see which job a pod belongs to, nor GPUs one by one.

    Parameters
    ----------
    source : path or str
        File, or URL of another API server; empty for the pod's own.
    node : str
        Asks for this node alone; empty asks for all of them.
    root : path
        Where the service account is found.
    token : path
        File with a bearer token for another server, whose URL must then be https; the pod's own is sent to the pod's own server only.
    environ : mapping, optional
        Holds KUBERNETES_SERVICE_HOST and _PORT in a pod.

    Raises
    ------
    Unsupported
        No file is named and this is no pod.

    Notes
    -----
    Sources of names: Kubernetes "Well-Known Labels, Annotations and Taints"; NVIDIA GPU feature discovery and topograph;
    AWS "Amazon EC2 topology" node labels; Google Cloud "GCE topology" node labels.
    """

    def __init__(
        self, source: str | Path = "", *, node: str = "", root: str | Path = "/", environ: Mapping[str, str] | None = None, token: str | Path = "",
        timeout: float = 5.0, clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        environ = os.environ if environ is None else environ
        self.node, self.timeout, self.clock = node, timeout, clock
        self.rejected: dict[str, int] = {}
        self.last_error = ""
        self.account, self.token = Path(root) / ACCOUNT, Path(token) if token else None
        self.source = str(source)
        if self.token is not None and not self.source.startswith("https://"):
            raise UsageError("kubernetes: a token goes to an https URL only")
        if not self.source:
            host, port = environ.get("KUBERNETES_SERVICE_HOST", ""), environ.get("KUBERNETES_SERVICE_PORT", "443")
            if not host or not (self.account / "token").is_file():
                raise Unsupported("not in a pod with a service account: name a file of `kubectl get nodes -o json`")
            self.token = self.account / "token"
            self.source = f"https://{f'[{host}]' if ':' in host else host}:{port}"
        if self.source.startswith(("http://", "https://")):
            self.source = check_url(self.source, f"/api/v1/nodes{f'/{quote(node)}' if node else ''}")

    def collect(self) -> list[Message]:
        """Return one message of roster rows; nothing, counted, where there is no answer."""
        try:
            rows = tuple(self._rows())
        except (OSError, GrayscopeError) as error:
            self.rejected["unreadable"] = self.rejected.get("unreadable", 0) + 1
            self.last_error = shorten(error, 300)
            return []
        return [rows] if rows else []

    def _rows(self) -> Iterator[RosterRow]:
        if self.source.startswith(("http://", "https://")):
            headers = {"Authorization": f"Bearer {self.token.read_text('utf-8').strip()}"} if self.token is not None else {}
            trusted = self.account / "ca.crt"
            context = ssl.create_default_context(cafile=str(trusted)) if trusted.is_file() else None
            data, _ = fetch(self.source, headers=headers, timeout=self.timeout, limit=LARGEST, context=context)
        else:
            path = Path(self.source)
            if path.stat().st_size > LARGEST:
                raise InputError.at(path, "size", f"at most {LARGEST} bytes", path.stat().st_size)
            data = path.read_bytes()
        found, refused = parse(data, self.source)
        if refused:
            self.rejected["no_node"] = self.rejected.get("no_node", 0) + refused
        wanted = {self.node} if self.node else {r.subject for r in found}
        yield from (row for row in found if row.subject in wanted)


def parse(data: bytes, where: str) -> tuple[list[RosterRow], int]:
    """Return rows of the nodes in a Node or NodeList document, and how many entries were none.

    Raises
    ------
    InputError
        No such document.

    Examples
    --------
    >>> node = {"kind": "Node", "metadata": {"name": "n1", "labels": {"nvidia.com/gpu.product": "H100"}}, "spec": {"unschedulable": True}}
    >>> parse(json.dumps(node).encode(), "f")[0][0].keys
    {'node': 'n1', 'sku': 'H100', 'state': 'cordoned'}
    """
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError.at(where, "JSON", "a Node or a list of them", error) from error
    entries = document.get("items") if isinstance(document, dict) and "items" in document else [document]
    if not isinstance(entries, list) or len(entries) > MOST:
        raise InputError.at(where, "items", f"a list of at most {MOST} nodes", shorten(entries))
    rows = [row for entry in entries if (row := _row(entry)) is not None]
    if entries and not rows:
        raise InputError.at(where, "items", "objects of kind Node", shorten(entries[0]))
    return rows, len(entries) - len(rows)


def _row(entry: Any) -> RosterRow | None:
    metadata = entry.get("metadata") if isinstance(entry, dict) else None
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(name, str) or not name or "/" in name or not name.isprintable() or entry.get("kind", "Node") != "Node":
        return None
    assert isinstance(metadata, dict)
    labels, spec = (found if isinstance(found, dict) else {} for found in (metadata.get("labels"), entry.get("spec")))
    said = {key: next((labels[n] for n in names if isinstance(labels.get(n), str) and labels[n]), "") for key, names in KEYS.items()}
    keys = {"node": name, **{key: value[:256] for key, value in said.items() if value and value.isprintable()}}
    if spec.get("unschedulable") is True:
        keys["state"] = "cordoned"
    return RosterRow(name, "node", keys=keys)
