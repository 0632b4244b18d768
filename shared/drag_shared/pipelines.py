"""Pipelines are data: `models/pipelines.toml` says which model sees a picture first."""

import hashlib
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from drag_shared.errors import ConfigError

FILE = "pipelines.toml"
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}\Z")


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One pipeline.

    Attributes:
        first: name of the model that sees a picture first.
        revision: changes whenever the pipeline's definition does; a job keeps the one it started with.
    """

    name: str
    first: str
    revision: str


def load_pipelines(models_dir: Path) -> dict[str, Pipeline]:
    """The pipelines of a model repository, by name.

    Raises:
        ConfigError: the file is missing or not as expected.
    """
    path = models_dir / FILE
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"there is no {path}: set DRAG_MODELS_DIR to a model repository, or add the file") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as TOML: {error}") from error
    if not document:
        raise ConfigError(f"{path} defines no pipeline: expected a table like [gauges] with first = 'gauge-detector'")
    return {name: _pipeline(path, name, table) for name, table in document.items()}


def _pipeline(path: Path, name: str, table: object) -> Pipeline:
    if not _NAME.match(name):
        raise ConfigError(f"{path}: a pipeline's name is lower-case letters, digits, '.', '_' and '-', not {name!r}")
    if not isinstance(table, dict) or set(table) != {"first"}:
        raise ConfigError(f"{path}: [{name}] must have the one key `first` (a model's name), not {table!r}")
    first = table["first"]
    if not isinstance(first, str) or not _NAME.match(first):
        raise ConfigError(f"{path}: [{name}] first must be a model's name, not {first!r}")
    revision = hashlib.sha256(repr((name, sorted(table.items()))).encode()).hexdigest()[:12]
    return Pipeline(name, first, revision)
