"""grayscope: find what redundancy hides in an AI cluster.

The line: collect, align, stand, detect, blame, judge, file, announce, send. One file per station.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from grayscope.replaying import replay as replay
    from grayscope.run import Run as Run
    from grayscope.run import read_run as read_run

__version__ = "0.1.0"
__all__ = ["Run", "__version__", "read_run", "replay"]


def __getattr__(name: str) -> Any:
    # Importing grayscope stays cheap: replay pulls numba, pyarrow and polars.
    if name == "replay":
        from grayscope.replaying import replay

        return replay
    if name in ("Run", "read_run"):
        from grayscope import run

        return getattr(run, name)
    raise AttributeError(f"module 'grayscope' has no attribute {name!r}")
