"""Series: what is held of a cell, as bounded series by the conventions of Prometheus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

from grayscope.incident import SEVERITIES
from grayscope.promtext import Sample
from grayscope.sinks._holding import Holding
from grayscope.verdict import STATES

T = TypeVar("T")
#: Series of each kind that grows with the fleet.
MOST = 10_000
OWN = "Told by the pipeline that runs the detector."
HELP = {
    "grayscope_build_info": "Version of the detector.",
    "grayscope_subject_state": "1 for every subject that is not normal, with its state; a normal one has no series.",
    "grayscope_incident_info": "1 for every open incident.",
    "grayscope_incidents_open": "Open incidents by severity and mode.",
    "grayscope_redundancy_left_ratio": "Part of a redundancy that is left, for subjects that have spent some.",
    "grayscope_redundancy_exhaustion_seconds": "Forecast of the time until a redundancy is spent, where one can be given.",
    "grayscope_coverage_ratio": "Part of the expected values of a metric that came in the last minutes.",
    "grayscope_subjects": "Subjects that are watched.",
    "grayscope_last_tick_timestamp_seconds": "Event time of the newest tick that was judged.",
    "grayscope_ticks_total": "Ticks judged.",
    "grayscope_rows_total": "Rows read.",
    "grayscope_dropped_rows_total": "Rows that were not judged, by reason.",
    "grayscope_events_total": "Events read.",
    "grayscope_dropped_events_total": "Events that were not judged, by reason.",
    "grayscope_series_not_shown": "Series left out because there are too many of their kind.",
    "grayscope_alerts_sent_total": "Alerts that a receiver took.",
    "grayscope_alerts_lost_total": "Alerts that were given up.",
    "grayscope_lag_messages": "Messages that are not read yet.",
    "grayscope_tick_duration_seconds": "Time that the latest tick took.",
    "grayscope_rejected_messages_total": "Messages that could not be read.",
}
#: Counts of the engine that have a series of their own; all others are reasons why a row was not judged.
COUNTS = {
    "rows": ("grayscope_rows_total", ""), "ticks": ("grayscope_ticks_total", ""), "events": ("grayscope_events_total", ""),
    "late_events": ("grayscope_dropped_events_total", "late"), "events_dropped": ("grayscope_dropped_events_total", "too_many"),
    "works_dropped": ("grayscope_dropped_events_total", "too_much_work"),
}  # fmt: skip


def series(held: Holding, labels: Mapping[str, str], most: int, dropped: dict[str, int]) -> Iterator[Sample]:
    """Yield the series of one cell; `dropped` counts, by kind, what is beyond `most`."""
    states = sorted(held.states.items(), key=lambda item: (-STATES.index(item[1][1]), item[0]))
    for subject, (table, state) in _cut("subject_state", states, most, dropped):
        yield Sample("grayscope_subject_state", "gauge", {**labels, "table": table, "subject": subject, "state": state}, 1.0)
    yield from _incidents(held, labels, most, dropped)
    yield from _redundancy(held, labels, most, dropped)
    subjects: dict[str, int] = {}
    for (table, metric), covered in _cut("coverage", sorted(held.covered.items()), most, dropped):
        subjects[table] = max(subjects.get(table, 0), covered.subjects)
        yield Sample("grayscope_coverage_ratio", "gauge", {**labels, "table": table, "metric": metric}, held.coverage((table, metric)))
    for table, number in subjects.items():
        yield Sample("grayscope_subjects", "gauge", {**labels, "table": table}, float(number))
    if held.time:
        yield Sample("grayscope_last_tick_timestamp_seconds", "gauge", labels, held.time / 1e6)
    for name, count in sorted(held.counts.items()):
        family, reason = COUNTS.get(name, ("grayscope_dropped_rows_total", name))
        yield Sample(family, "counter", {**labels, "reason": reason} if reason else labels, float(count))


def own(numbers: Mapping[str, float], cluster: str) -> Iterator[Sample]:
    """Yield numbers that have nothing but a name."""
    for name, value in sorted(numbers.items()):
        yield Sample(name, "counter" if name.endswith("_total") else "gauge", {"cluster": cluster}, float(value))


def _incidents(held: Holding, labels: Mapping[str, str], most: int, dropped: dict[str, int]) -> Iterator[Sample]:
    open_: dict[tuple[str, str], int] = {}
    alerts = sorted(held.alerts.values(), key=lambda a: (-SEVERITIES.index(a.labels["severity"]), a.starts, a.labels["incident"]))
    for alert in alerts:
        key = (alert.labels["severity"], alert.annotations["mode"])
        open_[key] = open_.get(key, 0) + 1
    for alert in _cut("incident_info", alerts, most, dropped):
        told = {k: alert.annotations[k] for k in ("subject", "state", "mode")}
        named = {"incident": alert.labels["incident"], "severity": alert.labels["severity"], "urgency": alert.labels.get("urgency", "")}
        yield Sample("grayscope_incident_info", "gauge", {**labels, **named, **told}, 1.0)
    for (severity, mode), number in sorted(open_.items()):
        yield Sample("grayscope_incidents_open", "gauge", {**labels, "severity": severity, "mode": mode}, float(number))


def _redundancy(held: Holding, labels: Mapping[str, str], most: int, dropped: dict[str, int]) -> Iterator[Sample]:
    """Yield what is left and how long: one of each per subject and mechanism, the least where it is measured in several units."""
    left: dict[tuple[str, str], float] = {}
    ends: dict[tuple[str, str], float] = {}
    for (subject, mechanism, _), entry in held.ledger.items():
        key = (subject, mechanism)
        if entry.budget > 0:
            left[key] = min(left.get(key, 1.0), max(entry.left / entry.budget, 0.0))
        if entry.left <= 0 or entry.exhausted_at:
            seconds = max(entry.exhausted_at - held.time, 0) / 1e6 if entry.left > 0 else 0.0
            ends[key] = min(ends.get(key, seconds), seconds)
    for kind, name, found in (("redundancy_left", "redundancy_left_ratio", left), ("redundancy_exhaustion", "redundancy_exhaustion_seconds", ends)):
        for (subject, mechanism), value in _cut(kind, sorted(found.items(), key=lambda item: (item[1], item[0])), most, dropped):
            yield Sample(f"grayscope_{name}", "gauge", {**labels, "subject": subject, "mechanism": mechanism}, value)


def _cut(kind: str, found: list[T], most: int, dropped: dict[str, int]) -> list[T]:
    """Return the first ones, the gravest or soonest, and count the others."""
    dropped[kind] = dropped.get(kind, 0) + max(len(found) - most, 0)
    return found[:most]
