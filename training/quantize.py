"""Makes an 8-bit variant of the detector for CPUs: `python -m training.quantize last.pt --photos DIR --out FILE`.

Activations are uint8 with a zero point, which onnxruntime runs fast on x86-64 and TensorRT does not take: GPUs use the
float model.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from training.export import export_onnx, load_checkpoint
from training.labels import load_labels, read_photo
from training.model import SIZE
from training.pool import letterbox


class Photos(CalibrationDataReader):  # type: ignore[misc]
    """Letterboxed `train` photos, one at a time, to learn the ranges of activations from."""

    def __init__(self, folder: Path, count: int, size: int, unstated: bool) -> None:
        photos = [p for p in load_labels(unstated=unstated) if p.split == "train"]
        order = np.random.default_rng(0).permutation(len(photos))
        self.folder, self.size = folder, size
        self.queue = [photos[i] for i in order[:count]]

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """The next input, None at the end."""
        while self.queue:
            image = read_photo(self.folder, self.queue.pop(), self.size)
            if image is not None:
                return {"images": letterbox(image, self.size)[0][None]}
        return None


def quantize(
    checkpoint: Path, photos: Path, out: Path, count: int = 60, size: int = SIZE, unstated: bool = True
) -> None:
    """Writes the 8-bit model; the last convolutions, which give scores and boxes, stay in float."""
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "float.onnx"
        export_onnx(load_checkpoint(checkpoint), plain, size, half=False)
        nodes = [n.name for n in onnx.load(str(plain)).graph.node]
        quantize_static(
            str(plain),
            str(out),
            Photos(photos, count, size, unstated),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,  # without VNNI, 8-bit products would overflow
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["Conv", "Clip", "Add"],
            nodes_to_exclude=[n for n in nodes if "reg_out" in n or "cls_out" in n],
        )


def main() -> None:
    """Quantizes a checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=60, help="photos to calibrate on")
    parser.add_argument("--without-unstated", action="store_true")
    args = parser.parse_args()
    quantize(args.checkpoint, args.photos, args.out, args.count, unstated=not args.without_unstated)
    print(f"{args.out}: {args.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
