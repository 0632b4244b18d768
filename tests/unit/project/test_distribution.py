"""The distribution: one set of versions, locked with hashes, with all its data, and documented."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

import drag_shared


@pytest.fixture
def project(repository: Path) -> dict[str, Any]:
    return tomllib.loads((repository / "pyproject.toml").read_text())


def normal(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found, requirement
    return found[0].lower().replace("_", "-")


def locked(path: Path) -> dict[str, str]:
    """Packages of a lock with the text that belongs to each."""
    parts = re.split(r"^(?=[a-z0-9])", path.read_text(), flags=re.MULTILINE)
    return {normal(part): part for part in parts if re.match(r"[a-z0-9]", part)}


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock", "requirements-build.lock"])
def test_every_locked_package_is_exact_and_has_hashes(repository: Path, name: str) -> None:
    packages = locked(repository / name)
    assert packages
    assert [p for p, text in packages.items() if "==" not in text or "--hash=sha256:" not in text] == []


def test_the_locks_hold_what_the_project_asks_for(repository: Path, project: dict[str, Any]) -> None:
    runtime = locked(repository / "requirements.lock")
    assert {normal(r) for r in project["project"]["dependencies"]} <= set(runtime)
    development = locked(repository / "requirements-dev.lock")
    extras = project["project"]["optional-dependencies"]
    assert {normal(r) for r in [*extras["test"], *extras["dev"]]} - {"drag"} <= set(development)
    versions = {p: re.findall(r"==([^ \\]+)", text) for p, text in runtime.items()}
    assert {p: re.findall(r"==([^ \\]+)", development[p]) for p in versions} == versions


def test_every_dependency_is_explained(repository: Path, project: dict[str, Any]) -> None:
    page = (repository / "docs" / "dependencies.md").read_text().lower().replace("_", "-")
    extras = [r for extra in project["project"]["optional-dependencies"].values() for r in extra]
    asked = {normal(r) for r in [*project["project"]["dependencies"], *extras]} - {"drag"}
    assert [name for name in sorted(asked) if f"`{name}`" not in page] == []


def test_every_command_of_the_project_is_installed(project: dict[str, Any]) -> None:
    declared = project["project"]["entry-points"]["drag.commands"]
    installed = {point.name: point.value for point in entry_points(group="drag.commands")}
    assert installed == declared
    for point in entry_points(group="drag.commands"):
        assert callable(point.load().register)


def test_packages_are_typed(repository: Path) -> None:
    packages = [path.parent for path in repository.glob("s*/**/drag_*/__init__.py")]
    packages += [path.parent for path in repository.glob("deploy/drag_*/__init__.py")]
    assert len(packages) == 7
    assert [str(path) for path in packages if not (path / "py.typed").exists()] == []
    assert drag_shared.__doc__
