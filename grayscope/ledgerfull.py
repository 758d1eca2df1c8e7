"""Ledgerfull: how much of a level there should be, and who says so: the part itself, who made it, its peers, or its own past.

What all parts of a kind show is no measure of what they should have: a whole delivery may lie in slots of half the lanes.
What nobody limits is counted downwards from nothing: -2 are two that are gone.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from grayscope.ledgerpage import Floats, Page
from grayscope.tick import Tick
from grayscope.wording import number

Arrays = dict[str, np.ndarray[Any, Any]]


def full(page: Page, tick: Tick, a: Arrays) -> Floats:
    """Return how much there should be, shape [S]: told by the part, published for its SKU, what its kind shows, or the most it ever showed.

    What all of a kind show counts for more than what is published where they show more, where they show nothing (no bridge was bought), and
    where the part has shown more before: then all of them rest.
    """
    usual, published = a["usual"], page.published
    theirs = np.isfinite(usual) & ((usual >= published) | (usual == 0) | (a["best"] > usual) | np.isnan(published))
    known = np.where(theirs, usual, np.where(np.isfinite(published), published, a["best"]))
    if page.account.shared:  # what all have lost together is lost too
        known = np.fmax(known, a["best"])
    told = page.column(tick, "expected")
    return known if told is None else np.where(np.isfinite(told), told, known)


def measure(page: Page, tick: Tick, a: Arrays, s: int, should: float) -> tuple[int, str]:
    """Return by how many peers part `s` was measured, 0 where something else tells what it `should` have, and that in words."""
    told = page.column(tick, "expected")
    account, sku = page.account, page.view.key(page.subjects[s], "sku")
    if account.sum or account.full is not None:
        return 0, ""
    if not account.own and told is not None and np.isfinite(told[s]):
        return 0, f"by its own {account.expected}"
    if not account.own and page.published[s] == should:
        return 0, f"as {sku} should have {number(should)}"
    if not account.own and a["usual"][s] == should:
        others = int(np.count_nonzero((page.label == page.label[s]) & (a["best"] >= should))) - int(a["best"][s] >= should)
        return others, f"its {others} peers show {number(abs(should))}" if account.unlimited else f"as its {others} peers have"
    return 0, f"it showed {number(abs(should))} before" if account.unlimited else "as it had before"
