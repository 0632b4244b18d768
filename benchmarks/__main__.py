"""`python -m benchmarks`: measures DRAG beside the bound, a monolith and Celery, and the queues alone."""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from benchmarks import queue_alone, report, systems
from benchmarks.photos import make_photos
from benchmarks.systems import PEER_PYTHON, REPOSITORY, Bench, System, peer_env

T = TypeVar("T")

SHORT_SHARE = 0.1  # of the messages, in the short form
SHORT_QUEUES = ("DRAG", "dramatiq (1 thread)")


def pictures_plan(short: bool, models: Sequence[str]) -> list[list[System]]:
    """What is compared in one round, model by model."""
    if short:
        return [[System("bound", "noop"), System("fastapi", "noop"), System("drag", "noop", "always")]]
    plans = []
    for model in models:
        plan = [System("bound", model), System("fastapi", model), System("drag", model, "always")]
        plan += [System("drag", model, "always", (("BENCH_PATH", "/predict"),)), System("celery", model, "always")]
        if model == "noop":  # what persistence costs does not hang on the model
            plan += [System(name, model, kind) for kind in ("everysec", "none") for name in ("drag", "celery")]
        plans.append(plan)
    return plans


def in_turns(things: Sequence[T], rounds: int) -> Iterator[T]:
    """Everything once a round; each other round backwards, so that a drift of the machine hits all alike."""
    for number in range(rounds):
        yield from things if number % 2 == 0 else reversed(things)


def attempt(what: str, run: Callable[[], T]) -> T | None:
    """The result, told as it comes; a run that fails is told too, and the others go on."""
    try:
        return run()
    except Exception as error:
        print(f"  {what}: failed: {error}", flush=True)
        return None


def run_pictures(options: argparse.Namespace, bench: Bench) -> list[systems.Result]:
    """Measures photos from POST to result: all systems stay up, and short windows go round among them."""
    results = []
    for plan in pictures_plan(options.short, options.models.split(",")):
        with contextlib.ExitStack() as stack:
            up = [system for system in plan if attempt(system.title, lambda s=system: systems.start(s, bench, stack))]
            for system in in_turns(up, options.rounds):
                result = attempt(system.title, lambda s=system: systems.measure(s, bench))
                if result is not None:
                    results.append(result)
                    cpu_s = sum(usage.cpu_s for usage in result.groups.values())
                    print(
                        f"  {system.model:8} {system.title:30} {result.images / result.seconds:8.1f} images/s"
                        f" {1000 * cpu_s / max(1, result.images):8.2f} ms CPU an image, load {os.getloadavg()[0]:.1f}"
                        f" {' '.join(result.errors)}",
                        flush=True,
                    )
    return results


def run_queues(options: argparse.Namespace, scratch: Path) -> list[queue_alone.QueueResult]:
    """Measures the queues alone."""
    results = []
    share = SHORT_SHARE if options.short else 1.0
    chosen = [queue for queue in queue_alone.QUEUES if not options.short or queue.name in SHORT_QUEUES]
    for persistence in ("none",) if options.short else options.persistence.split(","):
        for queue in in_turns(chosen, max(1, options.rounds // 4)):
            result = attempt(
                queue.name, lambda queue=queue, p=persistence: queue_alone.measure(queue, p, scratch, share)
            )
            if result is not None:
                results.append(result)
                print(
                    f"  {persistence:8} {queue.name:24} {result.rate:8.0f} messages/s"
                    f" {result.worker_us + result.server_us:6.0f} us CPU a message, load {os.getloadavg()[0]:.1f}",
                    flush=True,
                )
    return results


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
    return {
        "cores": os.cpu_count(),
        "cpu": cpu,
        "system": platform.release(),
        "python": platform.python_version(),
        "load": os.getloadavg(),
        "at": time.strftime("%Y-%m-%d %H:%M"),
    }


def main() -> int:
    """Runs what the arguments ask for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("what", nargs="*", default=["pictures", "queues"], help="pictures, queues (both)")
    parser.add_argument("--short", action="store_true", default=os.environ.get("SHORT", "") not in ("", "0"))
    parser.add_argument("--rounds", type=int, default=0, help="how often each is measured (8; short: 1)")
    parser.add_argument("--seconds", type=float, default=0.0, help="length of a window (4; short: 3)")
    parser.add_argument("--persistence", default="none,always", help="of the queues alone")
    parser.add_argument("--models", default="noop,shipped")
    parser.add_argument("--out", type=Path, help="also write all results here, as JSON")
    parser.add_argument("--scratch", type=Path, help="folder for the servers' files (default: beside the repository's)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped
    options.rounds = options.rounds or (1 if options.short else 8)
    options.seconds = options.seconds or (3.0 if options.short else 4.0)
    if not PEER_PYTHON.exists():
        print(f"{PEER_PYTHON} is missing: make bench makes it", file=sys.stderr)
        return 2
    about = machine()
    print(", ".join(f"{name}: {value}" for name, value in about.items()), flush=True)
    pictures: list[systems.Result] = []
    queues: list[queue_alone.QueueResult] = []
    with _scratch(options.scratch) as scratch:
        if "pictures" in options.what:
            pictures = run_pictures(options, _bench(scratch, options))
        if "queues" in options.what:
            queues = run_queues(options, scratch)
    if options.out is not None:
        report.save(options.out, about, pictures, queues)
    print()
    if pictures:
        print(report.pictures_table(pictures), end="\n\n")
    if queues:
        print(report.queue_table(queues))
    return 0 if (pictures or "pictures" not in options.what) and (queues or "queues" not in options.what) else 1


@contextlib.contextmanager
def _scratch(wanted: Path | None) -> Iterator[Path]:
    """A folder on the disk that the product's own data would lie on: a file system in memory syncs for nothing."""
    parent = wanted or REPOSITORY / ".drag"
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _bench(scratch: Path, options: argparse.Namespace) -> Bench:
    photos = make_photos(scratch / "photos", REPOSITORY / "tests" / "photos")
    noop, shipped = scratch / "noop", REPOSITORY / "models"
    argv = [str(PEER_PYTHON), "-m", "benchmarks.peers.noop_model", str(shipped), str(noop)]
    subprocess.run(argv, env=peer_env(), check=True)
    return Bench(photos, {"shipped": shipped, "noop": noop}, scratch, options.seconds, warm_up_s=1.0)


if __name__ == "__main__":
    sys.exit(main())
