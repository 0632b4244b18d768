"""Pictures with boxes on the training device: real photos that stay and renders that are refreshed by processes."""

from __future__ import annotations

import multiprocessing
import queue
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.model import PAD
from training.render.scene import Assets, Scene, render

MOST = 24  # gauges kept of a picture


def letterbox(image: NDArray[np.uint8], size: int) -> tuple[NDArray[np.uint8], float, float, float]:
    """Picture centred in a grey square; gives it with the scale and the offsets in x and y."""
    h, w = image.shape[:2]
    scale = size / max(h, w)
    nh, nw = max(1, round(h * scale)), max(1, round(w * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    out = np.full((size, size, 3), PAD, np.uint8)
    top, left = (size - nh) // 2, (size - nw) // 2
    out[top : top + nh, left : left + nw] = cv2.resize(image, (nw, nh), interpolation=how)
    return out, scale, float(left), float(top)


@dataclass
class Pool:
    """`images` `(P, S, S, 3)` uint8 BGR; `boxes` `(P, M, 4)` float32 xyxy; `labels` `(P, M)` int64, -1: none."""

    images: Tensor
    boxes: Tensor
    labels: Tensor
    filled: int = 0

    @staticmethod
    def empty(count: int, size: int, device: str) -> Pool:
        """A pool with room for `count` pictures."""
        return Pool(
            torch.zeros(count, size, size, 3, dtype=torch.uint8, device=device),
            torch.zeros(count, MOST, 4, device=device),
            torch.full((count, MOST), -1, dtype=torch.int64, device=device),
        )

    def put(self, at: int, image: NDArray[np.uint8], boxes: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
        """Stores one picture at a place."""
        k = min(MOST, len(labels))
        row, kinds = torch.zeros(MOST, 4), torch.full((MOST,), -1, dtype=torch.int64)
        row[:k], kinds[:k] = torch.from_numpy(boxes[:k]), torch.from_numpy(labels[:k])
        self.images[at].copy_(torch.from_numpy(image))
        self.boxes[at].copy_(row)
        self.labels[at].copy_(kinds)
        self.filled = max(self.filled, at + 1)


Boxed = tuple[NDArray[np.float32], NDArray[np.int64]]
_shared: tuple[Assets, int, str, int] | None = None


def _start(assets: Assets, size: int, stage: str, chunk: int) -> None:
    global _shared
    cv2.setNumThreads(0)
    _shared = (assets, size, stage, chunk)


def _safe_render(seed: int, size: int, assets: Assets) -> Scene:
    """A scene; one that cannot be drawn is reported and replaced by another, so that hours of rendering go on."""
    try:
        return render(seed, size, assets)
    except (ValueError, cv2.error, IndexError, TypeError) as error:
        print(f"scene {seed} failed: {error!r}", flush=True)
        return _safe_render(seed + 1_000_000_007, size, assets)


def _chunk(task: tuple[int, int]) -> tuple[int, list[Boxed]]:
    """Renders a chunk of scenes into its slot of the staging file."""
    assert _shared is not None
    assets, size, stage, chunk = _shared
    seed, slot = task
    view = np.memmap(stage, np.uint8, "r+", slot * chunk * size * size * 3, (chunk, size, size, 3))
    found: list[Boxed] = []
    for k in range(chunk):
        scene = _safe_render(seed * chunk + k, size, assets)
        view[k] = scene.image
        found.append((scene.boxes, scene.labels))
    return slot, found


class RenderFeed:
    """Keeps a pool of renders fresh from processes; start it before CUDA is touched, `close` it at the end."""

    def __init__(
        self, assets: Assets, size: int, workers: int, seed: int = 0, chunk: int = 8, slots: int = 128
    ) -> None:
        self.size, self.chunk, self.seed = size, chunk, seed
        need, memory = slots * chunk * size * size * 3, Path("/dev/shm")
        folder = memory if memory.is_dir() and shutil.disk_usage(memory).free > 2 * need else None
        self.stage = tempfile.NamedTemporaryFile(dir=folder)  # noqa: SIM115 (closed with the feed)
        self.stage.truncate(need)
        self.free: queue.Queue[int] = queue.Queue()
        for slot in range(slots):
            self.free.put(slot)
        self.stop = threading.Event()
        self.made = 0
        self.processes = multiprocessing.get_context("fork").Pool(
            workers, _start, (assets, size, self.stage.name, chunk)
        )
        self.thread: threading.Thread | None = None

    def _tasks(self) -> Iterator[tuple[int, int]]:
        seed = self.seed
        while not self.stop.is_set():
            try:
                slot = self.free.get(timeout=0.5)
            except queue.Empty:
                continue
            yield seed, slot
            seed += 1

    def _pump(self, pool: Pool) -> None:
        count = len(pool.images)
        for slot, found in self.processes.imap_unordered(_chunk, self._tasks()):
            shape = (self.chunk, self.size, self.size, 3)
            view = np.memmap(self.stage.name, np.uint8, "r", slot * int(np.prod(shape)), shape)
            for k, (boxes, labels) in enumerate(found):
                pool.put(self.made % count, np.array(view[k]), boxes, labels)
                self.made += 1
            self.free.put(slot)
            if self.stop.is_set():
                return

    def feed(self, pool: Pool) -> None:
        """Starts filling the pool in the background, round and round."""
        self.thread = threading.Thread(target=self._pump, args=(pool,), daemon=True)
        self.thread.start()

    def wait(self, pool: Pool, count: int) -> None:
        """Waits until the pool holds `count` renders; raises if rendering has ended before."""
        while pool.filled < count:
            if self.thread is None or not self.thread.is_alive():
                raise RuntimeError(f"rendering ended after {self.made} of {count} scenes: see the error above")
            time.sleep(0.1)

    def close(self) -> None:
        """Ends the processes."""
        self.stop.set()
        self.processes.terminate()
        self.stage.close()
