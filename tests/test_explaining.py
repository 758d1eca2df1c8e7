"""Explaining: everything that was measured is told, with what would refute it; nothing breaks it and nothing runs on for ever."""

from __future__ import annotations

from dataclasses import replace

from grayscope.desk import Desk
from grayscope.evidence import Finding
from grayscope.explaining import LINE, SHOWN, explain, explained, headline, refuted
from grayscope.incident import Incident
from grayscope.ledger import Entry
from grayscope.modes import Modes
from grayscope.shown import signal
from grayscope.verdict import Verdict

S = 1_000_000
SINCE = "since 1970-01-01T00:00:05Z"
HOT = Finding(9 * S, "n1/gpu0", "condition", "slower", 12.0, "thermal_throttle", "clock_throttle", "gpu_clock_hertz", 1.6e9, 2e9, 127, 5 * S)
HOT = HOT._replace(why="gpu_clock_hertz 1.6 GHz is 20% below its peers (2 GHz, 127 of them) since then")
LATE = Finding(9 * S, "n1/gpu0", "service", "slower", 9.0, "slow_rank", "", "compute_seconds", 2.4, 2.0, 63, 5 * S, why="made job:1 late")


def says_of(subject: str, mode: str, *found: Finding, state: str = "gray", **more: object) -> Verdict:
    side = found[0].side if found else ""
    shown = tuple(signal(f, f.since) for f in found)
    return Verdict(9 * S, subject, state, "normal", 9.0, "w", 5 * S, mode, side=side, shown=shown, **more)  # type: ignore[arg-type]


def filed(*verdicts: Verdict) -> Incident:
    return list(Desk("c").step(verdicts))[-1]


def lines(text: str, label: str) -> list[str]:
    return [line.removeprefix(f"{label}: ") for line in text.splitlines() if line.startswith(f"{label}: ")]


def test_each_signal_has_value_peer_median_peers_ratio_since_and_side() -> None:
    shown = lines(explain(filed(says_of("n1/gpu0", "thermal_throttle", LATE, HOT))), "shown by")
    assert shown == [
        f"n1/gpu0, what the workload gets: compute_seconds 2.4 s, usual among 63 peers 2 s: 20% above, {SINCE}; made job:1 late [slower, service]",
        f"n1/gpu0, a symptom: gpu_clock_hertz 1.6 GHz, median of 127 peers 2 GHz: 20% below, {SINCE} [slower, condition]",
    ]


def test_a_signal_without_numbers_keeps_its_words_and_the_own_past_is_no_peer() -> None:
    event = Finding(1, "n1", "health", "events", 50.0, "gpu_lost", metric="xid", why="Xid 79 once")
    past = HOT._replace(n_peers=0, why="gpu_clock_hertz 1.6 GHz is 20% below its own past (2 GHz)")
    told = lines(explain(filed(says_of("n1", "gpu_lost", event, past))), "shown by")
    assert told[0] == "n1, the system's own view: Xid 79 once; since when is unknown [events, health]"
    assert told[1].endswith("gpu_clock_hertz 1.6 GHz is 20% below its own past (2 GHz), since 1970-01-01T00:00:05Z [slower, condition]")


def test_what_is_counted_in_ticks_is_told_in_the_detectors_words() -> None:
    rose = Finding(9, "n1", "redundancy", "spending", 9.0, "nic_errors", "", "nic_port_retransmits_total", 25.0, 0.02, 31, 5 * S, why="rose in 25 ticks")
    (told,) = lines(explain(filed(says_of("n1", "nic_errors", rose, state="masked"))), "shown by")
    assert told == f"n1, spare capacity: rose in 25 ticks (1250 times what is usual, 31 peers), {SINCE} [spending, redundancy]"


def test_how_sure_is_both_who_and_whether() -> None:
    told = [lines(explain(filed(replace(says_of("n1", "slow_rank"), strength=nats))), "how sure")[0] for nats in (7.0, 20.0, 50.0)]
    assert all(text.startswith("100% that it is n1 and none of the others; ") for text in told)
    ends = ("once in 1,100 weeks", "less than once in a million weeks", "a rule's word, no estimate")
    assert [text.endswith(end) for text, end in zip(told, ends, strict=True)] == [True] * 3


