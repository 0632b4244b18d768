"""Writes tiny ONNX files byte by byte: the format is protobuf, and these networks have a handful of nodes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

FLOAT, UINT8, INT64 = 1, 2, 7


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _bytes(field: int, data: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _int(field: int, number: int) -> bytes:
    return _varint(field << 3) + _varint(number)


def _value(name: str, kind: int, shape: Sequence[int | str]) -> bytes:
    dims = b"".join(_bytes(1, _bytes(2, d.encode()) if isinstance(d, str) else _int(1, d)) for d in shape)
    return _bytes(1, name.encode()) + _bytes(2, _bytes(1, _int(1, kind) + _bytes(2, dims)))


def _tensor(name: str, kind: int, array: npt.NDArray[np.generic]) -> bytes:
    dims = b"".join(_int(1, d) for d in array.shape)
    return dims + _int(2, kind) + _bytes(8, name.encode()) + _bytes(9, array.tobytes())


def _node(kind: str, inputs: Sequence[str], output: str, attributes: bytes = b"") -> bytes:
    names = b"".join(_bytes(1, name.encode()) for name in inputs)
    return _bytes(1, names + _bytes(2, output.encode()) + _bytes(4, kind.encode()) + attributes)


def constant_detector(
    answer: npt.NDArray[np.float32],
    side: int = 32,
    kind: int = UINT8,
    batch: int | str = "batch",
) -> bytes:
    """A network that answers the same `(rows, anchors)` for each picture of `(batch, side, side, 3)`.

    It adds the answer to 0 times each picture's sum, so that the batch's size comes out as it went in.
    """
    rows, anchors = answer.shape
    to_float = _bytes(5, _bytes(1, b"to") + _int(3, FLOAT) + _int(20, 2))
    per_picture = _bytes(5, _bytes(1, b"keepdims") + _int(3, 1) + _int(20, 2))
    graph = (
        _node("Cast", ["images"], "float", to_float)
        + _node("ReduceSum", ["float", "axes"], "sum", per_picture)
        + _node("Squeeze", ["sum", "last"], "flat")
        + _node("Mul", ["flat", "zero"], "nothing")
        + _node("Add", ["nothing", "answer"], "output0")
        + _bytes(2, b"constant")
        + _bytes(5, _tensor("axes", INT64, np.array([1, 2, 3], dtype=np.int64)))
        + _bytes(5, _tensor("last", INT64, np.array([3], dtype=np.int64)))
        + _bytes(5, _tensor("zero", FLOAT, np.zeros((1, 1, 1), dtype=np.float32)))
        + _bytes(5, _tensor("answer", FLOAT, answer[None].astype(np.float32)))
        + _bytes(11, _value("images", kind, [batch, side, side, 3]))
        + _bytes(12, _value("output0", FLOAT, [batch, rows, anchors]))
    )
    return _int(1, 8) + _bytes(7, graph) + _bytes(8, _bytes(1, b"") + _int(2, 17))


def write_model(models: Path, network: bytes, name: str = "tiny", side: int = 32, labels: str = '"analog"') -> None:
    """Puts a network with its declaration into a model repository."""
    folder = models / name / "1"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(network)
    (folder / "model.toml").write_text(
        f"""
name = "{name}"
version = "1"
task = "detection"
description = "answers the same for every picture"
labels = [{labels}]
licence = "Apache-2.0"
file = "model.onnx"
sha256 = "{hashlib.sha256(network).hexdigest()}"
[input]
width = {side}
height = {side}
colour = "bgr"
layout = "nhwc"
dtype = "uint8"
resize = "letterbox"
pad = 114
mean = [0, 0, 0]
std = [1, 1, 1]
[output]
head = "yolov8"
[thresholds]
score = 0.4
iou = 0.5
max_detections = 50
[batching]
max_batch = 4
max_delay_ms = 2
[warmup]
iterations = 2
[provenance]
"""
    )
