"""``python -m drag_api``: the API's processes."""

from __future__ import annotations

import sys

from drag_api.heap import keep_uploads_memory
from drag_shared import logs, metrics
from drag_shared.config import load_settings
from drag_shared.errors import ConfigError


def main() -> int:
    """Serves until SIGTERM or SIGINT; requests that are being answered are finished first."""
    try:
        settings = load_settings()
    except ConfigError as error:
        print(f"drag_api: {error}", file=sys.stderr)
        return 2
    logs.configure("api", settings.log_level, settings.log_format)
    keep_uploads_memory()
    metrics.share_between_processes(settings.data_dir / "metrics" / "api")
    from drag_api.server import ApiServer  # after the metrics' directory is known

    ApiServer(settings).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
