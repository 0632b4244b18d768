"""The model repository on disk: `models/<name>/<version>/model.toml` read into typed, checked data."""

from __future__ import annotations

import hashlib
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from drag_inference._table import Table
from drag_shared.errors import ModelError

CONFIG_NAME: Final = "model.toml"
HEADS: Final = ("yolov8",)
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_CHUNK_BYTES: Final = 1024 * 1024
_LONGEST_SIDE_PX: Final = 8192


@dataclass(frozen=True, slots=True)
class InputSpec:
    """What the network takes.

    Attributes:
        width: in pixels.
        height: in pixels.
        colour: `bgr` or `rgb`.
        layout: `nhwc` or `nchw`.
        dtype: `uint8` or `float32`.
        resize: `letterbox` or `stretch`.
        pad: grey level around a letterboxed picture.
        mean: subtracted, in 0..255 units, in colour order.
        std: divided by, after that.
    """

    width: int
    height: int
    colour: str
    layout: str
    dtype: str
    resize: str
    pad: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def batch_shape(self, count: int) -> tuple[int, int, int, int]:
        """Shape of a batch of `count` pictures."""
        if self.layout == "nhwc":
            return (count, self.height, self.width, 3)
        return (count, 3, self.height, self.width)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Which of the network's answers count.

    Attributes:
        score: the lowest that counts, unless a job says otherwise.
        iou: overlap above which the lower score of a label goes.
        max_detections: in one picture.
    """

    score: float
    iou: float
    max_detections: int


@dataclass(frozen=True, slots=True)
class Batching:
    """How pictures are put together.

    Attributes:
        max_batch: most pictures in one inference.
        max_delay_ms: longest that a picture waits for others.
    """

    max_batch: int
    max_delay_ms: float


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model as its `model.toml` declares it.

    Attributes:
        name: like `gauge-detector`.
        version: like `1`.
        task: `detection`.
        description: one line for people.
        labels: by class number.
        licence: SPDX name.
        path: of the network's file.
        sha256: of that file, in hex.
        input: what the network takes.
        head: kind of output; `yolov8` is `(N, 4 + labels, anchors)` float32.
        thresholds: which answers count.
        batching: how pictures are put together.
        warmup_iterations: inferences before the worker says ready.
        provenance: where the model comes from, as declared.
    """

    name: str
    version: str
    task: str
    description: str
    labels: tuple[str, ...]
    licence: str
    path: Path
    sha256: str
    input: InputSpec
    head: str
    thresholds: Thresholds
    batching: Batching
    warmup_iterations: int
    provenance: dict[str, Any]


def versions(models_dir: Path, name: str) -> list[str]:
    """A model's versions, oldest first: numbers count as numbers, so that 10 comes after 9.

    Raises:
        ModelError: the name is none, or the model has no version.
    """
    _check_name("model", name)
    folder = models_dir / name
    found = [path.parent.name for path in folder.glob(f"*/{CONFIG_NAME}") if _NAME.fullmatch(path.parent.name)]
    if not found:
        known = sorted({path.parent.parent.name for path in models_dir.glob(f"*/*/{CONFIG_NAME}")})
        raise ModelError(
            f"no model {name!r} in {models_dir}: expected {folder}/<version>/{CONFIG_NAME}; "
            f"models there: {', '.join(known) or 'none'} (DRAG_MODELS_DIR says where to look)"
        )
    return sorted(found, key=_version_order)


def load_model(models_dir: Path, name: str, version: str | None = None) -> ModelSpec:
    """Reads one model's declaration; the newest version unless one is named. The file itself is not read.

    Raises:
        ModelError: there is no such model, or a key of `model.toml` is missing, unknown or wrong.
    """
    if version is None:
        version = versions(models_dir, name)[-1]
    _check_name("model", name)
    _check_name("version", version)
    file = models_dir / name / version / CONFIG_NAME
    try:
        with file.open("rb") as stream:
            table = Table(file, "", tomllib.load(stream))
    except FileNotFoundError:
        raise ModelError(f"{file} is not there; versions of {name}: {', '.join(versions(models_dir, name))}") from None
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{file} cannot be read: {error}") from error
    spec = _spec(table, file.parent)
    table.close()
    for key, seen, expected in (("name", spec.name, name), ("version", spec.version, version)):
        if seen != expected:
            raise ModelError(f"{file}: {key}: expected {expected!r}, as its folder is called, not {seen!r}")
    return spec


