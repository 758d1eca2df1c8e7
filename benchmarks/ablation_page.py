"""The page of an ablation: what each part earns, by what is lost without it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ablation_parts import WHOLE, Part
from ablation_runs import Figures, Source

from grayscope.pipelines._benchforms import Code, Heading, Piece, Table, duration, shown
from grayscope.pipelines._benchseeds import of_page

Found = Mapping[tuple[Source, str], Figures]
HEAD = (
    "without", "found", "false", "of them pages", "precision", "recall", "F1", "exact", "state right", "repeats", "median delay", "F1 against everything on",
)  # fmt: skip


def total(found: Found, part: str) -> Figures:
    """Return the figures of a part over all traces."""
    return sum((f for (_, name), f in found.items() if name == part), Figures())


def pieces(found: Found, chosen: Sequence[Part], sources: Sequence[Source], command: str) -> Iterator[Piece]:
    """Yield the page."""
    yield Heading("Ablation", 1)
    yield (
        "This page is written by `benchmarks/ablation.py`: do not edit it. Each line is grayscope without one part, on the same traces: what differs "
        "is that part's doing. A part whose F1 against everything on is above zero does harm here; one that changes nothing earns nothing here."
    )
    yield Code(command)
    sizes = "; ".join(f"`{s.scenario}` seed {s.seed}, {s.nodes} nodes, {s.hours:g} h" for s in sources)
    yield f"Traces: {sizes}. {' '.join(of_page(sorted({s.seed for s in sources})))}"
    yield Heading("What each part earns")
    yield Table(HEAD, [_row(found, part.name) for part in ordered(found, chosen)])
    yield (
        "*found* is of so many planted faults; *false* are pages and tickets about nothing; *exact* and *state right* are shares of what was found. "
        "Figures of a handful of traces: a difference of one fault or one false ticket is within what another seed would change."
    )
    yield Heading("By trace")
    yield "F1 against everything on, by trace; a dot where the trace says exactly the same without the part."
    yield Table(("without", *(s.name for s in sources)), [_by_trace(found, part.name, sources) for part in ordered(found, chosen)[1:]])
    yield from _earning_nothing(found, [p.name for p in chosen if p.name != WHOLE], sources)
    yield Heading("The parts")
    yield Table(("part", "what is done without it"), [(p.name, p.without) for p in chosen if p.name != WHOLE], numbers=False)


def _earning_nothing(found: Found, names: Sequence[str], sources: Sequence[Source]) -> Iterator[Piece]:
    idle = [name for name in names if all(_same(found, s, name) for s in sources)]
    harm = [name for name in names if name not in idle and not _missed(total(found, name), total(found, WHOLE))]
    yield Heading("What earns nothing here")
    yield f"Without any of these every trace says the same: {', '.join(idle) or 'none'}."
    yield f"Without any of these nothing is worse, neither F1 nor false pages, exact, state right or repeats: {', '.join(harm) or 'none'}."


def _missed(without: Figures, whole: Figures) -> bool:
    """Say whether anything is worse without a part."""
    fewer = without.f1 < whole.f1 or without.exact < whole.exact or without.right < whole.right
    return fewer or without.pages > whole.pages or without.repeats > whole.repeats


def ordered(found: Found, chosen: Sequence[Part]) -> list[Part]:
    """Return everything on, then the parts by what they earn, the most first."""
    return sorted(chosen, key=lambda p: (p.name != WHOLE, total(found, p.name).f1, p.name))


def _row(found: Found, part: str) -> tuple[str, ...]:
    f, whole = total(found, part), total(found, WHOLE)
    shares = (f.precision, f.recall, f.f1, f.exact / f.found if f.found else None, f.right / f.found if f.found else None)
    gain = "" if part == WHOLE else signed(f.f1 - whole.f1)
    return (part, f"{f.found} of {f.rows}", f"{f.false}", f"{f.pages}", *map(shown, shares), f"{f.repeats}", duration(f.delay), gain)


def _by_trace(found: Found, part: str, sources: Sequence[Source]) -> tuple[str, ...]:
    return (part, *("·" if _same(found, s, part) else signed(found[s, part].f1 - found[s, WHOLE].f1) for s in sources))


def _same(found: Found, source: Source, part: str) -> bool:
    return found[source, part].said == found[source, WHOLE].said


def signed(change: float) -> str:
    """Return a change with its sign, zero as what does not change F1 though something else.

    Examples
    --------
    >>> signed(-0.0123), signed(0.2), signed(1e-9)
    ('-0.012', '+0.200', '0')
    """
    return "0" if abs(change) < 5e-4 else f"{change:+.3f}"
