"""Fixtures of the integration tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.queue import Queue, quick

from drag_shared.config import Settings


@pytest.fixture
def queue(settings: Settings) -> Iterator[Queue]:
    """The queue on a fresh server, with quick leases."""
    opened = Queue(quick(settings))
    yield opened
    opened.close()
