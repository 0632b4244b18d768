"""``python -m drag_api``: the API's processes."""

from __future__ import annotations

import sys

from drag_api.server import serve
from drag_shared import logs
from drag_shared.config import load_settings
from drag_shared.errors import ConfigError
from drag_shared.heap import bound_heap


def main() -> int:
    """Runs the service; exit status 2 says that its configuration is wrong."""
    try:
        settings = load_settings()
        logs.configure("api", settings.log_level, settings.log_format)
        bound_heap(arenas=4)
        serve(settings)
    except ConfigError as error:
        sys.stderr.write(f"drag_api: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
