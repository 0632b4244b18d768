"""Metrics: one namespace, base units, an endpoint for each worker, and sums over forked processes."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from drag_shared.metrics import Metrics


def test_names_get_the_namespace_and_asking_twice_gives_the_same() -> None:
    metrics = Metrics()
    jobs = metrics.counter("jobs", "Jobs by outcome.", ["outcome"])
    assert metrics.counter("jobs", "Jobs by outcome.", ["outcome"]) is jobs
    jobs.labels("done").inc(3)
    assert b'drag_jobs_total{outcome="done"} 3.0' in metrics.render()[0]


@pytest.mark.parametrize("name", ["drag_jobs", "latency_ms", "Latency", "size_mb", "a-b", "wait_ms_total"])
def test_a_name_with_a_prefix_or_without_a_base_unit_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="base unit"):
        Metrics().gauge(name, "Help.")


def test_a_name_cannot_be_two_kinds() -> None:
    metrics = Metrics()
    metrics.gauge("depth", "Help.")
    with pytest.raises(ValueError, match="is a Gauge already"):
        metrics.counter("depth", "Help.")


def test_a_worker_can_be_scraped_and_frees_its_port() -> None:
    metrics = Metrics()
    metrics.histogram("stage_seconds", "Time.", ["stage"]).labels("decode").observe(0.003)
    server = metrics.serve()
    try:
        assert server.url.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(server.url, timeout=5) as answer:
            text = answer.read().decode()
    finally:
        server.close()
    assert 'drag_stage_seconds_bucket{le="0.005",stage="decode"} 1.0' in text
    assert "drag_process_resident_memory_bytes" in text
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(server.url, timeout=5)


_FORKS = """
import os, sys
from pathlib import Path
from drag_shared import metrics
metrics.share_between_processes(Path(sys.argv[1]))
def child(n):
    m = metrics.Metrics()
    m.counter("jobs", "Jobs.").inc(n)
    m.gauge("open_requests", "Open.").set(n)
pids = []
for n in (2, 3):
    pid = os.fork()
    if pid == 0:
        child(n)
        os._exit(0)
    os.waitpid(pid, 0)
    pids.append(pid)
print(metrics.Metrics().render()[0].decode())
metrics.forget_process(pids[0])
print("AFTER")
print(metrics.Metrics().render()[0].decode())
"""


def test_forked_processes_add_up_and_the_dead_leave_no_gauges(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", _FORKS, str(tmp_path / "shared")], capture_output=True, text=True, timeout=30, check=True
    )
    before, after = run.stdout.split("AFTER")
    assert "drag_jobs_total 5.0" in before
    assert "drag_open_requests 5.0" in before
    assert "drag_jobs_total 5.0" in after
    assert "drag_open_requests 3.0" in after
