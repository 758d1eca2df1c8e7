"""Benchseeds: which seeds a bench runs, and what a page says of those that were tuned on and those that were not."""

from __future__ import annotations

from collections.abc import Sequence

from grayscope.errors import UsageError, shorten

#: Seeds of a full bench; grayscope is tuned on others, so that these tell how it does on what it has not seen.
VALIDATION = range(1, 6)
TUNING = range(101, 200)
#: As many as may be counted from 1 (a larger number alone is most likely meant as a seed), or listed.
COUNTED, MOST = 100, 1000


def parse(text: str) -> tuple[int, ...]:
    """Return the seeds that a text names: a number counts them from 1; numbers with commas, and ranges, are the seeds themselves.

    Examples
    --------
    >>> parse("3"), parse("101,"), parse("101,103-105")
    ((1, 2, 3), (101,), (101, 103, 104, 105))
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    ends = [part.split("-") for part in parts]
    if not parts or not all(len(e) <= 2 and all(n.isascii() and n.isdigit() and len(n) < 10 for n in e) for e in ends):
        raise UsageError(f"--seeds: expected a number of seeds such as 5, or seeds such as 101,102 or 101-103, found {shorten(text)!r}")
    if text.strip().isdigit():
        if int(parts[0]) > COUNTED:
            raise UsageError(f"--seeds: {parts[0]} alone counts seeds from 1, of which {COUNTED} are the most: write {parts[0]}, with a comma for that seed")
        ends = [["1", parts[0]]]
    ranges = [range(int(e[0]), int(e[-1]) + 1) for e in ends]
    if not 0 < sum(map(len, ranges)) <= MOST or not all(map(len, ranges)):
        raise UsageError(f"--seeds: expected 1 to {MOST} seeds, found {shorten(text)!r}")
    return tuple(dict.fromkeys(seed for r in ranges for seed in r))


def of_page(seeds: Sequence[int]) -> list[str]:
    """Return what a page says of seeds: tuned on, kept for validation, or neither.

    Examples
    --------
    >>> of_page([1, 2, 3])
    ['Seeds 1 to 3 were kept from tuning, which was done on seeds 101 to 199.']
    """
    tuned, kept = [s for s in seeds if s in TUNING], [s for s in seeds if s in VALIDATION]
    other = [s for s in seeds if s not in TUNING and s not in VALIDATION]
    said = [f"{_told(kept)} kept from tuning, which was done on seeds {TUNING[0]} to {TUNING[-1]}."] if kept else []
    if tuned:
        said.append(f"{_told(tuned)} among those that grayscope is tuned on: their figures flatter it; seeds {VALIDATION[0]} to {VALIDATION[-1]} count.")
    if other:
        said.append(f"{_told(other)} neither among those tuned on nor among those kept for validation.")
    return said


def which(seeds: Sequence[int]) -> str:
    """Return seeds in few words.

    Examples
    --------
    >>> which([1]), which([1, 2, 3]), which([4, 7, 8])
    ('1', '1 to 3', '4, 7, 8')
    """
    whole = len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[-1] + 1))
    return f"{seeds[0]} to {seeds[-1]}" if whole else ", ".join(map(str, seeds))


def _told(seeds: Sequence[int]) -> str:
    return f"Seed {seeds[0]} was" if len(seeds) == 1 else f"Seeds {which(seeds)} were"
