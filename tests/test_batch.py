"""Batch: dense rows that are right or refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from grayscope.batch import Batch
from grayscope.errors import InputError


def batch(**changed: Any) -> Batch:
    given: dict[str, Any] = {
        "table": "gpu", "times": np.array([1, 2]), "subjects": ("a", "b"), "metrics": ("x",), "values": np.ones((2, 1, 2), np.float32),
    }  # fmt: skip
    return Batch(**{**given, **changed})


def test_rows_without_any_value_were_not_reported() -> None:
    values = np.ones((2, 2, 2), np.float32)
    values[0, :, 1] = np.nan
    values[1, 0, 0] = np.nan
    assert batch(metrics=("x", "y"), values=values).rows == 3


def test_nothing_is_a_batch_too() -> None:
    assert batch(times=np.array([], np.int64), values=np.empty((0, 1, 2), np.float32)).rows == 0
    assert batch(subjects=(), values=np.empty((2, 1, 0), np.float32)).rows == 0


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"values": np.ones((2, 2, 2), np.float32)}, r"batch of gpu: values: expected \(2, 1, 2\), found \(2, 2, 2\)"),
        ({"values": np.ones((2, 1, 2))}, "values: expected float32, found float64"),
        ({"times": np.array([2, 2])}, "times: expected strictly increasing"),
        ({"times": np.array([2, 1])}, "times: expected strictly increasing"),
        ({"times": np.array([1.0, 2.0])}, "times: expected int64, found float64"),
    ],
)
def test_what_is_wrong_is_said(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        batch(**changed)
