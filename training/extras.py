"""Fills the renderer's `EXTRA` folder: counter strips from archives, backgrounds from packages that carry photos.

`python -m training.extras EXTRA --strips A.tar B.tar --every 1 4 [--members LIST]`
"""

from __future__ import annotations

import argparse
import importlib.util
import tarfile
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

STRIP_HEIGHT, BACKGROUND_SIDE = 80, 560
PACKAGES = {  # package: folder and names of its free photos
    "skimage": ("data", "astronaut brick camera chelsea coffee coins grass gravel rocket text page"),
    "sklearn": ("datasets/images", "china flower"),
}


def shrink(image: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    """The picture made smaller by `scale`; never larger."""
    if scale >= 1:
        return image
    return np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


def strips(archive: Path, out: Path, every: int, allowed: set[str] | None) -> int:
    """Writes every n-th wide picture of a tar archive as a small JPEG; gives their number."""
    count = 0
    with tarfile.open(archive) as tar:
        names = sorted(m.name for m in tar.getmembers() if m.isfile())
        names = [n for n in names if allowed is None or f"{archive.parent.name}/{archive.name}::{n}" in allowed]
        for name in names[::every]:
            handle = tar.extractfile(name)
            data = np.frombuffer(handle.read() if handle else b"", np.uint8)
            image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
            if image is None or image.shape[1] < 1.4 * image.shape[0]:
                continue
            small = shrink(np.asarray(image, np.uint8), STRIP_HEIGHT / image.shape[0])
            stem = f"{archive.parent.name.split('-')[0]}_{Path(name).stem}"
            cv2.imwrite(str(out / f"{stem}.jpg"), small, [cv2.IMWRITE_JPEG_QUALITY, 85])
            count += 1
    return count


def backgrounds(out: Path) -> int:
    """Copies the photos that scikit-image and scikit-learn carry, where these are installed."""
    count = 0
    for package, (folder, names) in PACKAGES.items():
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            print(f"{package} is not installed: its photos are left out")
            continue
        for name in names.split():
            for path in (Path(spec.origin).parent / folder).glob(f"{name}.*"):
                image = cv2.imread(str(path), cv2.IMREAD_COLOR)
                if image is not None:
                    small = shrink(np.asarray(image, np.uint8), BACKGROUND_SIDE / max(image.shape[:2]))
                    cv2.imwrite(str(out / f"{name}.jpg"), small, [cv2.IMWRITE_JPEG_QUALITY, 85])
                    count += 1
    return count


def main() -> None:
    """Fills the folder and prints what it holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--strips", type=Path, nargs="*", default=[], help="tar archives of rectified counters")
    parser.add_argument("--every", type=int, nargs="*", default=[], help="for each archive: take every n-th")
    parser.add_argument(
        "--members", type=Path, help="file of allowed FOLDER/ARCHIVE::MEMBER, one a line (the train split)"
    )
    args = parser.parse_args()
    allowed = set(args.members.read_text().split("\n")) if args.members else None
    for part in ("strips", "backgrounds"):
        (args.out / part).mkdir(parents=True, exist_ok=True)
    every = args.every or [1] * len(args.strips)
    for archive, step in zip(args.strips, every, strict=True):
        print(f"{archive}: {strips(archive, args.out / 'strips', step, allowed)} strips")
    print(f"{backgrounds(args.out / 'backgrounds')} backgrounds")


if __name__ == "__main__":
    main()
