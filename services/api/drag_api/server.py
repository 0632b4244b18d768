"""The API's processes: what each of them holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drag_api.app import create_app
from drag_shared.announce import Announcements
from drag_shared.config import Settings
from drag_shared.jobs import JobStore
from drag_shared.registry import Registry
from drag_shared.wsgi import WebServer


def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT; requests that are being answered are finished first."""

    def make_app(stopping: Callable[[], bool]) -> tuple[Any, Callable[[], None]]:
        store = JobStore.open(settings)
        announcements = Announcements(store)

        def close() -> None:
            announcements.close()
            store.close()

        return create_app(settings, store, announcements, Registry(store.link), stopping), close

    WebServer("api", settings, settings.api_port, settings.api_processes, settings.api_threads, make_app).serve()
