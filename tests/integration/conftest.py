"""Fixtures of the integration tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.queue import Queue, quick

from drag_shared import consumer
from drag_shared.config import Settings


@pytest.fixture
def queue(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    """The queue on a fresh server, with quick leases and upkeep twenty times a second."""
    monkeypatch.setattr(consumer, "TEND_EVERY_S", 0.05)
    opened = Queue(quick(settings))
    yield opened
    opened.close()
