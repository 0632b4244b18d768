"""Runs a model with onnxruntime on the CPU."""

from __future__ import annotations

import logging
from types import TracebackType
from typing import Any, Self

import numpy as np
import onnxruntime

from drag_inference.repository import ModelSpec, verify
from drag_inference.runner import Batch, Output
from drag_shared.errors import ModelError, PermanentInferenceError, RetryableInferenceError

log = logging.getLogger(__name__)

MOST_IN_A_BATCH = 2
_TYPES = {"uint8": "tensor(uint8)", "float32": "tensor(float)"}
_PERMANENT = (
    onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument,
    onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented,
)


class OnnxRuntimeCpuRunner:
    """A session of onnxruntime that several threads run at once, each inference on one core.

    Splitting one inference over cores loses a quarter of them (two cores, gauge detector: 34 pictures a second on two
    threads, 42 as two inferences), and a batch is no faster than its pictures one by one (47 ms a picture alone, 50 in
    a batch of 8) while it keeps work from other workers. So batches stay small here, whatever the model allows.

    Args:
        spec: the model.
        threads: inferences at once.
    """

    backend = "onnxruntime-cpu"

    def __init__(self, spec: ModelSpec, threads: int) -> None:
        self.spec = spec
        self.slots = max(1, threads)
        self.max_batch = min(spec.batching.max_batch, MOST_IN_A_BATCH)
        self._session: Any = None
        self._input_name = ""
        self._output_name = ""

    def activate(self) -> None:
        """Verifies the file's checksum, loads it, and checks inputs and outputs against the declaration."""
        if self._session is not None:
            return
        verify(self.spec)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3
        try:
            session = onnxruntime.InferenceSession(str(self.spec.path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions share no base but Exception
            raise ModelError(f"{self.spec.path} cannot be loaded by onnxruntime: {error}") from error
        self._check_ends(session)
        self._session = session
        spec = self.spec
        log.info("loaded %s version %s on the CPU, %d inferences at once", spec.name, spec.version, self.slots)

    def allocate(self, count: int) -> Batch:
        """Plain memory."""
        return np.zeros(self.spec.input.batch_shape(count), dtype=self.spec.input.dtype)

    def infer(self, batch: Batch) -> Output:
        """As `ModelRunner.infer`."""
        if self._session is None:
            raise RetryableInferenceError(f"{self.spec.name} is not active")
        expected = self.spec.input.batch_shape(len(batch))
        if batch.shape != expected or batch.dtype != self.spec.input.dtype:
            raise PermanentInferenceError(
                f"{self.spec.name} takes {expected} {self.spec.input.dtype}, not {batch.shape} {batch.dtype}"
            )
        try:
            (output,) = self._session.run([self._output_name], {self._input_name: batch})
        except _PERMANENT as error:
            raise PermanentInferenceError(f"{self.spec.name}: {error}") from error
        except Exception as error:
            raise RetryableInferenceError(f"{self.spec.name}: {error}") from error
        rows = 4 + len(self.spec.labels)
        if output.dtype != np.float32 or output.ndim != 3 or output.shape[:2] != (len(batch), rows):
            raise PermanentInferenceError(
                f"{self.spec.name} answered {output.shape} {output.dtype}; head {self.spec.head!r} with "
                f"{len(self.spec.labels)} labels means ({len(batch)}, {rows}, anchors) float32"
            )
        return output  # type: ignore[no-any-return]

    def deactivate(self) -> None:
        """Lets the session go."""
        self._session = None

    def __enter__(self) -> Self:
        self.activate()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.deactivate()

    def _check_ends(self, session: Any) -> None:
        """Compares the network's own inputs and outputs with the declared ones."""
        spec, inputs, outputs = self.spec, session.get_inputs(), session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            raise ModelError(f"{spec.path} has {len(inputs)} inputs and {len(outputs)} outputs; expected one of each")
        shape, expected = inputs[0].shape, spec.input.batch_shape(1)
        if inputs[0].type != _TYPES[spec.input.dtype]:
            raise ModelError(f"{spec.path} takes {inputs[0].type}; model.toml declares {spec.input.dtype}")
        if len(shape) != 4 or not all(_fits(s, e) for s, e in zip(shape[1:], expected[1:], strict=True)):
            raise ModelError(
                f"{spec.path} takes {shape}; model.toml declares [batch, {', '.join(map(str, expected[1:]))}]"
            )
        if isinstance(shape[0], int) and (shape[0] != 1 or spec.batching.max_batch != 1):
            raise ModelError(
                f"{spec.path} takes batches of exactly {shape[0]}; export it with a dynamic batch, "
                "or with a batch of 1 and batching.max_batch = 1"
            )
        rows, got = 4 + len(spec.labels), outputs[0].shape
        if outputs[0].type != "tensor(float)" or len(got) != 3 or not _fits(got[1], rows):
            raise ModelError(
                f"{spec.path} answers {got} {outputs[0].type}; head {spec.head!r} with {len(spec.labels)} labels "
                f"means [batch, {rows}, anchors] tensor(float)"
            )
        self._input_name, self._output_name = inputs[0].name, outputs[0].name


def _fits(dimension: int | str | None, expected: int) -> bool:
    """A dynamic dimension, a name or None, fits all."""
    return not isinstance(dimension, int) or dimension == expected
