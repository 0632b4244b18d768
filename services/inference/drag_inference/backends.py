"""The choice between back ends; only the one in use loads its library."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from drag_inference.repository import ModelSpec
from drag_inference.runner import ModelRunner
from drag_shared.errors import ConfigError


def _onnxruntime_cpu(spec: ModelSpec, threads: int) -> ModelRunner:
    from drag_inference.runners.onnxruntime_cpu import OnnxRuntimeCpuRunner

    return OnnxRuntimeCpuRunner(spec, threads)


_BACKENDS: Final[dict[str, Callable[[ModelSpec, int], ModelRunner]]] = {"onnxruntime-cpu": _onnxruntime_cpu}


def select_backend(backend: str, spec: ModelSpec, threads: int) -> ModelRunner:
    """Makes the runner for a model, not yet active.

    Args:
        backend: a name, or `auto` for the best that is there.
        spec: the model.
        threads: of the CPU that this worker may use for inference, for back ends that run on it.

    Raises:
        ConfigError: there is no such back end.
    """
    name = "onnxruntime-cpu" if backend == "auto" else backend
    if name not in _BACKENDS:
        raise ConfigError(f"DRAG_BACKEND: expected auto or {', '.join(_BACKENDS)}, not {backend!r}")
    return _BACKENDS[name](spec, threads)
