"""Writes the distribution's metadata into an image: version and commands are found without building a wheel."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path


def describe(pyproject: Path, target: Path) -> Path:
    """Makes `drag-<version>.dist-info` in `target`, from what `pyproject` declares.

    Args:
        pyproject: path of pyproject.toml.
        target: a directory on the path of Python's modules.

    Returns:
        The directory that was made.
    """
    project = tomllib.loads(pyproject.read_text("utf-8"))["project"]
    name, version = project["name"], project["version"]
    directory = target / f"{name}-{version}.dist-info"
    directory.mkdir(parents=True)
    (directory / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", "utf-8")
    lines = ["[console_scripts]", *_entries(project["scripts"])]
    for group, entries in project["entry-points"].items():
        lines += ["", f"[{group}]", *_entries(entries)]
    (directory / "entry_points.txt").write_text("\n".join(lines) + "\n", "utf-8")
    return directory


def _entries(table: dict[str, str]) -> list[str]:
    return [f"{name} = {value}" for name, value in table.items()]


if __name__ == "__main__":
    print(describe(Path(sys.argv[1]), Path(sys.argv[2])))
