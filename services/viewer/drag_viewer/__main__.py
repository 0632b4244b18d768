"""`python -m drag_viewer`: the page's server."""

from __future__ import annotations

import sys

from drag_shared import logs
from drag_shared.config import load_settings
from drag_shared.errors import ConfigError
from drag_viewer.server import serve


def main() -> int:
    """Runs the service; exit status 2 says that its configuration is wrong."""
    try:
        settings = load_settings()
        logs.configure("viewer", settings.log_level, settings.log_format)
        serve(settings)
    except ConfigError as error:
        sys.stderr.write(f"drag_viewer: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
