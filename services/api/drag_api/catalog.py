"""The pipelines and models on disk, read again when their files change."""

from __future__ import annotations

import logging
import threading
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drag_api.problems import ApiError
from drag_shared.errors import DragError
from drag_shared.pipelines import Pipeline, load_pipelines

logger = logging.getLogger(__name__)

_FRESH_S = 5.0


@dataclass(frozen=True, slots=True)
class ModelOnDisk:
    """One version of a model, as its model.toml tells it."""

    name: str
    version: str
    task: str
    description: str
    labels: tuple[str, ...]


class Catalog:
    """What the model repository at ``models_dir`` holds; looked up again after some seconds."""

    def __init__(self, models_dir: Path) -> None:
        self._dir = models_dir
        self._lock = threading.Lock()
        self._pipelines: dict[str, Pipeline] = {}
        self._models: list[ModelOnDisk] = []
        self._read_s = float("-inf")
        self.trouble = ""

    def pipelines(self) -> dict[str, Pipeline]:
        """All pipelines by name; empty, with `trouble` set, when their file cannot be read."""
        self._refresh()
        return self._pipelines

    def models(self) -> list[ModelOnDisk]:
        """All versions of all models, by name and version."""
        self._refresh()
        return self._models

    def check_pipeline(self, name: str) -> None:
        """Refuses a pipeline that does not exist."""
        known = self.pipelines()
        if name not in known:
            raise ApiError(
                "invalid-request",
                "There is no such pipeline.",
                expected="one of: " + (", ".join(sorted(known)) or f"none ({self.trouble})"),
                seen=name,
                fix="leave pipeline out to use the default one",
            )

    def _refresh(self) -> None:
        if time.monotonic() - self._read_s < _FRESH_S:
            return
        with self._lock:
            if time.monotonic() - self._read_s < _FRESH_S:
                return
            try:
                self._pipelines = load_pipelines(self._dir)
                self.trouble = ""
            except (DragError, OSError) as error:
                if str(error) != self.trouble:
                    logger.error("the pipelines cannot be read: %s", error)
                self._pipelines, self.trouble = {}, str(error)
            self._models = [model for path in sorted(self._dir.glob("*/*/model.toml")) for model in _read(path)]
            self._read_s = time.monotonic()


def _read(path: Path) -> list[ModelOnDisk]:
    """The model that ``path`` declares, or none when it cannot be read."""
    try:
        with path.open("rb") as file:
            told: dict[str, Any] = tomllib.load(file)
        return [
            ModelOnDisk(
                name=str(told["name"]),
                version=str(told["version"]),
                task=str(told.get("task", "")),
                description=str(told.get("description", "")),
                labels=tuple(str(label) for label in told.get("labels", ())),
            )
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.warning("%s cannot be read and is left out: %r", path, error)
        return []
