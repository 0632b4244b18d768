"""Strict reading of a TOML table: every error names the file, the key, what was expected and what was seen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from drag_shared.errors import ModelError


class Table:
    """A table of a TOML file; each key is read once, and `close` refuses those that nobody read.

    Args:
        file: named in errors.
        prefix: of nested keys, like `input.`.
        values: the table.
    """

    def __init__(self, file: Path, prefix: str, values: Mapping[str, Any]) -> None:
        self._file = file
        self._prefix = prefix
        self._values = dict(values)
        self._read: set[str] = set()

    def wrong(self, key: str, expected: str, seen: object) -> ModelError:
        """The error for a wrong value."""
        return ModelError(f"{self._file}: {self._prefix}{key}: expected {expected}, not {seen!r}")

    def close(self) -> None:
        """Refuses keys that were not read.

        Raises:
            ModelError: naming the first of them and those that exist.
        """
        unknown = sorted(set(self._values) - self._read)
        if unknown:
            raise ModelError(
                f"{self._file}: {self._prefix}{unknown[0]}: no such key; expected {', '.join(sorted(self._read))}"
            )

    def text(self, key: str) -> str:
        """A string that is not empty."""
        value = self._get(key, "a string")
        if not isinstance(value, str) or not value.strip():
            raise self.wrong(key, "a string that is not empty", value)
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings that are not empty."""
        value = self._get(key, "a list of strings")
        if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
            raise self.wrong(key, "a list of strings", value)
        return tuple(value)

    def choice(self, key: str, choices: Sequence[str]) -> str:
        """One of some words."""
        expected = " or ".join(repr(choice) for choice in choices)
        value = self._get(key, expected)
        if value not in choices:
            raise self.wrong(key, expected, value)
        return str(value)

    def whole(self, key: str, lowest: int, highest: int) -> int:
        """A whole number within bounds."""
        expected = f"a whole number from {lowest} to {highest}"
        value = self._get(key, expected)
        if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
            raise self.wrong(key, expected, value)
        return value

    def number(self, key: str, lowest: float, highest: float) -> float:
        """A number within bounds."""
        expected = f"a number from {lowest:g} to {highest:g}"
        value = self._get(key, expected)
        if isinstance(value, bool) or not isinstance(value, int | float) or not lowest <= value <= highest:
            raise self.wrong(key, expected, value)
        return float(value)

    def three(self, key: str) -> tuple[float, float, float]:
        """Three finite numbers, one a colour."""
        value = self._get(key, "three numbers")
        if (
            not isinstance(value, list)
            or len(value) != 3
            or not all(
                isinstance(one, int | float) and not isinstance(one, bool) and math.isfinite(one) for one in value
            )
        ):
            raise self.wrong(key, "three numbers", value)
        return float(value[0]), float(value[1]), float(value[2])

    def table(self, key: str) -> Table:
        """A table inside this one; close it too."""
        return Table(self._file, f"{self._prefix}{key}.", self.anything(key))

    def anything(self, key: str) -> dict[str, Any]:
        """A table whose keys are free."""
        value = self._get(key, "a table")
        if not isinstance(value, dict):
            raise self.wrong(key, "a table", value)
        return value

    def _get(self, key: str, expected: str) -> Any:
        self._read.add(key)
        if key not in self._values:
            raise ModelError(f"{self._file}: {self._prefix}{key} is missing; expected {expected}")
        return self._values[key]