def test_the_root_says_what_follows_from_it_and_who_else_it_may_be() -> None:
    text = explain(filed(says_of("n1/gpu3", "slow_rank", LATE), says_of("n1", "fan_degraded", HOT, state="masked"), says_of("n1/gpu3", "thermal_throttle")))
    assert lines(text, "what")[0].startswith("n1 is gray (fan_degraded), a page; began")
    assert lines(text, "why first") == ["fan_degraded may show itself as thermal_throttle, not the other way round"]
    assert lines(text, "with it") == ["n1/gpu3 was gray (thermal_throttle), which may follow from it"]
    assert lines(text, "or else") == ["n1/gpu3 20%"]
    assert lines(text, "how sure")[0].startswith("80% that it is n1")


def test_what_the_data_cannot_tell_apart_is_said() -> None:
    text = explain(filed(says_of("n1", "slow_path", LATE, rivals=(("n2", 0.4),))))
    assert lines(text, "why first") == ["the likeliest of those that the data cannot tell apart"]
    assert lines(text, "or else") == ["n2 40%"]


def test_what_is_left_comes_from_the_ledger_as_it_was_then() -> None:
    incident = filed(says_of("n1", "hbm_row_spares", HOT._replace(left=7.0), state="masked"))
    assert lines(explain(incident), "left") == ["gpu_clock_hertz: 7; when it is used up: not foreseeable"]
    rows = [Entry(t * S, "n1", "hbm_row_spares", 512, 512 - left, left, "rows") for t, left in ((1, 500), (20, 400))]
    ended = replace(incident, ended=10 * S)
    told = [lines(text, "left")[0] for _, text in explained([incident, ended], rows)]
    assert told == [f"hbm_row_spares: {n} of 512 rows; when it is used up: not foreseeable" for n in (400, 500)]


def test_how_fast_it_goes_is_told_with_its_interval() -> None:
    hour = 3600 * S
    spent = Entry(S, "n1", "hbm_row_spares", 512, 12, 500, "rows", 0.125, S + 2600 * hour, S + 4000 * hour, S + 6400 * hour)
    told = lines(explain(filed(says_of("n1", "hbm_row_spares", HOT)), spent), "left")[0]
    assert told.startswith("hbm_row_spares: 500 of 512 rows; spent at 3 a day (80 % interval 1.88 to 4.62); when it is used up: ")


def test_every_mode_and_side_has_its_refutation() -> None:
    known = Modes.load()
    assert all(refuted(filed(says_of("n1", mode))) == known.modes[mode].refuted for mode in known.modes)
    assert refuted(filed(says_of("n1", "", LATE))) == known.refuted["service"]
    assert lines(explain(filed(says_of("n1", "no such mode", HOT))), "refuted if") == [known.refuted["condition"]]


def test_it_is_bounded_and_harmless() -> None:
    many = [says_of(f"n1/gpu{g}", "slow_component", *(LATE._replace(metric=f"m{g}{k}", why="x\n\x1b[2J" + "y" * 10_000) for k in range(4))) for g in range(19)]
    text = explain(filed(says_of("n1", "slow_component"), *many))
    assert len(text.splitlines()) < 2 * SHOWN + 12
    assert max(map(len, text.splitlines())) < 500
    assert "\x1b" not in text
    assert len(lines(text, "shown by")) == SHOWN + 1


def test_an_incident_of_an_older_form_is_told_too() -> None:
    text = explain(
        Incident("ab", "n1", "n1", "gray", "page", "slow_rank", 0, 0, evidence=({"time": 9, "why": "slow"},), rivals=(("n2", 0.5),), probability=0.5)
    )
    assert lines(text, "how sure") == ["50% that it is n1 and none of the others"]


def test_a_redundancy_that_nobody_has_counted_is_told_by_what_is_published() -> None:
    told = explain(Incident("ab", "n1/gpu0/nvlink1", "n1", "masked", "ticket", "nvlink_errors", 0, 60))
    assert "left: nvlink_replay: not counted here" in told
    assert "none published" in told


def test_the_one_line_says_what_since_when_how_sure_what_is_left_and_what_to_do_first() -> None:
    rose = Finding(9 * S, "n1/gpu0/pcie", "redundancy", "spending", 9.0, "pcie_errors", "", "pcie_replays_total", 25.0, 0.02, 31, 5 * S, why="rose in 25 ticks")
    line = headline(filed(replace(says_of("n1/gpu0/pcie", "pcie_errors", rose, state="masked"), why="rose in 25 of the last 60 ticks")))
    assert line == (
        "n1/gpu0/pcie is masked: rose in 25 of the last 60 ticks; pcie_errors since 1970-01-01T00:00:05Z; 100% that it is this one; "
        f"left: not counted; first: {Modes.load().modes['pcie_errors'].runbook}"
    )


