"""The page of an ablation: what each part earns, by what is lost without it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ablation_parts import WHOLE, Part
from ablation_runs import Figures

from grayscope.pipelines._benchforms import Code, Heading, Piece, Table, duration, shown
from grayscope.pipelines._benchseeds import of_page
from grayscope.pipelines._benchunits import Source

Found = Mapping[tuple[Source, str], Figures]
HEAD = (
    "without", "found", "false", "of them pages", "precision", "recall", "F1", "exact", "state right", "name right", "repeats", "look-alikes explained",
    "median delay", "F1 against everything on",
)  # fmt: skip


def total(found: Found, part: str) -> Figures:
    """Return the figures of a part over all traces."""
    return sum((f for (_, name), f in found.items() if name == part), Figures())


def pieces(
    found: Found, chosen: Sequence[Part], command: str, again: Found | None = None, needs: Mapping[str, Sequence[str]] | None = None
) -> Iterator[Piece]:  # fmt: skip
    """Yield the page; `again` is of the traces on which what earns nothing was tried again, `needs` the tests that fail without what earns nothing there."""
    again = again or {}
    sources, more = traces(found), traces(again)
    yield Heading("Ablation", 1)
    yield (
        "This page is written by `benchmarks/ablation.py`: do not edit it. Each line is grayscope without one part, on the same traces: what differs "
        "is that part's doing. A part whose F1 against everything on is above zero does harm here; one that changes nothing earns nothing here."
    )
    yield Code(command)
    yield f"Traces: {sizes(sources)}. {' '.join(of_page(sorted({s.seed for s in (*sources, *more) if s.kind == 'simulated'})))}"
    yield Heading("What each part earns")
    yield from _tables(found, chosen)
    yield (
        "*found* is of so many planted faults; *false* are pages and tickets about nothing; *exact*, *state right* and *name right* are shares of what "
        "was found; of *look-alikes explained* a notice says that they are there. "
        "Figures of a handful of traces: a difference of one fault or one false ticket is within what another seed would change."
    )
    yield Heading("What earns nothing there")
    yield from _earning_nothing(found, [p.name for p in chosen])
    if again:
        names = {name for _, name in again}
        yield Heading("Those on other traces")
        yield f"What earned nothing or did harm, on {sizes(more)}."
        yield from _tables(again, [p for p in chosen if p.name in names])
        yield from _earning_nothing(again, [p.name for p in chosen if p.name in names])
    if needs:
        yield Heading("What tests need of those")
        yield (
            "Tests of the parts themselves, and tests that lead telemetry, logs or dumps through the line, that fail without the part; of many, three. "
            "What a test starts as a process of its own has the part all the same: there may be more."
        )
        yield Table(("part", "tests that fail without it"), [(name, _tests(tests)) for name, tests in needs.items()], numbers=False)
    yield Heading("The parts")
    yield Table(("part", "what is done without it"), [(p.name, p.without) for p in chosen if p.name != WHOLE], numbers=False)


def traces(found: Found) -> list[Source]:
    """Return the traces, in order."""
    return list(dict.fromkeys(source for source, _ in found))


def sizes(sources: Sequence[Source]) -> str:
    """Return what traces are, in a few words each."""
    return "; ".join(f"`{s.name}` seed {s.seed}, {s.nodes} nodes, {s.hours:g} h" if s.kind == "simulated" else f"`{s.name}`, recorded" for s in sources)


def little(found: Found, names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the parts without which every trace says the same, and the others without which nothing is worse."""
    parts = [n for n in names if n != WHOLE]
    idle = [name for name in parts if all(_same(found, s, name) for s in traces(found))]
    harm = [name for name in parts if name not in idle and not _missed(total(found, name), total(found, WHOLE))]
    return idle, harm


def _tables(found: Found, chosen: Sequence[Part]) -> Iterator[Piece]:
    sources = traces(found)
    yield Table(HEAD, [_row(found, part.name) for part in ordered(found, chosen)])
    yield "F1 against everything on, by trace; a dot where the trace says exactly the same without the part."
    yield Table(("without", *(_column(s, sources) for s in sources)), [_by_trace(found, part.name, sources) for part in ordered(found, chosen)[1:]])


def _earning_nothing(found: Found, names: Sequence[str]) -> Iterator[Piece]:
    idle, harm = little(found, names)
    yield f"Without any of these every trace says the same: {', '.join(idle) or 'none'}."
    told = "F1, false pages, exact, state right, name right, repeats and look-alikes explained"
    yield f"Without any of these nothing is worse, of {told}: {', '.join(harm) or 'none'}."


def _column(source: Source, sources: Sequence[Source]) -> str:
    alike = sum(s.title == source.title for s in sources) > 1
    return f"{source.title}, {source.nodes} nodes" if alike else source.title


def _tests(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(f"`{name.removeprefix('tests/')}`" for name in names[:3]) + more if names else "none"


def _missed(without: Figures, whole: Figures) -> bool:
    """Say whether anything is worse without a part."""
    fewer = any(getattr(without, name) < getattr(whole, name) for name in ("f1", "exact", "right", "called", "explained"))
    return fewer or without.pages > whole.pages or without.repeats > whole.repeats


def ordered(found: Found, chosen: Sequence[Part]) -> list[Part]:
    """Return everything on, then the parts by what they earn, the most first."""
    return sorted(chosen, key=lambda p: (p.name != WHOLE, total(found, p.name).f1, p.name))


def _row(found: Found, part: str) -> tuple[str, ...]:
    f, whole = total(found, part), total(found, WHOLE)
    shares = (f.precision, f.recall, f.f1, *(part / f.found if f.found else None for part in (f.exact, f.right, f.called)))
    gain = "" if part == WHOLE else signed(f.f1 - whole.f1)
    return (part, f"{f.found} of {f.rows}", f"{f.false}", f"{f.pages}", *map(shown, shares), f"{f.repeats}", f"{f.explained}", duration(f.delay), gain)


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
