"""What becomes of every entry that a worker is given, whatever goes wrong on the way."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest

from drag_inference.runner import Batch, DeviceFault, Output
from drag_inference.worker import warm_up
from drag_shared.errors import PermanentInferenceError, RetryableInferenceError
from drag_shared.outcomes import Advanced, Dropped, Failed, HandedBack, Retry

from .doubles import FakeRunner, Harness, make_spec, one_box, picture


def level_of(batch: Batch) -> list[int]:
    """The grey level of each picture, from the middle of the input."""
    return [int(one[16, 16, 0]) for one in batch]


def failing_at(level: int, error: Callable[[], Exception]) -> FakeRunner:
    def function(batch: Batch) -> Output:
        if level in level_of(batch):
            raise error()
        return one_box(len(batch))

    return FakeRunner(function=function)


class Gate:
    """A network that waits until it is let through."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.open = threading.Event()

    def __call__(self, batch: Batch) -> Output:
        self.entered.set()
        assert self.open.wait(20)
        return one_box(len(batch))


def test_a_picture_ends_with_the_result_of_the_contract() -> None:
    with Harness() as harness:
        harness.source.add("a")
        outcome = harness.source.wait_settled(1)["a"]
    assert isinstance(outcome, Advanced)
    # 64 x 48 in 32 x 32: half, 4 rows above; the box 8 x 4 around (16, 16) is 16 x 8 around (32, 24)
    assert outcome.result == {
        "gauges": [
            {"kind": "analog", "score": 0.9, "box": [24.0, 20.0, 40.0, 28.0], "model": "tiny", "model_version": "1"}
        ],
        "detections": [],
        "image": {"width_px": 64, "height_px": 48, "orientation": 1},
        "model": {"name": "tiny", "version": "1"},
    }
    assert set(outcome.timings) == {"fetch", "decode", "infer", "publish"}
    assert all(ms >= 0 for ms in outcome.timings.values())


def test_the_jobs_own_threshold_wins() -> None:
    with Harness(FakeRunner(function=lambda b: one_box(len(b), score=0.6))) as harness:
        harness.source.add("strict", min_score=0.7)
        harness.source.add("loose", min_score=0.5)
        outcomes = harness.source.wait_settled(2)
    found = {job: len(o.result["gauges"]) for job, o in outcomes.items() if isinstance(o, Advanced)}
    assert found == {"strict": 0, "loose": 1}


def test_what_waits_becomes_one_batch_up_to_the_maximum() -> None:
    gate = Gate()
    with Harness(FakeRunner(function=gate)) as harness:
        harness.source.add("first")
        assert gate.entered.wait(10)
        for n in range(6):
            harness.source.add(f"later-{n}")
        assert harness.state.ready.qsize() <= 12
        while harness.state.ready.qsize() < 6:
            threading.Event().wait(0.005)
        gate.open.set()
        harness.source.wait_settled(7)
    assert harness.runner.batches == [1, 4, 2]


def test_no_more_is_taken_in_than_batches_need() -> None:
    gate = Gate()
    with Harness(FakeRunner(function=gate)) as harness:
        for n in range(40):
            harness.source.add(str(n))
        assert gate.entered.wait(10)
        while harness.source.held < 12:
            threading.Event().wait(0.005)
        threading.Event().wait(0.1)
        assert harness.source.held == 12
        gate.open.set()
        assert len(harness.source.wait_settled(40)) == 40


def test_a_damaged_picture_fails_with_its_reason_and_harms_no_other() -> None:
    with Harness() as harness:
        harness.source.add("bad", data=picture()[:60])
        harness.source.add("good")
        outcomes = harness.source.wait_settled(2)
    bad = outcomes["bad"]
    assert isinstance(bad, Failed)
    assert bad.code == "damaged"
    assert "truncated or damaged" in bad.detail
    assert isinstance(outcomes["good"], Advanced)


def test_a_picture_that_breaks_its_batch_is_the_only_one_that_suffers() -> None:
    with Harness(failing_at(66, lambda: RuntimeError("boom"))) as harness:
        for n in range(3):
            harness.source.add(f"good-{n}")
        harness.source.add("bad", data=picture(66))
        outcomes = harness.source.wait_settled(4)
    bad = outcomes.pop("bad")
    assert isinstance(bad, Retry)
    assert "RuntimeError: boom" in bad.cause
    assert all(isinstance(outcome, Advanced) for outcome in outcomes.values())


@pytest.mark.parametrize(
    ("error", "kind"), [(RetryableInferenceError("busy"), Retry), (PermanentInferenceError("never"), Failed)]
)
def test_retryable_and_permanent_are_told_apart(error: Exception, kind: type[Retry] | type[Failed]) -> None:
    with Harness(failing_at(66, lambda: error)) as harness:
        harness.source.add("bad", data=picture(66))
        outcome = harness.source.wait_settled(1)["bad"]
    assert isinstance(outcome, kind)