def test_what_is_left_is_said_once_and_with_how_much_there_was() -> None:
    spent = Entry(S, "n1", "pcie_degrade", 16, 8, 8, "lanes")
    incident = filed(says_of("n1", "pcie_width", state="masked"))
    assert "; left: pcie_degrade: 8 of 16 lanes; first: " in headline(incident, spent)
    assert "left: " not in headline(replace(incident, summary="n1 is masked: 8 lanes lost, left 8 of 16"), spent)
    rail = HOT._replace(side="redundancy", metric="nic_port_up", left=6.0, why="nic_port_up is 0: 1 of 8 rails lost, left 6 of 7 rails; others carry")
    assert lines(explain(filed(says_of("n1", "rail_failover", rail, state="masked"))), "left")[0].startswith("nic_port_up: 6 of 7 rails; ")


def test_nobody_is_accused_of_what_only_looks_like_trouble_and_no_name_has_a_first_step_too() -> None:
    alike = filed(says_of("n1/nic0", "fabric_congestion", LATE, state="unknown"))
    assert "shows here, which is not accused" in headline(alike)
    assert lines(explain(alike), "how sure")[0].startswith("100% that it shows at n1/nic0, which is not accused")
    assert "this one" in headline(filed(says_of("n1", "silent", state="unknown")))
    assert "; first: Compare it with its peers" in headline(filed(says_of("n1", "")))


def test_a_long_finding_leaves_room_for_the_answers() -> None:
    line = headline(replace(filed(says_of("n1", "slow_rank", LATE)), summary="n1 is gray: \n" + "x" * 10_000))
    assert len(line) < LINE + 300
    assert "\n" not in line
    assert "; first: " in line


def test_a_page_that_is_a_ticket_again_says_until_when_it_was_one() -> None:
    steps = ((1 * S, "masked", "ticket"), (4 * S, "gray", "page"), (6 * S, "masked", "ticket"))
    was = Incident("ab", "n1", "n1", "masked", "ticket", "rail_failover", 0, S, escalated=4 * S, history=steps)
    (what,) = lines(explain(was), "what")
    assert what.startswith("n1 is masked (rail_failover), a ticket; began ")
    assert what.endswith(", a page from 1970-01-01T00:00:04Z to 1970-01-01T00:00:06Z, open")
    still = replace(was, state="gray", severity="page", history=steps[:2])
    assert "a page from 1970-01-01T00:00:04Z, open" in explain(still)


def test_what_is_over_says_what_it_was_at_worst_and_at_last() -> None:
    steps = ((1 * S, "gray", "page"), (6 * S, "masked", "ticket"))
    over = Incident("ab", "n1", "n1", "gray", "page", "slow_rank", 0, S, ended=9 * S, history=steps)
    assert lines(explain(over), "what")[0].startswith("n1 was gray at worst (slow_rank), a page, masked at last; began")
    assert lines(explain(replace(over, history=steps[:1])), "what")[0].startswith("n1 was gray (slow_rank), a page; began")


def test_what_came_back_says_how_often_and_when_it_counts_as_over() -> None:
    minute = 60 * S
    steps = [(0, "masked", "ticket"), (10 * minute, "normal", "notice"), (18 * minute, "masked", "ticket")]
    once = Incident("ab", "n1", "n1", "masked", "ticket", "slow_rank", 0, 0, history=tuple(steps))
    assert "; slow_rank since 1970-01-01T00:00:00Z; came back once; 100%" in headline(once)
    assert lines(explain(once), "came back") == ["once, after 8 min; what comes back within 152 min of an end counts as the same"]
    steps += [(30 * minute, "normal", "notice"), (68 * minute, "masked", "ticket")]
    twice = replace(once, history=tuple(steps))
    assert "; came back 2 times; " in headline(twice)
    assert lines(explain(twice), "came back") == ["2 times, after 8 min to 38 min; what comes back within 160 min of an end counts as the same"]
    assert "came back" not in explain(replace(once, history=tuple(steps[:2])))
    flaps = tuple((m * 60_000_000, *(("gray", "page") if m % 2 == 0 else ("normal", "notice"))) for m in range(200))
    assert "; came back at least 99 times; " in headline(replace(once, history=flaps))


