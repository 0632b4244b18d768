"""`make` alone lists every target with one line each."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.support import missing

WANTED = {"help", "env", "run", "demo", "test", "test-faults", "bench", "lint", "types", "arch", "format", "lock"}


@pytest.fixture(autouse=True)
def _make() -> None:
    if shutil.which("make") is None:
        missing("make", "apt-get install make")


def test_make_alone_lists_every_target_with_one_line(repository: Path) -> None:
    answer = subprocess.run(["make"], cwd=repository, capture_output=True, text=True, timeout=30, check=True).stdout
    listed = {line.split()[0] for line in answer.splitlines()}
    phony = set(re.findall(r"^\.PHONY: (\S+)$", (repository / "Makefile").read_text(), re.MULTILINE))
    assert listed == phony
    assert listed >= WANTED
    assert all(len(line.split(maxsplit=1)) == 2 and len(line) <= 120 for line in answer.splitlines())


def test_a_machine_without_a_right_python_is_told(repository: Path, tmp_path: Path) -> None:
    answer = subprocess.run(
        ["make", "env", "PYTHON=", f"VENV={tmp_path / 'venv'}"],
        cwd=repository,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert answer.returncode != 0
    assert "Python 3.11, 3.12 or 3.13" in answer.stderr
