"""Tables of results, as Markdown."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.queue_alone import QueueResult
from benchmarks.systems import Result

_MB = 1e6


def pictures_table(results: Sequence[Result]) -> str:
    """Photos from POST to result: one row a system, the median of its rounds, latencies of all rounds together."""
    rows: dict[tuple[str, str], list[Result]] = defaultdict(list)
    for result in results:
        rows[result.system.model, result.system.title].append(result)
    lines = [
        "| model | system | images/s | of the bound | p50 ms | p95 ms | p99 ms | CPU s per 1,000 images "
        "| beyond the bound | by group | memory MB (PSS / RSS) | rounds |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for (model, title), rounds in rows.items():
        bound = rows.get((model, "bound"), [])
        rate, cpu = _rate(rounds), _cpu(rounds)
        share = f"{100 * rate / _rate(bound):.0f} %" if bound else ""
        beyond = f"{cpu - _cpu(bound):.2f}" if bound and title != "bound" else ""
        latencies = [latency for result in rounds for latency in result.latencies_ms] or [0.0]
        p50, p95, p99 = (f"{value:.0f}" for value in np.percentile(latencies, (50, 95, 99)))
        pss = median(sum(usage.pss_bytes for usage in result.groups.values()) for result in rounds) / _MB
        rss = median(sum(usage.rss_bytes for usage in result.groups.values()) for result in rounds) / _MB
        lines.append(
            f"| {model} | {title} | {rate:.1f} | {share} | {p50} | {p95} | {p99} | {cpu:.2f} | {beyond} "
            f"| {_groups(rounds)} | {pss:.0f} / {rss:.0f} | {len(rounds)} |"
        )
    return "\n".join(lines)


def _rate(results: Iterable[Result]) -> float:
    return median(result.images / result.seconds for result in results)


def _cpu(results: Iterable[Result]) -> float:
    """CPU seconds per 1,000 images, all its processes, the clients' not among them."""
    return median(
        1000 * sum(usage.cpu_s for usage in result.groups.values()) / max(1, result.images) for result in results
    )


def _groups(results: Sequence[Result]) -> str:
    names = [name for name in results[0].groups if len(results[0].groups) > 1]
    shares = {
        name: median(
            1000 * result.groups[name].cpu_s / max(1, result.images) for result in results if name in result.groups
        )
        for name in names
    }
    return ", ".join(f"{name} {value:.2f}" for name, value in shares.items() if value >= 0.005)


def queue_table(results: Sequence[QueueResult]) -> str:
    """Queues alone: one row a queue, the median of its rounds."""
    rows: dict[tuple[str, str], list[QueueResult]] = defaultdict(list)
    for result in results:
        rows[result.persistence, result.queue.name].append(result)
    lines = [
        "| persistence | queue | messages/s | worker CPU us a message | server CPU us a message | both | rounds |",
        "|---|---|---|---|---|---|---|",
    ]
    for (persistence, name), rounds in rows.items():
        worker, server = median(r.worker_us for r in rounds), median(r.server_us for r in rounds)
        lines.append(
            f"| {persistence} | {name} | {median(r.rate for r in rounds):,.0f} | {worker:.0f} | {server:.0f} "
            f"| {worker + server:.0f} | {len(rounds)} |"
        )
    return "\n".join(lines)


def save(path: Path, machine: dict[str, Any], pictures: Sequence[Result], queues: Sequence[QueueResult]) -> None:
    """Writes all that was measured, so that tables can be made anew."""
    data = {"machine": machine, "pictures": [asdict(r) for r in pictures], "queues": [asdict(r) for r in queues]}
    path.write_text(json.dumps(data, indent=1))
