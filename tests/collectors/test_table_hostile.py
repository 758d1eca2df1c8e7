"""Hostile tables: each kind of bad file is one clear error or a count."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from grayscope.errors import InputError
from tests.collectors.importing import BASE, ROWS, Imported


def test_lines_with_a_wrong_number_of_cells_are_counted_once(tmp_path: Path) -> None:
    made = Imported(
        tmp_path,
        ROWS + "2024-01-01T00:01:00Z,h1\n1,2,3,4,5,6\n" + "2024-01-01T00:01:00Z,h1,d1,9\n",
        BASE.replace("keys =", 'permute = {within = "host", column = "disk"}\nkeys ='),
    )
    assert (made.counts["bad_row"], made.counts["written"], made.counts["read"]) == (2, 4, 6)


@pytest.mark.parametrize("keep", [0, 3, 200, -1])
def test_a_truncated_parquet_is_named_and_leaves_no_trace(tmp_path: Path, keep: int) -> None:
    pl.read_csv(ROWS.encode()).write_parquet(tmp_path / "cut.parquet")
    whole = (tmp_path / "cut.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[:keep])
    with pytest.raises(InputError, match=r"cut\.parquet: file: expected a whole Parquet file"):
        Imported(tmp_path, tmp_path / "cut.parquet", BASE)
    assert not (tmp_path / "trace").exists()


def test_a_parquet_broken_in_the_middle(tmp_path: Path) -> None:
    data = pl.DataFrame({"time": range(1_704_067_200, 1_704_067_200 + 5000), "host": "h", "disk": "d", "latency": [(k * 7919) % 1009 / 7 for k in range(5000)]})
    data.write_parquet(tmp_path / "hole.parquet")
    whole = bytearray((tmp_path / "hole.parquet").read_bytes())
    whole[4 : len(whole) // 2] = b"\xff" * (len(whole) // 2 - 4)
    (tmp_path / "hole.parquet").write_bytes(whole)
    with pytest.raises(InputError, match=r"hole\.parquet: file: expected a whole Parquet file"):
        Imported(tmp_path, tmp_path / "hole.parquet", BASE)
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("content", [b"", b"\x00\x01\x02\xff\xfe" * 50, "time,host\n\xff,1\n".encode("latin1")])
def test_what_is_no_csv(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "odd.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"odd\.csv: "):
        Imported(tmp_path, path, BASE)


def test_bytes_that_are_no_text_cost_their_row_only(tmp_path: Path) -> None:
    path = tmp_path / "latin.csv"
    rows = ROWS + "2024-01-01T00:00:30Z,h\xe4,d1,1\n2024-01-01T00:00:30Z,h1,d\xfc,1\n2024-01-01T00:00:30Z,\xe4\n2024-01-01T00:00:30Z,h1,d1,\xe4\n"
    path.write_bytes(rows.encode("latin1"))
    made = Imported(tmp_path, path, BASE)
    assert made.counts == {"read": 7, "filtered": 0, "written": 3, "bad_subject": 2, "bad_row": 1, "bad_value": 1, "empty": 1, "subjects": 2}
    known = Imported(tmp_path, path, BASE + '[input]\nencoding = "latin-1"\n')
    assert known.counts["written"] == 5
    assert "h\xe4/d1" in known.frame["subject"].to_list()


def test_a_compressed_csv(tmp_path: Path) -> None:
    path = tmp_path / "data.csv.gz"
    path.write_bytes(gzip.compress(("\ufeff" + ROWS.replace("\n", "\r\n")).encode()))
    assert Imported(tmp_path, path, BASE).counts["written"] == 3
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"data\.csv\.gz: "):
        Imported(tmp_path, path, BASE)


def test_a_parquet_whose_texts_are_broken(tmp_path: Path) -> None:
    whole = pl.read_csv(ROWS.replace("h1", "hostname").encode())
    whole.write_parquet(tmp_path / "text.parquet", compression="uncompressed", use_pyarrow=False, statistics=False)
    content = (tmp_path / "text.parquet").read_bytes()
    assert b"hostname" in content
    (tmp_path / "text.parquet").write_bytes(content.replace(b"hostname", b"host\xff\xff\xff\xff"))
    with pytest.raises(InputError, match=r"text\.parquet: file: expected a whole Parquet file"):
        Imported(tmp_path, tmp_path / "text.parquet", BASE)


def test_a_missing_file_and_a_header_alone(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.csv: no such file"):
        Imported(tmp_path, tmp_path / "none.csv", BASE)
    with pytest.raises(InputError, match="rows: expected at least one that can be used, found an empty file"):
        Imported(tmp_path, ROWS.splitlines()[0] + "\n", BASE)


def test_a_missing_column_is_named_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"data\.csv: no column 'latency', which \[metrics\.drive_latency_seconds\] needs: did you mean 'latncy'\?"):
        Imported(tmp_path, ROWS.replace("latency", "latncy"), BASE)
    with pytest.raises(InputError, match=r"no column 'host', which \[subject\] '{host}/{disk}' needs"):
        Imported(tmp_path, ROWS.replace("host", "server"), BASE)
    with pytest.raises(InputError, match=r"no column 'hst', which \[input\] rename needs: did you mean 'host'"):
        Imported(tmp_path, ROWS, BASE + '[input]\nrename = {hst = "x"}\n')


def test_a_missing_column_of_the_labels_is_named(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("host,dsk\nh1,d2\n")
    with pytest.raises(InputError, match=r"labels\.csv: no column 'disk', which \[truth\] needs: did you mean 'dsk'"):
        Imported(tmp_path, ROWS, BASE + '[truth]\nlabels = "labels.csv"\nsubject = "{host}/{disk}"\nmode = "slow_drive"\n')


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"latency": [[1.0], [2.0]]}, r"column 'latency': expected numbers, found List"),
        ({"host": [["a"], ["b"]]}, r"column 'host': expected text or numbers, found List"),
        ({"latency": ["fast", "slow"]}, r"column 'latency' of \[metrics.drive_latency_seconds\]: expected numbers, found fast"),
        ({"time": [[1], [2]]}, r"column 'time': expected numbers, found List"),
    ],
)
def test_a_column_of_the_wrong_type_is_named(tmp_path: Path, data: dict[str, Any], message: str) -> None:
    frame = pl.DataFrame({"time": [1_704_067_200] * 2, "host": "h", "disk": ["1", "2"], "latency": 1.0}).with_columns(pl.Series(k, v) for k, v in data.items())
    with pytest.raises(InputError, match=message):
        Imported(tmp_path, frame, BASE)


def test_columns_that_occur_twice_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected every column once, found 'host' several times"):
        Imported(tmp_path, ROWS.replace("disk", "host", 1), BASE)
    with pytest.raises(InputError, match="rename: expected names that differ"):
        Imported(tmp_path, ROWS, BASE + '[input]\nrename = {time = "host"}\n')


@pytest.mark.parametrize("name", ["*", "^.*$"])
def test_column_names_that_look_like_patterns_are_only_names(tmp_path: Path, name: str) -> None:
    data = ROWS.replace("host", name)
    text = BASE.replace("{host}", f"{{{name}}}")
    with pytest.raises(InputError, match="give it another name with rename"):
        Imported(tmp_path, data, text)
    assert Imported(tmp_path, data, BASE + f'[input]\nrename = {{"{name}" = "host"}}\n').counts["written"] == 3
