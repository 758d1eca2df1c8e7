"""Benchprogress: what a bench does now and about how long it still takes, on standard error."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from grayscope.scoreboard import HOME

from ._benchforms import duration

if TYPE_CHECKING:
    from ._benchpool import Outcome
    from ._benchunits import Unit

Told = tuple[Callable[["Unit"], object], Callable[["Outcome[Unit]"], None]]
#: CPU seconds per hour of trace, and on top of that per node and hour: measured on one core of 2026. Only a first guess.
MAKING, HOME_PACE, COMMON, RIVAL = (0.2, 0.02), (0.4, 0.075), (0.25, 0.046), (0.04, 0.013)
#: CPU seconds per megabyte of a recorded set, for its import and for each replay of it.
RECORDED = 0.3


def guess(unit: Unit) -> float:
    """Return about how many CPU seconds a unit takes; next to none for what is in the cache."""
    missing = unit.missing
    if not missing:
        return 0.01
    source = unit.source
    if source.file is not None:
        return RECORDED * source.file.stat().st_size / 1e6 * max(len(missing), 1)
    rivals = sum(d not in (HOME, "") for d in missing)
    parts = [MAKING if "" in missing else (0.0, 0.0), HOME_PACE if HOME in missing else (0.0, 0.0)]
    parts += [COMMON, *[RIVAL] * rivals] if rivals else []
    scenario = source.scenario()
    return 0.01 + scenario.hours * sum(base + node * scenario.nodes for base, node in parts)


@contextmanager
def progress(units: Iterable[Unit], jobs: int) -> Iterator[Told]:
    """Show a bar on a terminal, a line per piece of work elsewhere.

    Parameters
    ----------
    units : iterable of Unit
        All that will be done.
    jobs : int
        At a time.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    left = Left({unit.name: guess(unit) for unit in units}, jobs)
    running = dict.fromkeys(list[str]())
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=left.total)
        click.echo(f"{left.total} pieces of work, {left.said()}", err=True)

        def begun(unit: Unit) -> None:
            running[unit.name] = None
            bar.update(task, description=f"{left.said()}: {', '.join(running)}")

        def ended(outcome: Outcome[Unit]) -> None:
            left.done(outcome.task.name)
            running.pop(outcome.task.name, None)
            bar.update(task, advance=1, description=f"{left.said()}: {', '.join(running)}")
            if not console.is_terminal:
                became = "done" if outcome.error is None else "failed"
                click.echo(f"{left.count}/{left.total} {outcome.task.name}: {became} in {duration(outcome.seconds)}; {left.said()}", err=True)

        yield begun, ended


class Left:
    """How long the rest takes: guesses, corrected by the pace so far.

    Parameters
    ----------
    guesses : dict of str to float
        CPU seconds of each piece of work.
    jobs : int
    clock : callable
        Seconds.
    """

    def __init__(self, guesses: dict[str, float], jobs: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.waiting, self.jobs, self.clock = dict(guesses), max(jobs, 1), clock
        self.total, self.count = len(guesses), 0
        self.began, self.behind = clock(), 0.0

    def done(self, name: str) -> None:
        """Take note that a piece of work has ended."""
        self.count += 1
        self.behind += self.waiting.pop(name, 0.0)

    @property
    def seconds(self) -> float:
        """Return how long the rest takes; the guesses alone count until there is something to correct them by.

        Examples
        --------
        >>> times = iter([0.0, 0.0, 60.0])
        >>> left = Left({"a": 40.0, "b": 80.0}, 2, lambda: next(times))
        >>> left.seconds, left.done("a"), left.seconds
        (60.0, None, 88.0)
        """
        rest = sum(self.waiting.values()) / self.jobs
        passed, expected = self.clock() - self.began, self.behind / self.jobs
        trust = expected / (expected + rest / 3) if expected + rest > 0 else 0.0
        return rest * (1 - trust + trust * passed / expected) if expected > 0 else rest

    def said(self) -> str:
        """Return it in words."""
        return f"about {duration(round(self.seconds, 1))} left" if self.waiting else "nothing left"
