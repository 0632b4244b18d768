"""The renderer: boxes inside the picture, the same scene for the same seed, all classes drawn."""

from __future__ import annotations

import pytest

np = pytest.importorskip("numpy", reason="the renderer needs NumPy: pip install -r training/requirements.txt")
pytest.importorskip("cv2", reason="the renderer needs OpenCV: pip install -r training/requirements.txt")
pytest.importorskip("PIL", reason="the renderer needs Pillow: pip install -r training/requirements.txt")

from training.classes import LABELS  # noqa: E402
from training.render.scene import render  # noqa: E402

SIZE = 256


@pytest.mark.parametrize("seed", range(12))
def test_boxes_lie_inside_the_picture(seed: int) -> None:
    scene = render(seed, SIZE)
    assert scene.image.shape == (SIZE, SIZE, 3)
    assert scene.image.dtype == np.uint8
    assert scene.boxes.shape == (len(scene.labels), 4)
    assert (scene.boxes >= 0).all()
    assert (scene.boxes <= SIZE).all()
    assert (scene.boxes[:, 2:] > scene.boxes[:, :2]).all()


def test_same_seed_same_scene() -> None:
    first, second = render(7, SIZE), render(7, SIZE)
    assert np.array_equal(first.image, second.image)
    assert np.array_equal(first.boxes, second.boxes)
    assert not np.array_equal(first.image, render(8, SIZE).image)


def test_every_class_is_drawn_and_some_scenes_are_empty() -> None:
    scenes = [render(seed, 160) for seed in range(40)]
    seen = {int(label) for scene in scenes for label in scene.labels}
    assert seen == set(range(len(LABELS)))
    assert any(len(scene.labels) == 0 for scene in scenes)
