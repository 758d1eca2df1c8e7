"""Kubernetes: labels become keys; what is no node is counted, what is no document refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grayscope import plugins
from grayscope.errors import InputError, Unsupported, UsageError

from .fake_bmc import FakeBmc

kubernetes: Any = __import__("grayscope.collectors.kubernetes", fromlist=["parse"])
LABELS = {
    "topology.kubernetes.io/zone": "eu-1a", "network.topology.nvidia.com/leaf": "leaf04", "network.topology.nvidia.com/spine": "spine1",
    "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3", "nvidia.com/gpu.count": "8", "kubernetes.io/hostname": "n017", "empty": "",
}  # fmt: skip
NODE = {"kind": "Node", "apiVersion": "v1", "metadata": {"name": "n017", "labels": LABELS}, "spec": {"taints": []}, "status": {}}


def listed(*items: Any) -> bytes:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(items)}).encode()


def test_labels_become_keys(tmp_path: Path) -> None:
    (tmp_path / "nodes.json").write_bytes(listed(NODE, {"kind": "Pod", "metadata": {"name": "p"}}, None))
    source = plugins.collector("kubernetes", tmp_path / "nodes.json")
    ((row,),) = source.collect()
    assert row.keys == {"node": "n017", "zone": "eu-1a", "leaf": "leaf04", "spine": "spine1", "sku": "NVIDIA-H100-80GB-HBM3", "gpus": "8"}
    assert source.rejected == {"no_node": 2}


def test_aws_counts_its_layers_from_the_top() -> None:
    labels = {f"topology.k8s.aws/network-node-layer-{i}": f"nn-{i}" for i in (1, 2, 3)}
    ((row,), _) = kubernetes.parse(json.dumps({"metadata": {"name": "a", "labels": labels}}).encode(), "f")
    assert (row.keys["core"], row.keys["spine"], row.keys["leaf"]) == ("nn-1", "nn-2", "nn-3")


def test_in_a_pod_the_api_server_is_asked_for_this_node_alone(tmp_path: Path) -> None:
    account = tmp_path / kubernetes.ACCOUNT
    account.mkdir(parents=True)
    (account / "token").write_text("secret\n")
    source = plugins.collector("kubernetes", node="n 17", root=tmp_path, environ={"KUBERNETES_SERVICE_HOST": "fd00::1"})
    assert source.source == "https://[fd00::1]:443/api/v1/nodes/n%2017"
    with pytest.raises(Unsupported, match="not in a pod"):
        plugins.collector("kubernetes", root=tmp_path, environ={})
    with pytest.raises(UsageError, match="https URL only"):
        plugins.collector("kubernetes", "http://elsewhere", token=account / "token")


def test_an_api_server_is_asked_with_the_token_of_a_pod(tmp_path: Path) -> None:
    account = tmp_path / kubernetes.ACCOUNT
    account.mkdir(parents=True)
    (account / "token").write_text("secret\n")
    fake = FakeBmc({"/api/v1/nodes": json.loads(listed(NODE)), "/api/v1/nodes/n017": NODE}, login="Bearer secret")
    try:
        source = plugins.collector("kubernetes", fake.url, node="n017")
        assert source.collect() == []  # refused: a token goes nowhere by itself
        assert "401" in source.last_error
        pod = plugins.collector("kubernetes", node="n017", root=tmp_path, environ={"KUBERNETES_SERVICE_HOST": "k"})
        pod.source = fake.url + "/api/v1/nodes/n017"
        ((row,),) = pod.collect()
        assert row.keys["leaf"] == "leaf04"
        assert fake.asked[-1] == "/api/v1/nodes/n017"
    finally:
        fake.close()


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"items": 3}', b"\xff", b"[" * 100_000, b'{"items": [{"kind": "Pod"}]}', b"null"])
def test_what_is_no_node_list_is_refused(data: bytes) -> None:
    with pytest.raises(InputError, match="expected"):
        kubernetes.parse(data, "f")


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda x: st.lists(x, max_size=3) | st.dictionaries(st.sampled_from(
    ["items", "metadata", "name", "labels", "spec", "kind", "unschedulable", "topology.kubernetes.io/zone"]), x, max_size=4), max_leaves=12)  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(JSON)
def test_any_json_is_rows_or_one_clear_error(document: Any) -> None:
    said, rows = "", []
    try:
        rows, _ = kubernetes.parse(json.dumps(document).encode(), "f")
    except InputError as error:
        said = str(error)
    assert "expected" in said if said else all(isinstance(v, str) and v for r in rows for v in r.keys.values())
