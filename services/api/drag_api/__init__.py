"""The HTTP API of DRAG."""

from __future__ import annotations

import functools
from importlib import metadata


@functools.cache
def version() -> str:
    """The release that runs."""
    try:
        return metadata.version("drag")
    except metadata.PackageNotFoundError:
        return "unknown"
