"""What the routes of one app share."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import cast

from flask import current_app

from drag_api.body import BodyBudget, StallGuard
from drag_api.catalog import Catalog
from drag_api.metrics import ApiMetrics
from drag_api.waiting import Waiter
from drag_shared.config import Settings
from drag_shared.jobs import JobStore
from drag_shared.registry import Registry

_EXTENSION = "drag"


@dataclass(frozen=True)
class Context:
    """The parts that requests use; one for each app."""

    settings: Settings
    store: JobStore
    registry: Registry
    waiter: Waiter
    catalog: Catalog
    metrics: ApiMetrics
    budget: BodyBudget
    guard: StallGuard = field(default_factory=StallGuard)
    # Drawing decodes the whole picture (3 bytes a pixel): two at a time bound the memory.
    drawing: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(2))


def install(extensions: dict[str, object], context: Context) -> None:
    """Makes ``context`` known to the app with these ``extensions``."""
    extensions[_EXTENSION] = context


def context() -> Context:
    """The context of the app that serves the current request."""
    return cast(Context, current_app.extensions[_EXTENSION])
