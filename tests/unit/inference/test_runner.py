"""The CPU runner against real ONNX files: loading, checking, answering, letting go."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from drag_inference.backends import select_backend
from drag_inference.repository import load_model
from drag_inference.runners.onnxruntime_cpu import OnnxRuntimeCpuRunner
from drag_shared.errors import ConfigError, ModelError, PermanentInferenceError, RetryableInferenceError

from .networks import FLOAT, constant_detector, write_model

ANSWER = np.array([[16, 4], [16, 4], [8, 2], [4, 2], [0.9, 0.1]], dtype=np.float32)


def test_each_picture_of_a_batch_gets_the_networks_answer(tmp_path: Path) -> None:
    write_model(tmp_path, constant_detector(ANSWER))
    with select_backend("auto", load_model(tmp_path, "tiny"), threads=1) as runner:
        assert runner.backend == "onnxruntime-cpu"
        memory = runner.allocate(4)
        for count in (1, 4, 3):
            output = runner.infer(memory[:count])
            np.testing.assert_array_equal(output, np.broadcast_to(ANSWER, (count, 5, 2)))


def test_activate_and_deactivate_may_be_repeated(tmp_path: Path) -> None:
    write_model(tmp_path, constant_detector(ANSWER))
    runner = select_backend("onnxruntime-cpu", load_model(tmp_path, "tiny"), threads=1)
    for _ in range(2):
        runner.activate()
        runner.activate()
        assert runner.infer(runner.allocate(1)).shape == (1, 5, 2)
        runner.deactivate()
        runner.deactivate()
    with pytest.raises(RetryableInferenceError, match="tiny is not active"):
        runner.infer(runner.allocate(1))


def test_a_wrong_batch_names_both_shapes(tmp_path: Path) -> None:
    write_model(tmp_path, constant_detector(ANSWER))
    with (
        select_backend("auto", load_model(tmp_path, "tiny"), threads=1) as runner,
        pytest.raises(PermanentInferenceError, match=r"takes \(2, 32, 32, 3\) uint8, not \(2, 16, 16, 3\) uint8"),
    ):
        runner.infer(np.zeros((2, 16, 16, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    ("network", "labels", "message"),
    [
        (b"this is no network", '"analog"', "cannot be loaded by onnxruntime"),
        (
            constant_detector(ANSWER),
            '"a", "b"',
            r"answers \['batch', 5, 2\].* with 2 labels means \[batch, 6, anchors\]",
        ),
        (constant_detector(ANSWER, side=48), '"analog"', r"takes \['batch', 48, 48, 3\]; model.toml declares"),
        (constant_detector(ANSWER, kind=FLOAT), '"analog"', r"takes tensor\(float\); model.toml declares uint8"),
        (constant_detector(ANSWER, batch=2), '"analog"', "takes batches of exactly 2; export it with a dynamic batch"),
    ],
)
def test_a_network_that_is_not_as_declared_is_refused(
    tmp_path: Path, network: bytes, labels: str, message: str
) -> None:
    write_model(tmp_path, network, labels=labels)
    with pytest.raises(ModelError, match=message):
        select_backend("auto", load_model(tmp_path, "tiny"), threads=1).activate()


class OddSession:
    """Answers with fewer rows than its model declared, as only a network with dynamic outputs can."""

    def run(self, names: object, feed: object) -> list[npt.NDArray[np.float32]]:
        return [np.zeros((1, 4, 2), dtype=np.float32)]


def test_an_answer_that_is_not_as_declared_is_refused_when_it_comes(tmp_path: Path) -> None:
    write_model(tmp_path, constant_detector(ANSWER))
    runner = OnnxRuntimeCpuRunner(load_model(tmp_path, "tiny"), threads=1)
    runner.activate()
    runner._session = OddSession()
    with pytest.raises(PermanentInferenceError, match=r"answered \(1, 4, 2\) float32.* means \(1, 5, anchors\)"):
        runner.infer(runner.allocate(1))


def test_a_changed_file_is_not_loaded(tmp_path: Path) -> None:
    write_model(tmp_path, constant_detector(ANSWER))
    file = tmp_path / "tiny" / "1" / "model.onnx"
    file.write_bytes(file.read_bytes() + b"\x00")
    with pytest.raises(ModelError, match="has SHA-256"):
        select_backend("auto", load_model(tmp_path, "tiny"), threads=1).activate()


def test_an_unknown_back_end_names_those_that_are_there(tmp_path: Path) -> None:
    write_model(tmp_path, constant_detector(ANSWER))
    with pytest.raises(ConfigError, match="expected auto or onnxruntime-cpu, not 'abacus'"):
        select_backend("abacus", load_model(tmp_path, "tiny"), threads=1)


def test_the_shipped_detector_is_as_declared() -> None:
    models = Path(__file__).resolve().parents[3] / "models"
    spec = load_model(models, "gauge-detector")
    with select_backend("auto", spec, threads=1) as runner:
        output = runner.infer(runner.allocate(1))
    assert output.shape[:2] == (1, 7)
    assert np.isfinite(output).all()
