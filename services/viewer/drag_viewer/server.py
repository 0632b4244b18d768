"""The viewer's processes."""

from __future__ import annotations

from drag_shared.config import Settings
from drag_shared.wsgi import WebServer
from drag_viewer.app import create_app
from drag_viewer.origins import configured_origin


def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT.

    Raises:
        ConfigError: `api_url` is not an origin.
    """
    if settings.api_url:
        configured_origin(settings.api_url)
    WebServer(
        "viewer",
        settings,
        settings.viewer_port,
        settings.viewer_processes,
        settings.viewer_threads,
        lambda _stopping: (create_app(settings), lambda: None),
    ).serve()
