"""What every back end does for a worker."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from drag_inference.repository import ModelSpec
from drag_shared.errors import RetryableInferenceError

Batch = npt.NDArray[Any]
"""`spec.input.batch_shape(count)` of `spec.input.dtype`."""

Output = npt.NDArray[np.float32]


class DeviceFault(RetryableInferenceError):  # noqa: N818 - the name says the state
    """The device is in a state that does not pass: the worker hands its work back, uncounted, and ends."""


class ModelRunner(Protocol):
    """One model on one device; also a context manager that activates and deactivates.

    Attributes:
        spec: the model.
        slots: how many threads may call `infer` at once, each with a batch of its own.
        max_batch: most pictures in one inference: what the model allows, or fewer where more do not pay.
        backend: its name, like `onnxruntime-cpu`.
    """

    spec: ModelSpec
    slots: int
    max_batch: int
    backend: str

    def activate(self) -> None:
        """Loads the network.

        Raises:
            ModelError: the file is no network, or its inputs and outputs are not as declared.
        """

    def allocate(self, count: int) -> Batch:
        """Memory for a batch of `count`, of the kind that the device likes; the caller fills and keeps it.

        It is valid until `deactivate`; `infer` takes it, or a view of its first pictures.
        """

    def infer(self, batch: Batch) -> Output:
        """Runs the network.

        Returns:
            What the declared head says; for `yolov8` `(N, 4 + labels, anchors)` float32. It belongs to the caller.

        Raises:
            RetryableInferenceError: another try may succeed; `DeviceFault`: not on this device.
            PermanentInferenceError: it never will with this input.
        """

    def deactivate(self) -> None:
        """Frees everything; twice does no harm."""

    def __enter__(self) -> Self:
        """Activates."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Deactivates."""
