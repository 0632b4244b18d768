"""Writes the distribution's metadata into an image: version and commands are found without building a wheel."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path


def describe(pyproject: Path, target: Path) -> Path:
    """Makes `drag-<version>.dist-info` in `target`, from what `pyproject` declares.

    Args:
        pyproject: path of pyproject.toml.
        target: the directory that holds the image's packages.

    Returns:
        The directory that was made.
    """
    project = tomllib.loads(pyproject.read_text("utf-8"))["project"]
    name, version = project["name"], project["version"]
    directory = target / f"{name}-{version}.dist-info"
    directory.mkdir(parents=True)
    (directory / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", "utf-8")
    lines: list[str] = []
    for group, entries in project["entry-points"].items():
        # An image holds the packages of its service alone; a command of another package is not there.
        held = [f"{name} = {value}" for name, value in entries.items() if (target / value.split(".")[0]).is_dir()]
        lines += [f"[{group}]", *held]
    (directory / "entry_points.txt").write_text("\n".join(lines) + "\n", "utf-8")
    return directory


if __name__ == "__main__":
    print(describe(Path(sys.argv[1]), Path(sys.argv[2])))
