"""Announce: labels are identity, words are annotations; an escalation resolves the ticket and fires the page."""

from __future__ import annotations

from dataclasses import replace

from grayscope.alert import Alert
from grayscope.announce import NAMES, Announce
from grayscope.desk import Desk
from grayscope.modes import Modes
from grayscope.roster import RosterRow, View
from grayscope.verdict import STATES, Verdict


def say(time: int, state: str, previous: str = "normal", subject: str = "n1/gpu0", why: str = "because") -> Verdict:
    return Verdict(time, subject, state, previous, 8.0, why, time, mode="slow_rank")


def alerts(announce: Announce, desk: Desk, *verdicts: Verdict) -> list[Alert]:
    return list(announce.step(desk.step(verdicts)))


def test_labels_are_exactly_four_and_everything_else_is_words() -> None:
    (alert,) = alerts(Announce("c"), Desk("c"), say(5, "gray"))
    assert alert.labels.keys() == {"alertname", "cluster", "incident", "severity"}
    assert (alert.labels["alertname"], alert.labels["cluster"], alert.labels["severity"]) == ("GrayFailure", "c", "page")
    assert (alert.annotations["subject"], alert.annotations["mode"], alert.annotations["why"]) == ("n1/gpu0", "slow_rank", "because")
    assert all(isinstance(v, str) for v in (*alert.labels.values(), *alert.annotations.values()))
    assert alert.firing
    assert alert.starts == 5


def test_every_state_that_opens_an_incident_has_a_name() -> None:
    assert set(NAMES) == set(STATES) - {"normal"}


def test_an_escalation_resolves_the_ticket_and_fires_the_page() -> None:
    announce, desk = Announce("c"), Desk("c")
    (ticket,) = alerts(announce, desk, say(5, "masked"))
    resolved, page = alerts(announce, desk, say(9, "gray", "masked"))
    assert (resolved.labels, resolved.starts, resolved.ends) == (ticket.labels, 5, 9)
    assert (page.labels["severity"], page.labels["incident"], page.starts, page.firing) == ("page", ticket.labels["incident"], 9, True)


def test_the_end_resolves_what_fires_and_nothing_is_kept() -> None:
    announce, desk = Announce("c"), Desk("c")
    (page,) = alerts(announce, desk, say(5, "gray"))
    (end,) = alerts(announce, desk, say(8, "normal", "gray"))
    assert (end.labels, end.starts, end.ends) == (page.labels, 5, 8)
    assert announce.firing == {}


def test_an_alert_that_goes_on_keeps_its_start() -> None:
    announce, desk = Announce("c"), Desk("c")
    (first,) = alerts(announce, desk, say(5, "gray"))
    assert list(alerts(announce, desk, say(9, "masked", subject="n1/gpu0/pcie"))) == []  # nothing to tell anew
    (again,) = alerts(announce, desk, say(12, "gray", why="more"))
    assert (again.labels, again.starts, again.annotations["why"]) == (first.labels, 5, "more")


def test_every_firing_alert_is_resolved_once_whatever_happens() -> None:
    announce, desk = Announce("c"), Desk("c")
    states = ["masked", "gray", "failed", "unknown", "masked", "failed", "normal"]
    said = [a for i, (old, new) in enumerate(zip(["normal", *states], states, strict=False)) for a in alerts(announce, desk, say(i + 1, new, old))]
    firing: set[tuple[tuple[str, str], ...]] = set()
    for alert in said:
        key = tuple(sorted(alert.labels.items()))
        assert alert.firing or key in firing
        (firing.add if alert.firing else firing.remove)(key)
    assert firing == set()


def test_restored_from_open_incidents_it_says_the_same() -> None:
    announce, desk = Announce("c"), Desk("c")
    alerts(announce, desk, say(5, "masked"), say(7, "gray", "masked"), say(8, "masked", subject="n1/gpu0/pcie"))
    other = Announce("c")
    other.restore(desk.open.values())
    assert {key: news(alert) for key, alert in other.firing.items()} == {key: news(alert) for key, alert in announce.firing.items()}
    straight = Announce("c")
    straight.restore(desk.open.values(), announce.snapshot())
    assert straight.firing == announce.firing


def news(alert: Alert) -> Alert:
    return replace(alert, annotations={k: v for k, v in alert.annotations.items() if k not in ("summary", "description")})


def test_the_detail_goes_along_and_says_what_would_refute_it() -> None:
    (alert,) = alerts(Announce("c"), Desk("c"), say(5, "gray"))
    lines = alert.annotations["description"].splitlines()
    assert lines[0].startswith("what: n1/gpu0 is gray (slow_rank), a page")
    assert f"refuted if: {Modes.load().modes['slow_rank'].refuted}" in lines


def test_neither_mode_nor_suspect_nor_place_is_identity() -> None:
    announce, desk = Announce("c"), Desk("c")
    (first,) = alerts(announce, desk, say(5, "gray"))
    incident = desk.open[first.labels["incident"]]
    (again,) = announce.step([replace(incident, mode="thermal_throttle", subject="n2", place="site", summary="other words")])
    assert (again.labels, again.starts, again.firing) == (first.labels, first.starts, True)
    assert (again.annotations["mode"], again.annotations["subject"], again.annotations["place"]) == ("thermal_throttle", "n2", "site")


def test_where_the_suspect_sits_is_told_where_the_roster_knows() -> None:
    view = View(0, {"n1": RosterRow("n1", "node", keys={"leaf": "leaf04"}), "n1/gpu0": RosterRow("n1/gpu0", "gpu")})
    part, leaf, stranger = (a for s in ("n1/gpu0", "leaf04", "x") for a in Announce("c").step(Desk("c").step([say(5, "gray", subject=s)]), roster=view))
    assert [part.annotations.get(k) for k in ("table", "node", "leaf")] == ["gpu", "n1", "leaf04"]
    assert [leaf.annotations.get(k) for k in ("table", "node", "leaf")] == ["leaf", None, "leaf04"]
    assert not {"table", "node", "leaf"} & stranger.annotations.keys()
