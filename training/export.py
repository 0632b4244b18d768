"""Export of a checkpoint to ONNX (weights stored as float16), with the repository's `model.toml` beside it."""

from __future__ import annotations

import argparse
import hashlib
import warnings
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from training.classes import LABELS
from training.model import PAD, SIZE, Deployed, Detector

STORE_HALF_OVER = 256  # initializers with more elements are stored as float16 behind a Cast
LIMIT_BYTES = 12_000_000


def load_checkpoint(path: Path) -> Detector:
    """A detector in evaluation mode from a file that `training.train` wrote."""
    state = torch.load(path, map_location="cpu", weights_only=True)["model"]
    net = Detector()
    net.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
    return net.eval()


def tidy(model: onnx.ModelProto) -> None:
    """Drops initializers that no node reads and operator sets that no node needs."""
    used = {name for node in model.graph.node for name in node.input}
    kept = [t for t in model.graph.initializer if t.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    plain = [o for o in model.opset_import if o.domain == ""]
    del model.opset_import[:]
    model.opset_import.extend(plain)


def store_half(model: onnx.ModelProto) -> None:
    """Replaces large float32 initializers by float16 ones and a Cast that runtimes fold when they load the model."""
    graph = model.graph
    casts, kept = [], []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) <= STORE_HALF_OVER:
            kept.append(tensor)
            continue
        half = numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), tensor.name + "_fp16")
        kept.append(half)
        casts.append(helper.make_node("Cast", [half.name], [tensor.name], to=TensorProto.FLOAT))
    del graph.initializer[:]
    graph.initializer.extend(kept)
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend(casts + nodes)


def fold_pads(model: onnx.ModelProto) -> None:
    """Moves constant zero pads into the convolutions that follow them: runtimes run these without a copy."""
    graph = model.graph
    values = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    values |= {n.output[0]: numpy_helper.to_array(n.attribute[0].t) for n in graph.node if n.op_type == "Constant"}
    pads = {n.output[0]: n for n in graph.node if n.op_type == "Pad" and n.input[1] in values}
    for node in graph.node:
        pad = pads.get(node.input[0]) if node.op_type == "Conv" else None
        if pad is None:
            continue
        _, _, top, left, _, _, bottom, right = (int(v) for v in values[pad.input[1]])
        attribute = next(a for a in node.attribute if a.name == "pads")
        attribute.ints[:] = [top, left, bottom, right]
        node.input[0] = pad.input[0]
        graph.node.remove(pad)


def fold_constants(path: Path) -> None:
    """Folds constants in place with onnxruntime's basic optimizations, which leave standard operators only."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(path)
    options.log_severity_level = 3
    ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def export_onnx(net: Detector, path: Path, size: int = SIZE, half: bool = True) -> None:
    """Writes the deployed graph, opset 17, dynamic batch; `half`: large weights stored as float16."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracing exporter announces its retirement
        torch.onnx.export(
            Deployed(net.eval(), size).eval(),
            (torch.zeros(2, size, size, 3, dtype=torch.uint8),),
            str(path),
            dynamo=False,
            opset_version=17,
            input_names=["images"],
            output_names=["output0"],
            dynamic_axes={"images": {0: "batch"}, "output0": {0: "batch"}},
        )
    fold_constants(path)
    model = onnx.load(str(path))
    fold_pads(model)
    tidy(model)
    if half:
        store_half(model)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    if half and path.stat().st_size > LIMIT_BYTES:
        raise ValueError(f"{path}: expected at most {LIMIT_BYTES} bytes, wrote {path.stat().st_size}")


def write_toml(onnx_path: Path, data: str, score: float, day: str, size: int = SIZE) -> None:
    """Writes `model.toml` beside the model."""
    digest = hashlib.sha256(onnx_path.read_bytes()).hexdigest()
    labels = ", ".join(f'"{label}"' for label in LABELS)
    text = f"""name = "gauge-detector"
version = "1"
task = "detection"
description = "Finds gauges in photos: analog dials, LED/LCD displays and drum counters"
labels = [{labels}]
licence = "Apache-2.0"
file = "{onnx_path.name}"
sha256 = "{digest}"

[input]
width = {size}
height = {size}
colour = "bgr"        # bgr | rgb
layout = "nhwc"       # nhwc | nchw
dtype = "uint8"       # uint8 | float32
resize = "letterbox"  # letterbox | stretch
pad = {PAD}
mean = [0.0, 0.0, 0.0]   # subtracted, in 0..255 units, in colour order
std = [1.0, 1.0, 1.0]    # divided by

[output]
head = "yolov8"

[thresholds]
score = {score}
iou = 0.5
max_detections = 50

[batching]
max_batch = 8
max_delay_ms = 2.0

[warmup]
iterations = 3

[provenance]
trained_by = "training/"
data = "{data}"
date = "{day}"
"""
    onnx_path.with_name("model.toml").write_text(text)


def parity(net: Detector, path: Path, size: int = SIZE) -> tuple[float, float]:
    """Largest difference of boxes (pixels) and scores between PyTorch and onnxruntime on random pictures."""
    import onnxruntime as ort

    pictures = np.random.default_rng(0).integers(0, 256, (3, size, size, 3), dtype=np.uint8)
    with torch.no_grad():
        ours = Deployed(net.eval(), size)(torch.from_numpy(pictures)).numpy()
    theirs = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"images": pictures})[0]
    off = np.abs(ours - theirs)
    return float(off[:, :4].max()), float(off[:, 4:].max())


def main(argv: list[str] | None = None) -> None:
    """Exports a checkpoint and prints how far onnxruntime is from PyTorch."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--out", type=Path, default=Path("models/gauge-detector/1/model.onnx"))
    parser.add_argument("--data", default="renders and public photos, see card.md")
    parser.add_argument("--size", type=int, default=SIZE, help="side of the square input, a multiple of 32")
    parser.add_argument("--score", type=float, default=0.4, help="threshold to ship")
    parser.add_argument("--date", default=datetime.now(UTC).date().isoformat())
    args = parser.parse_args(argv)
    net = load_checkpoint(args.checkpoint)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    export_onnx(net, args.out, args.size)
    write_toml(args.out, args.data, args.score, args.date, args.size)
    boxes, scores = parity(net, args.out, args.size)
    print(f"{args.out}: {args.out.stat().st_size} bytes; onnxruntime differs by {boxes:.3g} px, {scores:.2g} in score")


if __name__ == "__main__":
    main()
