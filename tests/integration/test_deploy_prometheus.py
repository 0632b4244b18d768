"""Prometheus' configuration and rules: valid, tested, and about metrics that DRAG has."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from tests.support import missing
from tests.support.queue import Queue

from drag_api.metrics import queue_metrics
from drag_shared.config import Settings
from drag_shared.queues import read_queues

METRIC = re.compile(r"\bdrag_[a-z0-9_]+\b")


@pytest.fixture(scope="module")
def rules(repository: Path) -> list[dict[str, Any]]:
    told = yaml.safe_load((repository / "deploy/prometheus/rules.yml").read_text("utf-8"))
    return [rule for group in told["groups"] for rule in group["rules"]]


def promtool(*arguments: str) -> None:
    """Runs Debian's promtool, or says how to get it."""
    program = shutil.which("promtool")
    if program is None:
        missing("promtool", "apt-get install prometheus")
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_finds_the_configuration_right(repository: Path) -> None:
    promtool("check", "config", str(repository / "deploy/prometheus/prometheus.yml"))


def test_each_alert_fires_when_it_should_and_not_before(repository: Path) -> None:
    promtool("test", "rules", str(repository / "deploy/prometheus/rules_test.yml"))


def test_each_alert_has_a_test_and_tells_people_something(repository: Path, rules: list[dict[str, Any]]) -> None:
    told = yaml.safe_load((repository / "deploy/prometheus/rules_test.yml").read_text("utf-8"))
    fired = {case["alertname"] for test in told["tests"] for case in test["alert_rule_test"] if case["exp_alerts"]}
    alerts = {rule["alert"]: rule for rule in rules if "alert" in rule}
    assert set(alerts) == fired
    for name, rule in alerts.items():
        assert rule["labels"]["severity"] in ("warning", "critical"), name
        assert rule["annotations"]["summary"], name


def test_discovery_asks_the_api_where_it_is(repository: Path) -> None:
    told = yaml.safe_load((repository / "deploy/prometheus/prometheus.yml").read_text("utf-8"))
    compose = yaml.safe_load((repository / "deploy/compose.yaml").read_text("utf-8"))
    (job,) = told["scrape_configs"]
    url = urlsplit(job["http_sd_configs"][0]["url"])
    assert url.hostname in compose["services"]
    assert url.port == Settings().api_port
    assert url.path == "/v1/discovery"
    assert (repository / "deploy/prometheus" / told["rule_files"][0]).is_file()


@pytest.mark.integration
def test_rules_name_metrics_that_there_are(repository: Path, rules: list[dict[str, Any]], queue: Queue) -> None:
    used = {name for rule in rules for name in METRIC.findall(rule["expr"])}
    there = {sample.name for family in queue_metrics(read_queues(queue.store)) for sample in family.samples}
    there |= {"drag_queue_up", *_inference_metrics(repository)}
    assert used
    assert used <= there


def _inference_metrics(repository: Path) -> Iterator[str]:
    from drag_inference.observe import Observer
    from drag_inference.repository import load_model
    from drag_shared.metrics import Metrics

    metrics = Metrics()
    Observer(metrics, load_model(repository / "models", "gauge-detector")).state("ready")
    text, _ = metrics.render()
    yield from METRIC.findall(text.decode())
