"""What tests of several packages share."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def in_ci() -> bool:
    """Whether this is a CI run, where nothing may be skipped for want of a system package."""
    return os.environ.get("CI", "").lower() in ("1", "true", "yes")


def missing(what: str, fix: str) -> NoReturn:
    """Skips the test on a person's machine and fails it in CI.

    Args:
        what: like `redis-server`.
        fix: like `apt-get install redis-server`.
    """
    reason = f"{what} is missing here: {fix}"
    if in_ci():
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
