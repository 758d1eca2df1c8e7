"""Kept: where compiled kernels are kept when neither the package nor the user's home may be written, as in a locked container.

Numba gives up there. A folder of this process alone lets it run: compiled anew each time, and nobody else can put code into it.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numba

#: What numba reads each time it looks for a place.
CONFIG: Any = numba.config


def writable(package: Path, home: Path) -> bool:
    """Say whether numba finds a place by itself: beside the sources, or in the user's cache."""
    return any(os.access(_nearest(folder), os.W_OK | os.X_OK) for folder in (package / "__pycache__", home / ".cache" / "numba"))


def _nearest(folder: Path) -> Path:
    """Return the first of a folder and its parents that is there."""
    return next(f for f in (folder, *folder.parents) if f.exists())


def keep(package: Path = Path(__file__).parent, home: Path | None = None) -> str:
    """See to it that kernels can be kept; to be called before the first one is defined.

    Returns
    -------
    folder : str
        Made for this process; ``""`` where none is needed.
    """
    if CONFIG.CACHE_DIR or writable(package, home or Path(os.environ.get("HOME") or "/")):
        return ""
    CONFIG.CACHE_DIR = tempfile.mkdtemp(prefix="grayscope-")
    atexit.register(shutil.rmtree, CONFIG.CACHE_DIR, ignore_errors=True)
    return str(CONFIG.CACHE_DIR)
