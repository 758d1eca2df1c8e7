"""Spool: in order, at least once, bounded, and no worse for a crash."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grayscope.errors import GrayscopeError
from grayscope.event import Event
from grayscope.spool import Spool


def event(number: int, size: int = 10) -> Event:
    return Event(number, "n1", "xid", "94", "x" * size)


def taken(spool: Spool, most: int = 256) -> list[int]:
    """Take everything out."""
    found = []
    while messages := spool.oldest(most):
        found += [m.time for m in messages if isinstance(m, Event)]
        spool.done()
    return found


@pytest.mark.parametrize("most", [1, 3, 256])
def test_what_goes_in_comes_out_in_order_and_nothing_stays(tmp_path: Path, most: int) -> None:
    spool = Spool(tmp_path / "s", segment=500)
    for i in range(40):
        spool.append(event(i))
    assert len(spool) == 40
    assert taken(spool, most) == list(range(40))
    assert (len(spool), spool.bytes, list((tmp_path / "s").iterdir())) == (0, 0, [])


def test_what_was_not_confirmed_comes_again_after_a_restart(tmp_path: Path) -> None:
    spool = Spool(tmp_path, segment=400)
    for i in range(20):
        spool.append(event(i))
    assert [m.time for m in spool.oldest(3) if isinstance(m, Event)] == [0, 1, 2]
    assert [m.time for m in spool.oldest(3) if isinstance(m, Event)] == [0, 1, 2]  # nobody said `done`
    spool.close()
    again = Spool(tmp_path)
    assert len(again) == 20
    again.append(event(20))
    assert taken(again) == list(range(21))


def test_the_oldest_are_dropped_and_counted_and_the_folder_stays_small(tmp_path: Path) -> None:
    spool = Spool(tmp_path, limit=4000)
    for i in range(500):
        spool.append(event(i))
        assert spool.bytes <= 4000
    assert sum(p.stat().st_size for p in tmp_path.iterdir()) == spool.bytes
    rest = taken(spool)
    assert rest == list(range(500 - len(rest), 500))
    assert spool.dropped == 500 - len(rest)
    spool.append(event(1, size=5000))  # larger than the whole spool
    assert (len(spool), spool.dropped) == (0, 501 - len(rest))


def test_a_record_cut_by_a_crash_costs_itself_only(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    for i in range(3):
        spool.append(event(i))
    spool.close()
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-4])
    again = Spool(tmp_path)
    again.append(event(3))
    assert taken(again) == [0, 1, 3]
    assert again.rejected == 1


def test_a_folder_that_cannot_be_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(GrayscopeError, match="cannot be used as a spool"):
        Spool(tmp_path / "file")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_segments_never_stop_it(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.mktemp("spool")
    spool = Spool(path, segment=200)
    for i in range(12):
        spool.append(event(i))
    spool.close()
    for file in path.iterdir():
        body = bytearray(file.read_bytes())
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + 2] = data.draw(st.binary(max_size=4))
        file.write_bytes(body)
    again = Spool(path)
    again.append(event(99))
    found = taken(again)
    assert found[-1] == 99
    assert set(found) <= {*range(12), 99}
    assert list(path.iterdir()) == []