def verify(spec: ModelSpec) -> None:
    """Compares the network's file with its declared checksum.

    Raises:
        ModelError: it is missing or another one.
    """
    digest = hashlib.sha256()
    try:
        with spec.path.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                digest.update(chunk)
    except OSError as error:
        raise ModelError(f"{spec.path} cannot be read: {error}") from error
    if digest.hexdigest() != spec.sha256:
        raise ModelError(
            f"{spec.path} has SHA-256 {digest.hexdigest()}, but {CONFIG_NAME} declares {spec.sha256}; "
            "restore the file, or declare the new checksum if the change is meant"
        )


def _spec(table: Table, folder: Path) -> ModelSpec:
    labels = table.texts("labels")
    if not labels or len(set(labels)) != len(labels):
        raise table.wrong("labels", "one or more names, each once", list(labels))
    sha256 = table.text("sha256").lower()
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise table.wrong("sha256", "64 hexadecimal digits", sha256)
    file = table.text("file")
    if Path(file).name != file:
        raise table.wrong("file", "the name of a file beside model.toml", file)
    output, warmup = table.table("output"), table.table("warmup")
    spec = ModelSpec(
        name=table.text("name"),
        version=table.text("version"),
        task=table.choice("task", ("detection",)),
        description=table.text("description"),
        labels=labels,
        licence=table.text("licence"),
        path=folder / file,
        sha256=sha256,
        input=_input(table.table("input")),
        head=output.choice("head", HEADS),
        thresholds=_thresholds(table.table("thresholds")),
        batching=_batching(table.table("batching")),
        warmup_iterations=warmup.whole("iterations", 0, 1000),
        provenance=table.anything("provenance"),
    )
    output.close()
    warmup.close()
    return spec


def _input(table: Table) -> InputSpec:
    spec = InputSpec(
        width=table.whole("width", 1, _LONGEST_SIDE_PX),
        height=table.whole("height", 1, _LONGEST_SIDE_PX),
        colour=table.choice("colour", ("bgr", "rgb")),
        layout=table.choice("layout", ("nhwc", "nchw")),
        dtype=table.choice("dtype", ("uint8", "float32")),
        resize=table.choice("resize", ("letterbox", "stretch")),
        pad=table.whole("pad", 0, 255),
        mean=table.three("mean"),
        std=table.three("std"),
    )
    table.close()
    if any(value <= 0 for value in spec.std):
        raise table.wrong("std", "three numbers above 0", list(spec.std))
    if spec.dtype == "uint8" and (any(spec.mean) or spec.std != (1.0, 1.0, 1.0)):
        raise table.wrong("dtype", "float32 where mean or std change the values", "uint8")
    return spec


def _thresholds(table: Table) -> Thresholds:
    spec = Thresholds(
        score=table.number("score", 0.0, 1.0),
        iou=table.number("iou", 0.0, 1.0),
        max_detections=table.whole("max_detections", 1, 10_000),
    )
    table.close()
    return spec


def _batching(table: Table) -> Batching:
    spec = Batching(
        max_batch=table.whole("max_batch", 1, 1024), max_delay_ms=table.number("max_delay_ms", 0.0, 10_000.0)
    )
    table.close()
    return spec


def _check_name(what: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ModelError(
            f"{what} {name!r}: expected up to 64 of a-z, 0-9, '.', '-' and '_', the first a letter or digit"
        )


def _version_order(version: str) -> list[tuple[int, int, str]]:
    parts = re.findall(r"\d+|\D+", version)
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts]
