"""Loads: what a heavy load explains is nobody's fault, what it does not explain is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from grayscope import loadcurves, loads
from grayscope.catalogue import Catalogue
from grayscope.roster import Roster, RosterRow, View
from grayscope.stand import Stand
from grayscope.tick import Tick

Floats = NDArray[np.floating[Any]]
DRIVE = ("drive_latency_seconds", "drive_throughput_bytes_per_second")
GPU = ("gpu_temperature_celsius", "gpu_power_watts")
TICKS = 400


def ticks(metrics: tuple[str, str], values: Floats, view: View) -> list[Tick]:
    """Ticks of values [T, 2, S]; subjects are those of the view, sorted."""
    table = next(iter(view.tables))
    fresh = np.zeros(values.shape[2], bool)
    return [Tick(table, (t + 1) * 10_000_000, 10_000_000, view, view.tables[table], metrics, v.astype(np.float32), fresh, ()) for t, v in enumerate(values)]


def drives(hosts: int = 4, each: int = 12) -> View:
    return Roster([RosterRow(f"h{h}/disk{d:02d}", "drive") for h in range(hosts) for d in range(each)]).at(0)


def gpus(count: int, skus: int = 1) -> View:
    return Roster([RosterRow(f"n{i:03d}/gpu0", "gpu", keys={"job": "j", "sku": f"S{i % skus}", "slot": "0"}) for i in range(count)]).at(0)


def stood(metrics: tuple[str, str], values: Floats, view: View, doubted: frozenset[str] = frozenset()) -> tuple[Floats, Floats]:
    """Return residual and scale of the first metric [T, S]."""
    stand, out = Stand(Catalogue.load()), []
    for tick in ticks(metrics, values, view):
        standing = stand.step(tick, doubted)
        out.append((standing.residual[0].copy(), standing.scale[0].copy()))
    residual, scale = (np.array(x) for x in zip(*out, strict=True))
    return residual, scale


def usual(metrics: tuple[str, str], values: Floats, view: View, doubted: frozenset[str] = frozenset()) -> Floats:
    """Return what each member usually departs from its peers by [S], once the load is known."""
    mean: Floats = np.median(stood(metrics, values, view, doubted)[0][TICKS // 2 :], axis=0)
    return mean


def straight(sums: NDArray[np.float64], doubt: Any = 0.0) -> Any:
    """Forget everything about squares and cubes."""
    kept = sums.copy()
    kept[..., 7:12] = 0
    kept[..., 13:15] = 0
    return FITTED(kept, doubt)


FITTED = loadcurves.fitted


def queues(seed: int = 1) -> Floats:
    """Drives whose latency grows with the square of their throughput; loads differ fivefold and stay, noise is 5 %."""
    rng = np.random.default_rng(seed)
    use = np.exp(rng.uniform(np.log(0.2), 0, 48)) * np.exp(rng.normal(0, 0.1, (TICKS, 48)))
    use[:, :12] = np.linspace(0.2, 1.0, 12) * np.exp(rng.normal(0, 0.1, (TICKS, 12)))
    latency = 1e-4 * (1 + 6 * use**2) * np.exp(rng.normal(0, 0.05, use.shape))
    return np.stack([latency, 1e8 * use], axis=1)


# -- curves -------------------------------------------------------------------------------------------------------------


def test_a_curved_dependence_is_followed_where_a_straight_one_accuses_the_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    values, view = queues(), drives()
    values[:, 0, 3] *= 1.15  # tired, under a low load
    curved = usual(DRIVE, values, view)
    monkeypatch.setattr(loadcurves, "fitted", straight)
    lined = usual(DRIVE, values, view)
    monkeypatch.setattr(loadcurves, "LEAST", np.inf)
    plain = usual(DRIVE, values, view)
    others = np.arange(48) != 3
    assert curved[3] > 0.1
    assert np.abs(curved[others]).max() < 0.04
    assert lined[others].max() > 0.15  # healthy members under high load are further from their peers than the tired one is ...
    assert lined[3] < 0.05
    assert plain[others].max() > 0.8  # ... and where load is left out it is lost among them
    assert plain[3] < 0


def test_a_tired_gpu_at_full_load_is_not_a_sick_one_at_half() -> None:
    rng, view = np.random.default_rng(2), gpus(32)
    power = np.repeat([350.0, 700.0], [8, 24]) + rng.normal(0, 20, (TICKS, 32))
    warmth = 25 + 0.05 * power + rng.normal(0, 0.5, power.shape)
    warmth[:, 0] += 12  # the sick one at half load is not as warm as the others are at full load
    found = usual(GPU, np.stack([warmth, power], axis=1), view)
    assert warmth[:, 0].mean() < warmth[:, 8:].mean()
    assert found[0] > 10
    assert np.abs(found[1:]).max() < 1.0


def test_the_unit_follows_a_fleet_that_begins_idle() -> None:
    rng, view = np.random.default_rng(3), gpus(32)
    power = np.where(np.arange(TICKS)[:, None] < 50, 70.0, 500.0 + 15 * np.arange(32) / 31 * 10) + rng.normal(0, 2, (TICKS, 32))
    warmth = 25 + 0.05 * power + rng.normal(0, 0.3, power.shape)
    found = usual(GPU, np.stack([warmth, power], axis=1), view)
    assert np.abs(found).max() < 0.7
    assert 0.05 * (power[-1].max() - power[-1].min()) > 6


def test_noise_teaches_no_curve() -> None:
    rng, view = np.random.default_rng(4), gpus(32)
    values = np.stack([60 + rng.normal(0, 1, (TICKS, 32)), 500 + rng.normal(0, 20, (TICKS, 32))], axis=1)
    stand = Stand(Catalogue.load())
    for tick in ticks(GPU, values, view):
        stand.step(tick)
    assert np.abs(stand.loads.tables["gpu"].curve).max() < 0.1


# -- who teaches --------------------------------------------------------------------------------------------------------


def test_who_alone_has_another_load_does_not_teach_its_own_slowness() -> None:
    rng, view = np.random.default_rng(5), drives(hosts=1)
    use = np.repeat([1.0, 3.0], [11, 1]) * np.exp(rng.normal(0, 0.01, (TICKS, 12)))
    latency = 1e-4 * np.exp(rng.normal(0, 0.05, use.shape))
    latency[:, 11] *= 1.3
    assert usual(DRIVE, np.stack([latency, 1e8 * use], axis=1), view)[11] > 0.2


def test_the_same_load_at_every_host_is_no_fault_and_one_slow_of_them_is() -> None:
    rng, view = np.random.default_rng(6), drives(hosts=12, each=8)
    heavy = np.arange(96) % 8 == 0
    use = np.where(heavy, 3.0, 1.0) * np.exp(rng.normal(0, 0.05, (TICKS, 96)))
    latency = 1e-4 * use**0.5 * np.exp(rng.normal(0, 0.05, use.shape))
    latency[:, 40] *= 1.3
    found = usual(DRIVE, np.stack([latency, 1e8 * use], axis=1), view)
    assert found[40] > 0.15
    assert np.abs(np.delete(found, 40)).max() < 0.1


def test_what_is_doubted_does_not_teach() -> None:
    rng, view = np.random.default_rng(7), drives(hosts=1)
    use = np.linspace(1, 3, 12) * np.exp(rng.normal(0, 0.02, (TICKS, 12)))
    latency = 1e-4 * np.exp(rng.normal(0, 0.05, use.shape))
    latency[:, 8:] *= 1.5  # four at once, all heavily loaded: taken for the load's doing unless they are doubted
    values, names = np.stack([latency, 1e8 * use], axis=1), view.tables["drive"]
    taught, doubted = usual(DRIVE, values, view), usual(DRIVE, values, view, frozenset(names[8:]))
    assert doubted[8:].min() > 0.35
    assert taught[8:].min() < doubted[8:].min() - 0.1


def test_a_large_group_has_its_own_curve_and_a_small_one_the_fleets() -> None:
    rng = np.random.default_rng(8)
    view = gpus(128, skus=2)
    power = 500 + 100 * rng.uniform(-1, 1, (TICKS, 128))
    sku = np.arange(128) % 2
    warmth = 25 + np.where(sku == 0, 0.03, 0.09) * power + rng.normal(0, 0.5, power.shape)
    residual, _ = stood(GPU, np.stack([warmth, power], axis=1), view)
    assert residual[200:].std() < 0.6
    few = gpus(24, skus=2)
    residual, _ = stood(GPU, np.stack([warmth, power], axis=1)[:, :, :24], few)
    assert residual[200:].std() > 1.0


# -- state --------------------------------------------------------------------------------------------------------------


def test_restored_it_goes_on_bit_for_bit() -> None:
    values, view = queues()[:150], drives()
    told = ticks(DRIVE, values, view)
    one, two = Stand(Catalogue.load()), Stand(Catalogue.load())
    for tick in told[:100]:
        one.step(tick)
    two.restore(one.snapshot())
    assert one.loads.tables["drive"].curve.any()
    for tick in told[100:]:
        assert one.step(tick).residual.tobytes() == two.step(tick).residual.tobytes()
    state, other = one.snapshot(), two.snapshot()
    assert all(state[k].tobytes() == other[k].tobytes() for k in state)


def test_another_order_of_subjects_gives_the_same() -> None:
    values, view = queues()[:150], drives()
    swap = np.random.default_rng(9).permutation(48)
    names = view.tables["drive"]
    renamed = {names[i]: f"h{names[old].partition('/')[0]}/disk{i:02d}" for i, old in enumerate(swap)}
    other = Roster([RosterRow(name, "drive") for name in renamed.values()]).at(0)
    where = dict(zip(renamed.values(), swap.tolist(), strict=True))
    order = [where[name] for name in other.tables["drive"]]
    before, _ = stood(DRIVE, values, view)
    after, _ = stood(DRIVE, values[:, :, order], other)
    np.testing.assert_allclose(after, before[:, order], atol=1e-5)


def test_a_group_keeps_its_curve_when_others_come() -> None:
    memory = loads.Loads()
    memory.lay_out("gpu", {"t": (("b",),)}, np.ones(1, np.float32), np.array([[16]]))
    memory.tables["gpu"].curve[0, 0] = 1, 2, 3
    memory.tables["gpu"].pooled[0] = 7
    memory.lay_out("gpu", {"s": (("b",),), "t": (("a",), ("b",))}, np.ones(2, np.float32), np.array([[20, 0], [16, 15]]))
    now = memory.tables["gpu"]
    assert [[now.curve[r, c].tolist() for c in now.seat[r]] for r in (0, 1)] == [[[0, 0, 0], [0, 0, 0]], [[0, 0, 0], [1, 2, 3]]]
    assert now.pooled[:, 0].tolist() == [0, 7]


@pytest.mark.parametrize(("members", "keeps"), [(15, True), (4, True), (3, False)])
def test_a_group_that_shrinks_keeps_what_it_learned_while_it_is_compared(members: int, keeps: bool) -> None:
    memory = loads.Loads()
    memory.lay_out("gpu", {"t": (("a",), ("b",))}, np.ones(1, np.float32), np.array([[15, 16]]))
    assert memory.tables["gpu"].seat.tolist() == [[1, 0]]
    memory.tables["gpu"].own[0, 0] = 5
    memory.lay_out("gpu", {"t": (("b",), ("c",))}, np.ones(1, np.float32), np.array([[members, 40]]))
    now = memory.tables["gpu"]
    assert now.seat.tolist() == [[0, 1]] if keeps else [[1, 0]]
    assert now.own[0, :, 0].tolist() == ([5, 0] if keeps else [0])


def test_a_new_group_begins_with_what_the_fleet_knows() -> None:
    values, view = queues()[:150], drives()
    stand = Stand(Catalogue.load())
    for tick in ticks(DRIVE, values, view):
        stand.step(tick)
    stand.step(ticks(DRIVE, np.repeat(values[-1:], 2, axis=2)[:, :, :60], drives(hosts=5))[0])
    drive = stand.loads.tables["drive"]
    first, new = drive.curve[0, drive.seat[0, 0]], drive.curve[0, drive.seat[0, 4]]
    assert new.any()
    assert new.tolist() == pytest.approx(first.tolist(), rel=0.1)


def test_one_mad_reading_of_a_load_neither_accuses_nor_teaches() -> None:
    values, view = queues(), drives()
    values[0, 1, 7] = 1e30
    values[300, 1, 7] = 1e30
    found = usual(DRIVE, values, view)
    assert np.abs(found).max() < 0.04
    rng, view = np.random.default_rng(10), gpus(32)
    power = 500 + 50 * rng.uniform(-1, 1, (TICKS, 32))
    warmth = 25 + 0.05 * power + rng.normal(0, 0.3, power.shape)
    power[0, 3] = power[300, 3] = 1e30
    residual, _ = stood(GPU, np.stack([warmth, power], axis=1), view)
    assert np.abs(np.delete(residual[200:], 100, axis=0)).max() < 3
    assert np.abs(residual[300]).max() < 100


def test_an_unknown_load_explains_nothing() -> None:
    values, view = queues()[:200], drives()
    values[150:, 1, 5] = np.nan
    residual, _ = stood(DRIVE, values, view)
    assert np.isfinite(residual).all()
    values[:, 1] = np.nan
    none, _ = stood(DRIVE, values, view)
    assert np.isfinite(none).all()


def test_groups_with_one_curve_in_common_have_none_of_their_own() -> None:
    rng = np.random.default_rng(3)
    u = rng.normal(0, 1, (2, 64))
    sums = np.stack([loadcurves.moments(u[0], 2 * u[0]), loadcurves.moments(u[1], -u[1])])[None]
    curves = {}
    for common in (frozenset(), frozenset({"t"})):
        memory = loads.Loads()
        memory.lay_out("drive", {"t": (("a",), ("b",))}, np.ones(1, np.float32), np.array([[64, 64]]), common)
        a = memory.tables["drive"]
        seated = np.zeros((1, a.curve.shape[1], sums.shape[-1]))
        np.add.at(seated[0], a.seat[0], sums[0])
        for _ in range(32):
            memory.learn("drive", seated, np.zeros((2, 1, 2), np.float32), np.array([[0, 1]], np.int32))
        curves[bool(common)] = a.curve[:, a.seat[0]]
    assert not np.array_equal(curves[False][0, 0], curves[False][0, 1])
    assert np.array_equal(curves[True][0, 0], curves[True][0, 1])
    assert curves[True].any()


# -- what a curve is not drawn from, and not drawn to -------------------------------------------------------------------


def drawn(seed: int, monkeypatch: pytest.MonkeyPatch, chance: float = loadcurves.CHANCE) -> bool:
    """Say whether 12 GPUs get a curve that differ for ever in warmth and in load, the one having nothing to do with the other."""
    rng, stand = np.random.default_rng(seed), Stand(Catalogue.load())
    power = 500 + 20 * rng.normal(0, 1, 12) + 2 * rng.normal(0, 1, (TICKS, 12))
    warmth = 60 + 3 * rng.normal(0, 1, 12) + rng.normal(0, 0.3, power.shape)
    monkeypatch.setattr(loadcurves, "CHANCE", chance)
    for tick in ticks(GPU, np.stack([warmth, power], axis=1), gpus(12)):
        stand.step(tick)
    return bool(stand.loads.tables["gpu"].curve.any())


def test_many_samples_of_few_parts_that_differ_for_ever_teach_no_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = range(8)
    assert sum(drawn(seed, monkeypatch) for seed in seeds) == 0
    assert sum(drawn(seed, monkeypatch, 0.0) for seed in seeds) >= 3


def test_loads_that_wander_teach_though_parts_differ_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    rng, view = np.random.default_rng(12), gpus(12)
    power = 500 + 20 * rng.normal(0, 1, (TICKS, 12))
    values = np.stack([30 + 0.05 * power + rng.normal(0, 3, 12) + rng.normal(0, 0.3, power.shape), power], axis=1)
    known, _ = stood(GPU, values, view)
    monkeypatch.setattr(loadcurves, "LEAST", np.inf)
    unknown, _ = stood(GPU, values, view)
    assert (known[TICKS // 2 :].std(axis=0) < 0.7 * unknown[TICKS // 2 :].std(axis=0)).all()


def test_an_idle_drive_is_neither_slow_nor_restless_because_its_load_is_far_from_all_others() -> None:
    """Most read all the time and write now and then; a few idle, and what little they read varies."""
    rng, view = np.random.default_rng(13), drives(hosts=4, each=16)
    idle = np.arange(64) % 16 == 0
    writing = (np.arange(TICKS)[:, None] % 180 < 6) & ~idle
    use = np.where(idle, 2e6, 1.5e8) * np.exp(rng.normal(0, 0.1, (TICKS, 64))) + 2.2e9 * writing
    latency = 9e-5 * (1 + use / 1.5e9) * np.exp(rng.normal(0, 0.04, use.shape))
    residual = stood(DRIVE, np.stack([latency, use], axis=1), view)[0][TICKS // 2 :]
    middle = np.median(residual, axis=0)
    noise = np.median(np.abs(residual - middle), axis=0)
    assert np.abs(middle[idle]).max() < 0.05
    assert noise[idle].max() < 1.3 * np.median(noise[~idle])
