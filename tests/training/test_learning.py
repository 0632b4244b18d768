"""The network and its training: shapes, assignment, a loss that falls, export that agrees."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch: pip install -r training/requirements.txt")

from training.boxes import ciou_pairs, iou_pairs, sides_to_boxes  # noqa: E402
from training.loss import assign, detection_loss  # noqa: E402
from training.model import STRIDES, Deployed, Detector, anchor_points  # noqa: E402

SIZE = 64


def test_outputs_have_the_declared_shapes() -> None:
    net = Detector().eval()
    cells = sum((SIZE // s) ** 2 for s in STRIDES)
    with torch.no_grad():
        out = Deployed(net, SIZE)(torch.zeros(2, SIZE, SIZE, 3, dtype=torch.uint8))
    assert out.shape == (2, 7, cells)
    assert out[:, 4:].min() >= 0
    assert out[:, 4:].max() <= 1
    assert (out[:, 2:4] > 0).all()


def test_iou_of_known_boxes() -> None:
    a, b = torch.tensor([0.0, 0.0, 10.0, 10.0]), torch.tensor([5.0, 0.0, 15.0, 10.0])
    assert iou_pairs(a, b).item() == pytest.approx(1 / 3, abs=1e-5)
    assert ciou_pairs(a, a).item() == pytest.approx(1.0, abs=1e-5)
    assert ciou_pairs(a, b) < iou_pairs(a, b)


@pytest.mark.parametrize(
    "box", [[8.0, 8.0, 56.0, 56.0], [30.0, 30.0, 36.0, 35.0], [0.0, 0.0, 64.0, 12.0]], ids=["large", "tiny", "flat"]
)
def test_every_gauge_gets_a_cell(box: list[float]) -> None:
    points, strides = anchor_points(SIZE)
    sides = torch.ones(1, len(points), 4) * strides[:, None]
    scores = torch.full((1, len(points), 3), 0.01)
    labels, truth = torch.tensor([[1, -1]]), torch.tensor([[box, [0.0, 0.0, 0.0, 0.0]]])
    target, boxes, weight = assign(scores, sides_to_boxes(points, sides), points, strides, labels, truth)
    assert (weight > 0).any()
    assert (target[..., [0, 2]] == 0).all()
    assert torch.equal(boxes[weight > 0], torch.tensor(box).expand(int((weight > 0).sum()), 4))


def test_loss_falls_on_one_picture() -> None:
    torch.manual_seed(0)
    net = Detector()
    points, strides = anchor_points(SIZE)
    images = torch.rand(2, 3, SIZE, SIZE) * 255
    labels, truth = torch.tensor([[0], [2]]), torch.tensor([[[8.0, 8.0, 48.0, 50.0]], [[4.0, 20.0, 60.0, 36.0]]])
    optim = torch.optim.AdamW(net.parameters(), lr=2e-3)
    losses = []
    for _ in range(8):
        loss, _, _ = detection_loss(*net(images), points, strides, labels, truth)
        optim.zero_grad()
        loss.backward()
        optim.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


def test_training_on_renders_alone(tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="the renderer needs OpenCV: pip install -r training/requirements.txt")
    from training.train import main

    options = "--workers 0 --renders 6 --render-size 128 --steps 3 --batch 4 --sizes 64 --warm 1 --no-export"
    history = main(["--out", str(tmp_path), *options.split()])
    assert len(history) == 3
    assert (tmp_path / "last.pt").stat().st_size > 1_000_000
