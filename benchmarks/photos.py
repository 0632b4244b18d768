"""Makes the photos that are sent: 1280 x 720, about 200 kB, the same ones in each run."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

WIDTH_PX, HEIGHT_PX = 1280, 720
AIM_BYTES = 200_000
PHOTOS = 8


def make_photos(folder: Path, committed: Path) -> list[Path]:
    """Writes the photos: committed ones brought to 720p, or scenes drawn here where there are none."""
    folder.mkdir(parents=True, exist_ok=True)
    sources = sorted(path for path in committed.glob("*.jp*g") if path.is_file())
    paths = []
    for number in range(PHOTOS):
        picture = cv2.imread(str(sources[number % len(sources)])) if sources else None
        path = folder / f"{number}.jpg"
        path.write_bytes(_encode(_fit(picture) if picture is not None else _draw(number), number))
        paths.append(path)
    return paths


def _fit(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Fills the frame and cuts what hangs over."""
    height, width = picture.shape[:2]
    scale = max(WIDTH_PX / width, HEIGHT_PX / height)
    size = (max(WIDTH_PX, round(width * scale)), max(HEIGHT_PX, round(height * scale)))
    picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    left, top = (picture.shape[1] - WIDTH_PX) // 2, (picture.shape[0] - HEIGHT_PX) // 2
    return picture[top : top + HEIGHT_PX, left : left + WIDTH_PX]


def _draw(seed: int) -> npt.NDArray[np.uint8]:
    """A wall with a few dials on it."""
    random = np.random.default_rng(seed)
    coarse = random.integers(60, 190, (9, 16, 3), dtype=np.uint8)
    picture = cv2.resize(coarse, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_CUBIC)
    for _ in range(3):
        centre = (int(random.integers(150, WIDTH_PX - 150)), int(random.integers(150, HEIGHT_PX - 150)))
        radius, angle = int(random.integers(60, 140)), random.uniform(0, 2 * np.pi)
        cv2.circle(picture, centre, radius, (240, 240, 240), -1, cv2.LINE_AA)
        cv2.circle(picture, centre, radius, (20, 20, 20), 6, cv2.LINE_AA)
        for mark in np.linspace(0.75 * np.pi, 2.25 * np.pi, 11):
            inner, outer = (_at(centre, radius * share, mark) for share in (0.75, 0.9))
            cv2.line(picture, inner, outer, (0, 0, 0), 3, cv2.LINE_AA)
        cv2.line(picture, centre, _at(centre, radius * 0.8, angle), (20, 20, 200), 4, cv2.LINE_AA)
    return picture


def _at(centre: tuple[int, int], radius: float, angle: float) -> tuple[int, int]:
    return round(centre[0] + radius * np.cos(angle)), round(centre[1] + radius * np.sin(angle))


def _encode(picture: npt.NDArray[np.uint8], seed: int) -> bytes:
    """JPEG of about the size that a camera's would have: sensor noise is added until it is."""
    random = np.random.default_rng(seed)
    noise = random.normal(0, 1, picture.shape)
    data = b""
    for strength in range(0, 40, 2):
        noisy = np.clip(picture + strength * noise, 0, 255).astype(np.uint8)
        data = cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()
        if len(data) >= AIM_BYTES:
            break
    return data
