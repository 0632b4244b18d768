"""Decode, letterbox, inference and postprocessing in one call: DRAG's own modules, without DRAG's server."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from drag_imaging.decode import DecodeBuffer, quiet
from drag_imaging.header import check_pixels, identify
from drag_inference.backends import select_backend
from drag_inference.postprocess import decode_yolov8, to_result
from drag_inference.preprocess import pack, prepare
from drag_inference.repository import load_model
from drag_shared.heap import bound_heap


class Detector:
    """A model in this process. Thread safe.

    Args:
        models_dir: the model repository.
        threads: of one inference.
    """

    def __init__(self, models_dir: Path, threads: int = 1) -> None:
        quiet()
        bound_heap(arenas=2)
        self._spec = load_model(models_dir, "gauge-detector")
        self._runner = select_backend("onnxruntime-cpu", self._spec, threads)
        self._runner.activate()
        self._local = threading.local()
        self._runner.infer(self._runner.allocate(1))

    def __call__(self, data: bytes) -> dict[str, Any]:
        """What DRAG's worker would store as the job's result."""
        local = self._local
        if not hasattr(local, "buffer"):
            local.buffer, local.batch = DecodeBuffer(), self._runner.allocate(1)
        header = identify(data)
        check_pixels(header, 50_000_000)
        prepared = prepare(data, header, self._spec.input, local.buffer)
        (output,) = self._runner.infer(pack([prepared.picture], self._spec.input, local.batch))
        found = decode_yolov8(output, self._spec, prepared.placement)
        return to_result(found, self._spec, prepared.placement, header.orientation)
