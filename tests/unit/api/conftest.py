"""An app over an installation in memory, and a client for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask.testing import FlaskClient
from tests.unit.api.double import Installation


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation(tmp_path)


@pytest.fixture
def client(installation: Installation) -> FlaskClient:
    return installation.client()
