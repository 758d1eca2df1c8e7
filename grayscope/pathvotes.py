"""Pathvotes: the end that many of the paths have in common that stood out lately takes them with it, then the next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from grayscope.evidence import Finding
from grayscope.pathways import End, Look, ends

#: Paths that must have stood out to accuse what they share; their least share of all that cross it there; and how many
#: times the share among all paths that must be.
VOTES, SHARE, TIMES = 4, 0.05, 5


def voted(findings: list[Finding], look: Look, held: Mapping[str, Mapping[str, int]]) -> Iterator[Finding]:
    """Let the paths that stood out lately vote, but for those of a block that is `held`; move the paths of the ends that are found guilty to these."""
    told = {*held, *(path for some in held.values() for path in some)}
    suspect = _suspects({path: ends(path, look.tick) for path in sorted(look.votes) if path not in told}, look)
    for f in findings:
        end = suspect.get(f.subject)
        n = sum(e == end for e in suspect.values())
        yield f if end is None else f._replace(subject=end[0], why=f"{n} of {look.known.ends[end]} paths through it stood out, one is {f.subject}: {f.why}")


def _suspects(voters: Mapping[str, tuple[End, ...]], look: Look) -> dict[str, End]:
    """Return the end that each path accuses: the most accused takes its paths with it, then the next."""
    all_of, usual = look.known.ends, TIMES * len(look.votes) / max(len(look.tick.subjects), 1)
    suspect: dict[str, End] = {}
    while True:
        counted = Counter(e for path, both in voters.items() if path not in suspect for e in both)
        guilty = [(n / all_of[e], e) for e, n in counted.items() if n >= VOTES and n / max(all_of[e], n) >= max(SHARE, usual)]
        if not guilty:
            return suspect
        worst = max(guilty)[1]
        suspect |= {path: worst for path, both in voters.items() if worst in both and path not in suspect}
