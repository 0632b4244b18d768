"""A model is what its `model.toml` says, and every mistake in it is named."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from drag_inference.repository import load_model, verify, versions
from drag_shared.errors import ModelError

NETWORK = b"a network"
TOML = """
name = "tiny"
version = "{version}"
task = "detection"
description = "for tests"
labels = ["a", "b"]
licence = "Apache-2.0"
file = "model.onnx"
sha256 = "{sha256}"
[input]
width = 64
height = 48
colour = "rgb"
layout = "nchw"
dtype = "float32"
resize = "stretch"
pad = 114
mean = [1, 2.5, 3]
std = [58.0, 57.0, 57.0]
[output]
head = "yolov8"
[thresholds]
score = 0.25
iou = 0.5
max_detections = 10
[batching]
max_batch = 8
max_delay_ms = 2
[warmup]
iterations = 3
[provenance]
anything = "goes"
"""


def write(models: Path, version: str = "1", old: str = "", new: str = "") -> Path:
    folder = models / "tiny" / version
    folder.mkdir(parents=True, exist_ok=True)
    text = TOML.format(version=version, sha256=hashlib.sha256(NETWORK).hexdigest())
    assert old in text
    (folder / "model.toml").write_text(text.replace(old, new) if old else text)
    (folder / "model.onnx").write_bytes(NETWORK)
    return folder


def test_everything_declared_is_read(tmp_path: Path) -> None:
    folder = write(tmp_path)
    spec = load_model(tmp_path, "tiny")
    assert (spec.name, spec.version, spec.labels, spec.head) == ("tiny", "1", ("a", "b"), "yolov8")
    assert (spec.input.width, spec.input.height, spec.input.mean) == (64, 48, (1.0, 2.5, 3.0))
    assert spec.input.batch_shape(2) == (2, 3, 48, 64)
    assert (spec.thresholds.score, spec.batching.max_batch, spec.warmup_iterations) == (0.25, 8, 3)
    assert spec.path == folder / "model.onnx"
    assert spec.provenance == {"anything": "goes"}
    verify(spec)


def test_the_newest_version_counts_numbers_as_numbers(tmp_path: Path) -> None:
    for version in ("1", "9", "10", "2.1"):
        write(tmp_path, version)
    assert versions(tmp_path, "tiny") == ["1", "2.1", "9", "10"]
    assert load_model(tmp_path, "tiny").version == "10"
    assert load_model(tmp_path, "tiny", "9").version == "9"


def test_another_file_than_declared_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path)
    (folder / "model.onnx").write_bytes(b"another network")
    with pytest.raises(ModelError, match=r"has SHA-256 [0-9a-f]{64}, but model.toml declares"):
        verify(load_model(tmp_path, "tiny"))
    (folder / "model.onnx").unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        verify(load_model(tmp_path, "tiny"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("width = 64", "", r"model\.toml: input\.width is missing; expected a whole number from 1 to 8192"),
        ("width = 64", "width = 0", r"input\.width: expected a whole number from 1 to 8192, not 0"),
        ("width = 64", "width = true", r"input\.width: expected a whole number"),
        ("width = 64", "width = 64\nwidht = 64", r"input\.widht: no such key; expected colour, dtype"),
        ('colour = "rgb"', 'colour = "RGB"', r"input\.colour: expected 'bgr' or 'rgb', not 'RGB'"),
        ("mean = [1, 2.5, 3]", "mean = [1, 2]", r"input\.mean: expected three numbers, not \[1, 2\]"),
        ("mean = [1, 2.5, 3]", "mean = [nan, 2, 3]", r"input\.mean: expected three numbers"),
        ("58.0", "0.0", r"input\.std: expected three numbers above 0"),
        ('dtype = "float32"', 'dtype = "uint8"', r"input\.dtype: expected float32 where mean or std"),
        ('labels = ["a", "b"]', "labels = []", r"labels: expected one or more names"),
        ('labels = ["a", "b"]', 'labels = ["a", "a"]', r"labels: expected one or more names, each once"),
        ('labels = ["a", "b"]', "labels = 3", r"labels: expected a list of strings, not 3"),
        ('file = "model.onnx"', 'file = "../x.onnx"', r"file: expected the name of a file beside model\.toml"),
        ("score = 0.25", "score = 25", r"thresholds\.score: expected a number from 0 to 1, not 25"),
        ("max_batch = 8", "max_batch = 1.5", r"batching\.max_batch: expected a whole number"),
        ('head = "yolov8"', 'head = "ssd"', r"output\.head: expected 'yolov8', not 'ssd'"),
        ('task = "detection"', 'task = "magic"', r"task: expected 'detection', not 'magic'"),
        ('name = "tiny"', 'name = "other"', r"name: expected 'tiny', as its folder is called, not 'other'"),
        ('sha256 = "', 'sha256 = "x', r"sha256: expected 64 hexadecimal digits"),
        ("[warmup]\niterations = 3", "", r"warmup is missing; expected a table"),
        ("[input]", "[input", r"model\.toml cannot be read"),
    ],
)
def test_mistakes_name_file_key_expected_and_seen(tmp_path: Path, old: str, new: str, message: str) -> None:
    write(tmp_path, old=old, new=new)
    with pytest.raises(ModelError, match=message) as caught:
        load_model(tmp_path, "tiny")
    assert str(tmp_path / "tiny" / "1" / "model.toml") in str(caught.value)


def test_a_model_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(ModelError, match=r"no model 'other' in .*; models there: tiny"):
        load_model(tmp_path, "other")
    with pytest.raises(ModelError, match="versions of tiny: 1"):
        load_model(tmp_path, "tiny", "7")
    for name in ("../tiny", "", "Tiny", "a/b"):
        with pytest.raises(ModelError, match="expected up to 64 of"):
            load_model(tmp_path, name)
