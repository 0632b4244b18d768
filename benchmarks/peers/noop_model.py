"""Writes a model repository whose one model takes what the gauge detector takes and answers zeros at once."""

from __future__ import annotations

import hashlib
import shutil
import sys
import tomllib
from pathlib import Path

import onnx
from onnx import TensorProto, helper

ANCHORS = 8


def write(shipped: Path, target: Path) -> None:
    """A copy of the declaration in ``shipped`` (a models folder), with a network that has nothing to compute."""
    source = sorted((shipped / "gauge-detector").iterdir(), key=lambda path: int(path.name))[-1]
    text = (source / "model.toml").read_text()
    config = tomllib.loads(text)
    folder = target / "gauge-detector" / source.name
    folder.mkdir(parents=True)
    shutil.copy(shipped / "pipelines.toml", target / "pipelines.toml")
    path = folder / config["file"]
    onnx.save(_network(config), path)
    (folder / "model.toml").write_text(text.replace(config["sha256"], hashlib.sha256(path.read_bytes()).hexdigest()))


def _network(config: dict) -> onnx.ModelProto:
    size = config["input"]
    sides = [size["height"], size["width"]]
    shape = ["batch", *sides, 3] if size["layout"] == "nhwc" else ["batch", 3, *sides]
    kind = TensorProto.UINT8 if size["dtype"] == "uint8" else TensorProto.FLOAT
    rows = 4 + len(config["labels"])
    rest = helper.make_tensor("rest", TensorProto.INT64, [2], [rows, ANCHORS])
    nodes = [
        helper.make_node("Shape", ["images"], ["count"], start=0, end=1),
        helper.make_node("Constant", [], ["rest"], value=rest),
        helper.make_node("Concat", ["count", "rest"], ["shape"], axis=0),
        helper.make_node("ConstantOfShape", ["shape"], ["found"]),
    ]
    ends = (
        [helper.make_tensor_value_info("images", kind, shape)],
        [helper.make_tensor_value_info("found", TensorProto.FLOAT, ["batch", rows, ANCHORS])],
    )
    model = helper.make_model(
        helper.make_graph(nodes, "noop", *ends), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    onnx.checker.check_model(model)
    return model


if __name__ == "__main__":
    write(Path(sys.argv[1]), Path(sys.argv[2]))