def test_an_odd_output_is_retried_and_the_worker_goes_on() -> None:
    outputs = [np.zeros((1, 3, 2), dtype=np.float32)]
    runner = FakeRunner(function=lambda batch: outputs.pop() if outputs else one_box(len(batch)))
    with Harness(runner) as harness:
        harness.source.add("odd")
        assert isinstance(harness.source.wait_settled(1)["odd"], Retry)
        harness.source.add("next")
        assert isinstance(harness.source.wait_settled(2)["next"], Advanced)


def test_a_cancelled_job_is_dropped() -> None:
    with Harness() as harness:
        harness.source.blobs["gone"] = None
        harness.source.add("gone")
        assert isinstance(harness.source.wait_settled(1)["gone"], Dropped)
    assert harness.runner.batches == []


def test_an_entry_that_was_tried_before_runs_alone() -> None:
    with Harness() as harness:
        for n in range(3):
            harness.source.add(f"before-{n}")
        harness.source.add("again", attempt=1)
        for n in range(3):
            harness.source.add(f"after-{n}")
        harness.source.wait_settled(7)
    with_it = [held for held in harness.source.concurrent if "again" in held]
    assert with_it == [{"again"}]


@pytest.mark.parametrize("method", ["read", "fetch", "settle"])
def test_redis_going_away_loses_nothing(method: str) -> None:
    with Harness() as harness:
        harness.source.away[method] = 3
        for n in range(5):
            harness.source.add(str(n))
        outcomes = harness.source.wait_settled(5)
    assert len(outcomes) == 5
    assert all(isinstance(outcome, Advanced) for outcome in outcomes.values())
    assert harness.source.away[method] == 0


def test_work_whose_lease_was_lost_is_abandoned() -> None:
    gate = Gate()
    with Harness(FakeRunner(function=gate)) as harness:
        harness.source.add("lost")
        assert gate.entered.wait(10)
        # When another worker has taken it over meanwhile
        harness.source.lost = {"lost"}
        assert harness.state.in_flight.mark_lost(harness.source.renew()) == 1
        harness.source.add("ours")
        gate.open.set()
        outcomes = harness.source.wait_settled(1)
        assert harness.state.in_flight.wait_empty(10)
    assert list(outcomes) == ["ours"]
    assert [o.entry.job_id for o in harness.source.outcomes] == ["ours"]


def test_a_drain_finishes_what_is_in_flight() -> None:
    gate = Gate()
    harness = Harness(FakeRunner(function=gate))
    with harness:
        for n in range(3):
            harness.source.add(str(n))
        assert gate.entered.wait(10)
        threading.Timer(0.2, gate.open.set).start()
        assert harness.drain()
    assert len(harness.source.outcomes) == 3
    assert all(isinstance(outcome, Advanced) for outcome in harness.source.outcomes)
    assert harness.source.closed


def test_a_drain_at_its_deadline_hands_the_rest_back_and_settles_nothing_twice() -> None:
    gate = Gate()
    harness = Harness(FakeRunner(function=gate))
    with harness:
        for n in range(3):
            harness.source.add(str(n))
        assert gate.entered.wait(10)
        assert not harness.drain(timeout_s=0.1)
        gate.open.set()  # the network answers too late
        for thread in harness.worker._inferrers:
            thread.join(10)
    harness.worker._publisher.join(10)
    assert {o.entry.job_id for o in harness.source.asked} <= {"0", "1", "2"}
    assert all(isinstance(outcome, HandedBack) for outcome in harness.source.asked)
    assert harness.source.held == 0


def test_a_device_fault_gives_the_work_back_and_ends_the_worker() -> None:
    with Harness(failing_at(66, lambda: DeviceFault("illegal address"))) as harness:
        harness.source.add("victim", data=picture(66))
        outcome = harness.source.wait_settled(1)["victim"]
        assert harness.state.stop.wait(10)
    assert isinstance(outcome, HandedBack)
    assert "illegal address" in harness.state.failure


def test_a_thread_that_ends_is_the_workers_failure() -> None:
    with Harness() as harness:
        harness.source.read = None  # type: ignore[method-assign, assignment]
        assert harness.state.stop.wait(10)
    assert "thread reader ended: TypeError" in harness.state.failure


def test_metrics_and_statistics_count_every_picture() -> None:
    with Harness() as harness:
        harness.source.add("good")
        harness.source.add("bad", data=picture()[:60])
        harness.source.wait_settled(2)
    text = harness.metrics.render()[0].decode()
    assert 'drag_inference_images_total{model="tiny",outcome="done"} 1.0' in text
    assert 'drag_inference_images_total{model="tiny",outcome="failed"} 1.0' in text
    for stage in ("fetch", "decode", "infer", "publish"):
        assert f'drag_inference_stage_seconds_count{{model="tiny",stage="{stage}"}} 1.0' in text
    summary = harness.state.observer.statistics.summary()
    assert (summary["count"], summary["errors"]) == (1, 1)
    assert summary["latency"]["max_ms"] >= summary["compute"]["max_ms"] > 0


def test_warm_up_runs_as_often_as_asked_alone_and_full() -> None:
    runner = FakeRunner(make_spec(warmup_iterations=3))
    warm_up(runner)
    assert runner.batches == [1, 4, 1]