def test_how_little_few_peers_tell_is_said_in_the_detail_alone() -> None:
    few = LATE._replace(n_peers=3)
    told = [lines(explain(filed(says_of("n1/gpu0", "slow_rank", f))), "shown by")[0] for f in (few, LATE, few._replace(n_peers=7))]
    assert [text.partition("]")[2] for text in told] == ["; few peers: evidence counts 3/7", "", ""]
    assert "few peers" not in headline(filed(says_of("n1/gpu0", "slow_rank", few)))
    rose = Finding(9 * S, "n1", "redundancy", "spending", 9.0, "nic_errors", "", "nic_port_retransmits_total", 25.0, 0.02, 1, 5 * S, why="rose")
    assert lines(explain(filed(says_of("n1", "nic_errors", rose, state="masked"))), "shown by")[0].endswith("; few peers: evidence counts 3/7 at most")


def test_a_symptom_that_accuses_nobody_and_a_rule_count_whole_beside_few() -> None:
    symptom, limit = HOT._replace(n_peers=3), LATE._replace(n_peers=3, detector="ledger")
    assert "few peers" not in explain(filed(says_of("n1/gpu0", "thermal_throttle", symptom, limit)))


def test_once_the_root_has_recovered_it_is_told_of_what_goes_on() -> None:
    desk, known = Desk("c"), Modes.load().modes
    lost = HOT._replace(subject="n1", side="redundancy", metric="fan_redundancy_intact", left=0.0, why="1 lost, left 0 of 1 fans", mode="fan_degraded")
    fan, hot = says_of("n1", "fan_degraded", lost, state="masked"), says_of("n1/gpu3", "thermal_throttle", HOT, state="masked")
    (before,) = [*desk.step([fan]), *desk.step([hot])][-1:]
    (after,) = desk.step([Verdict(20 * S, "n1", "normal", "masked", 0.0, "well again", 20 * S)])
    assert lines(explain(before), "left") == ["fan_redundancy_intact: 0 of 1 fans; when it is used up: not foreseeable"]
    assert lines(explain(before), "do first") == [known["fan_degraded"].runbook]
    assert lines(explain(after), "what")[0].startswith("n1 has recovered (fan_degraded), n1/gpu3 is still masked (thermal_throttle), a ticket; began ")
    assert lines(explain(after), "left") == ["cooling: nothing is known to be spent since n1 has recovered"]
    assert lines(explain(after), "how sure")[0].startswith("80% that it began with n1 and none of the others")
    assert lines(explain(after), "do first") == [
        f"of n1/gpu3: {known['thermal_throttle'].runbook}; of n1, which has recovered: {known['fan_degraded'].runbook}"
    ]
    line = headline(after)
    assert "; began as fan_degraded, since 1970-01-01T00:00:05Z; 80% that it began here; " in line
    assert line.endswith(f"; first: of n1/gpu3: {known['thermal_throttle'].runbook}")
    over = replace(after, ended=30 * S)
    assert lines(explain(over), "what")[0].startswith("n1 was masked (fan_degraded), a ticket; began ")


def test_what_it_was_before_is_told_once_it_changed() -> None:
    steps = ((1 * S, "masked", "ticket"), (4 * S, "gray", "page"), (5 * S, "gray", "ticket"), (6 * S, "failed", "page"))
    failed = Incident("ab", "n1", "n1", "failed", "page", "gpu_lost", 0, S, history=steps)
    assert lines(explain(failed), "history") == ["masked from 1970-01-01T00:00:01Z, gray from 1970-01-01T00:00:04Z, failed from 1970-01-01T00:00:06Z"]
    assert not lines(explain(replace(failed, history=steps[:1])), "history")
    flaps = tuple((n * S, *(("gray", "page") if n % 2 == 0 else ("normal", "notice"))) for n in range(40))
    told = lines(explain(replace(failed, history=flaps)), "history")[0].split(", ")
    assert (len(told), told[0], told[1], told[-1]) == (SHOWN, "gray from 1970-01-01T00:00:00Z", "33 more changes", "normal from 1970-01-01T00:00:39Z")
