"""The parts of grayscope that an ablation takes away, one at a time: a detector, or one attribute of the line that is patched in this process.

The product has no switches for them: what is patched here is what the code that runs looks up anyway, and patching what is not there fails.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import numpy as np

from grayscope import begun, evenness, horizons, kernels, machinewide, plugins, taillaw

WHOLE = "everything on"
#: Place of the usual spreads among what `grayscope.kernels.compare` is given.
SCALE = 13


@dataclass(frozen=True)
class Part:
    """One thing to do without.

    Parameters
    ----------
    name : str
    without : str
        What is done instead, in a few words.
    detector : str
        To leave out, ``""`` for none.
    patches : mapping of str to object
        Dotted names with what takes their place.
    """

    name: str
    without: str
    detector: str = ""
    patches: Mapping[str, Any] = field(default_factory=dict)

    @property
    def detectors(self) -> tuple[str, ...]:
        """Return the detectors that run."""
        return tuple(d for d in plugins.default_detectors() if d != self.detector)


# -- what takes the place of a function; of a method, the first argument is its object ---------------------------------


def _same(_: object, given: Any, *__: object) -> Any:
    """Return what was given to a method as it came."""
    return given


def _stays(_: object, findings: Any, *__: object) -> Iterator[Any]:
    return iter(findings)


def _unmoved(findings: Any, *_: object) -> Iterator[Any]:
    return iter(findings)


def _cost_nothing(costs: Any, tick: Any, _: object, row: int, __: object) -> Iterator[Any]:
    costs.sound = tick.values[row]
    return iter(())


def _no_crowds(*_: object) -> dict[Any, Any]:
    return {}


def _none_restless(move: Any, _: object) -> Any:
    return np.zeros_like(move)


def _undivided(compare: Any) -> Any:
    """Return the comparison as it is of groups of which no usual spread is known: none of them is two halves."""

    def whole(*given: Any) -> None:
        compare(*given[:SCALE], np.zeros_like(given[SCALE]), *given[SCALE + 1 :])

    return whole


def _as_known_before(_: object, knee: float) -> taillaw.Law:
    return taillaw.huber(knee)


def _none_heavier(*_: object) -> None:
    return None


def _learns_nothing(*_: object) -> None:
    return None


def _unknown(*_: object) -> float:
    return float("nan")


def _strongest(_: object, __: object, best: Any) -> Any:
    return best


def _never(*_: object) -> bool:
    return False


def _none(*_: object) -> None:
    return None


def _one(*_: object) -> float:
    return 1.0


def _no_words(*_: object) -> str:
    return ""


def _begun_nobody(*_: object) -> begun.Begun:
    return begun.NOBODY


def _unsplit(_: object, findings: Any, crowds: Any, __: object) -> tuple[Any, list[Any]]:
    return findings, list(crowds)


def _no_machine(tick: Any, *_: object) -> machinewide.Wide:
    nothing = np.zeros(len(tick.subjects), np.float32)
    return machinewide.Wide({}, np.full_like(nothing, np.nan), nothing)


def _by_chance(*_: object) -> Any:
    return evenness.NOTHING


def _of_large_groups(*given: Any) -> tuple[Any, None]:
    return given[-1], None  # the noise as it was


#: Name -> (what is done without it, what is patched by what).
INSIDE: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "load curves": ("values are compared whatever the load", {"grayscope.loads.Loads.learn": _learns_nothing}),
    "doubt": ("everything is learned from, the sick too", {"grayscope.judge.Judge.doubted": frozenset[str]()}),
    "own noise": ("all parts are taken to be as noisy as most", {"grayscope.horizons.restless": _none_restless}),
    "better half": ("a group of which one half has moved is measured by the middle between", {"grayscope.kernels.compare": _undivided(kernels.compare)}),
    "learned tails": ("Huber's law for every metric", {"grayscope.tails.law": _as_known_before}),
    "heavier tails": ("no noise is taken to be heavier than the law for unknown fleets allows", {"grayscope.taillaw._noisier": _none_heavier}),
    "long means": ("no mean over more than 16 ticks", {"grayscope.horizons.HORIZONS": horizons.FAST}),
    "still (STILL)": ("a long mean speaks though it is over", {"grayscope.horizons.STILL": -np.inf}),
    "few peers (ENOUGH)": ("what stands out of a group of few counts in full", {"grayscope.horizons.ENOUGH": 1}),
    "crowds": ("each member of a divided group is accused", {"grayscope.horizons.crowds": _no_crowds, "grayscope.horizons.divided": _no_crowds}),
    "gathering": ("parts that stand out alike are not their whole's matter", {"grayscope.blame._gathered": _unmoved}),
    "together": ("nodes that stand out alike are not their leaf's, rack's or batch's matter", {"grayscope.together.Together.step": _stays}),
    "upstream": ("what many ways cross is not looked for", {"grayscope.upstream.Upstream.step": _same}),
    "path blame": ("paths are accused themselves", {"grayscope.pathblame.PathBlame.step": _same}),
    "explaining away": ("what one accused component explains of paths accuses others, too", {"grayscope.pathaway.Away.inner": _same}),
    "waiting chains": ("who waits least is the suspect, though it waited elsewhere", {"grayscope.blame.walked": _unmoved}),
    "patience of communicators": ("they are accused at once", {"grayscope.commblame.PATIENCE": 0, "grayscope.commblame.LOOKS": 0}),
    "congestion": ("the network never says that it is overloaded", {"grayscope.commblame.Congestion.explains": _never}),
    "host busy": ("no rank is late because its host is busy", {"grayscope.hostbusy.HostBusy._explained": _same}),
    "costs": ("what suspects cost a job is not worked out", {"grayscope.costs.Costs.step": _cost_nothing}),
    "machines that brake": ("what all ranks of a machine share is each one's own", {"grayscope.costs.wide": _no_machine}),
    "reasons of its own": ("a part is one of a crowd whatever it has lost itself", {"grayscope.ownreason.Reasons.split": _unsplit}),
    "evenness": ("steps come by chance, whatever the fleet shows", {"grayscope.ledgerstock.learned": _by_chance}),
    "impact": (
        "whether anybody waits for a suspect is unknown",
        {"grayscope.impact.Impact._weighed": _same, "grayscope.impact.Impact._share": _unknown},
    ),
    "asking (ASKS)": ("a ticket does not wait for what the workload says", {"grayscope.judge.ASKS": 0}),
    "hysteresis": ("a state is left as soon as it is not as strongly supported", {"grayscope.judge.SLACK": 0.0, "grayscope.judge.CALM": 1}),
    "eased pages": ("a page is a ticket as soon as nobody suffers from it", {"grayscope.desk.until": _none}),
    "naming by the cause": ("a trouble is called by its strongest symptom", {"grayscope.judge.Judge._cause": _strongest}),
    "ranks with few peers": ("no rank in a group of one to three is held against its own past", {"grayscope.fewpast.FewPast.fill": _of_large_groups}),
    "one alone": ("the only rank of a job is no reason for more, though the condition of its machine agrees", {"grayscope.blame.corroborated": _unmoved}),
    "traffic": ("errors are counted whatever was moved", {f"grayscope.{m}.carriers": _no_crowds for m in ("traffic", "worth")}),
    "beginning together": ("parts that begin to spend at once are each other's excuse", {"grayscope.detectors.spending.begun": _begun_nobody}),
    "sufferers": ("who is late because of another in its job has no excuse", {"grayscope.sufferers.Sufferers.excuse": _no_words}),
    "repeat offenders": ("who was suspected before is no likelier to be to blame", {"grayscope.history.History.weight": _one}),
    "failures over jobs": ("who fails in job after job is told of each failure only", {"grayscope.failures.Failures.step": _same}),
    "coming back": ("what comes back within the hour is a new incident", {"grayscope.again.Again.take": _none}),
    "ways": ("a part that a communicator crosses is another matter", {f"grayscope.{m}.passes": _never for m in ("cascade", "desk", "suspects")}),
    "cascade": ("each verdict is an incident of its own", {"grayscope.desk.belongs": _never}),
}


def parts() -> list[Part]:
    """Return everything on, then each default detector, then each part of the line."""
    detectors = [Part(f"detector {d}", plugins.summary("detectors", d), d) for d in plugins.default_detectors()]
    return [Part(WHOLE, ""), *detectors, *(Part(name, without, patches=patches) for name, (without, patches) in INSIDE.items())]


@contextmanager
def off(part: Part) -> Iterator[None]:
    """Do without a part as long as this lasts.

    Raises
    ------
    AttributeError
        What is to be patched is no longer there: name it anew.
    """
    with ExitStack() as stack:
        for target, instead in part.patches.items():
            stack.enter_context(mock.patch(target, instead))
        yield
