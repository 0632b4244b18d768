"""A small supervisor: starts child processes in stages, restarts what dies, and ends all of it cleanly."""

from __future__ import annotations

import contextlib
import os
import secrets
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType

from drag_launcher import guardian
from drag_launcher.backoff import Backoff

_TICK_S = 0.5
_CHECK_S = 0.05
_LONGEST_LINE = 65_536


@dataclass(frozen=True)
class ChildSpec:
    """How to start and stop a child.

    Attributes:
        name: shown before each line that it prints; one of a kind.
        argv: program and arguments.
        env: its whole environment; the supervisor's own when None.
        stage: children of a stage start when all of lower stages are ready, and stop before those.
        stop_s: after SIGTERM and this long it gets SIGKILL.
        ready: says None when it can be used, else what it is doing; must answer within a moment.
        keep_line: which of its lines are shown.
        pass_fds: file descriptors that it inherits (a lock that it shall hold for as long as it lives).
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] | None = None
    stage: int = 1
    stop_s: float = 20.0
    ready: Callable[[], str | None] | None = None
    keep_line: Callable[[str], bool] = lambda line: True
    pass_fds: tuple[int, ...] = ()


@dataclass
class _Child:
    spec: ChildSpec
    backoff: Backoff
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    due: float = 0.0
    was_ready: bool = False
    asked_to_stop: float | None = None
    tail: dict[int, bytes] = field(default_factory=dict)


class Supervisor:
    """Runs children until it is told to stop; use it in the main thread.

    Children run in process groups of their own, so that Ctrl-C reaches the supervisor alone and a dead child's own
    children go with it. A guardian process ends everything should the supervisor be killed.

    Args:
        specs: the children.
        say: gets each line to show, without its newline.
        keep_fds: file descriptors (a lock) that stay open until the last child is gone, whatever happens.
        backoff: makes the restart policy of a child.
    """

    def __init__(
        self,
        specs: Sequence[ChildSpec],
        say: Callable[[str], None],
        keep_fds: Sequence[int] = (),
        backoff: Callable[[], Backoff] = Backoff,
    ) -> None:
        self._children = [_Child(spec, backoff()) for spec in sorted(specs, key=lambda spec: spec.stage)]
        self._say = say
        self._keep_fds = tuple(keep_fds)
        self._width = max((len(spec.name) for spec in specs), default=0)
        self._selector = selectors.DefaultSelector()
        self._stage = min((spec.stage for spec in specs), default=0)
        self._stopping = False
        self._hurry = False
        self._token = secrets.token_hex(16)
        self._guardian: subprocess.Popen[bytes] | None = None
        self._progress: dict[str, str] = {}

    def run(self) -> None:
        """Starts all children, keeps them running, and returns when SIGINT, SIGTERM or SIGHUP has ended them."""
        with _signals(self.stop) as wake:
            self._selector.register(wake, selectors.EVENT_READ)
            try:
                self._loop(wake)
            finally:
                self._finish()

    @property
    def stopping(self) -> bool:
        """Whether the orderly end has begun."""
        return self._stopping

    def stop(self) -> None:
        """Asks for the orderly end; a second call kills what is left at once."""
        self._hurry, self._stopping = self._stopping, True

    # --- the loop -----------------------------------------------------------------------------------------------------

    def _loop(self, wake: socket.socket) -> None:
        told = False
        while True:
            self._watch_guardian()
            self._reap()
            if self._stopping:
                if not told:
                    self._say("stopping; what is being worked on is finished or kept (once more kills at once)")
                    told = True
                if not self._end_some():
                    return
            else:
                self._start_due()
                self._advance()
            for key, _ in self._selector.select(self._patience()):
                if key.fileobj is wake:
                    with contextlib.suppress(BlockingIOError):
                        wake.recv(4096)
                else:
                    self._drain(key.fd, key.data)

    def _patience(self) -> float:
        if self._stopping or self._unready():
            return _CHECK_S
        dues = [child.due for child in self._children if child.process is None and child.spec.stage <= self._stage]
        return max(0.0, min([_TICK_S, *(due - time.monotonic() for due in dues)]))

    def _unready(self) -> list[_Child]:
        return [c for c in self._children if c.spec.stage == self._stage and c.spec.ready and not c.was_ready]

    def _advance(self) -> None:
        """Opens the next stage once all of this one can be used."""
        for child in self._unready():
            doing = child.spec.ready() if child.spec.ready and child.process else "starting"
            child.was_ready = doing is None
            if doing and self._progress.get(child.spec.name) != doing:
                self._progress[child.spec.name] = doing
                if doing != "starting":
                    self._tell(child, doing)
        if not self._unready():
            later = [child.spec.stage for child in self._children if child.spec.stage > self._stage]
            if later:
                self._stage = min(later)
                self._start_due()

    def _start_due(self) -> None:
        now = time.monotonic()
        for child in self._children:
            if child.process is None and child.spec.stage <= self._stage and child.due <= now:
                self._start(child)

    # --- one child ----------------------------------------------------------------------------------------------------

    def _start(self, child: _Child) -> None:
        env = {**(os.environ if child.spec.env is None else child.spec.env), guardian.TOKEN: self._token}
        child.started = time.monotonic()
        try:
            child.process = subprocess.Popen(
                child.spec.argv,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                process_group=0,
                pass_fds=child.spec.pass_fds,
            )
        except OSError as error:
            self._plan_restart(child, f"cannot start {child.spec.argv[0]}: {error.strerror}")
            return
        self._guard(f"+ {child.process.pid} {child.spec.stage} {child.spec.stop_s}")
        assert child.process.stdout is not None
        os.set_blocking(child.process.stdout.fileno(), False)
        self._selector.register(child.process.stdout, selectors.EVENT_READ, child)

    def _reap(self) -> None:
        for child in self._children:
            process = child.process
            if process is None or process.poll() is None:
                continue
            # Whatever it started and left behind would hold its ports.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            self._guard(f"- {process.pid}")
            if process.stdout is not None and not process.stdout.closed:
                self._drain(process.stdout.fileno(), child)
            child.process = None
            if not self._stopping:
                self._plan_restart(child, f"died ({_how(process.returncode)})")

    def _plan_restart(self, child: _Child, what: str) -> None:
        pause = child.backoff.after(time.monotonic() - child.started)
        child.due = time.monotonic() + pause
        self._tell(child, f"{what}; starting it again {f'in {pause:g} s' if pause else 'now'}")

    def _end_some(self) -> bool:
        """Goes on with the orderly end, highest stage first; says whether there is still something running."""
        running = [child for child in self._children if child.process is not None]
        last = max((child.spec.stage for child in running), default=0)
        for child in running:
            if child.process is None or (child.spec.stage < last and not self._hurry):
                continue
            now = time.monotonic()
            if child.asked_to_stop is None and not self._hurry:
                child.asked_to_stop = now
                child.process.terminate()
            elif self._hurry or now - (child.asked_to_stop or now) > child.spec.stop_s:
                if not self._hurry:
                    self._tell(child, f"did not end within {child.spec.stop_s:g} s; killing it")
                    child.asked_to_stop = now  # say it once more only after another such while
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.process.pid, signal.SIGKILL)
        return bool(running)

    # --- output -------------------------------------------------------------------------------------------------------

    def _drain(self, fd: int, child: _Child) -> None:
        try:
            data = os.read(fd, _LONGEST_LINE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        buffered = child.tail.pop(fd, b"") + data
        *lines, rest = buffered.split(b"\n")
        if rest and (not data or len(rest) > _LONGEST_LINE):
            lines, rest = [*lines, rest], b""
        for line in lines:
            text = line.decode("utf-8", "replace").rstrip("\r")
            if child.spec.keep_line(text):
                self._tell(child, text)
        if rest:
            child.tail[fd] = rest
        if not data:
            key = self._selector.get_map().get(fd)
            if key is not None:
                self._selector.unregister(fd)
                key.fileobj.close()  # type: ignore[union-attr]

    def _tell(self, child: _Child, text: str) -> None:
        self._say(f"{child.spec.name:<{self._width}} | {text}")

    # --- guardian, signals, end ---------------------------------------------------------------------------------------

    def _watch_guardian(self) -> None:
        if self._guardian is not None and self._guardian.poll() is None:
            return
        self._guardian = subprocess.Popen(
            [sys.executable, "-I", "-S", guardian.__file__, self._token],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=self._keep_fds,
        )
        for child in self._children:
            if child.process is not None:
                self._guard(f"+ {child.process.pid} {child.spec.stage} {child.spec.stop_s}")

    def _guard(self, line: str) -> None:
        assert self._guardian is not None
        assert self._guardian.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died; the loop starts another and tells it everything
            self._guardian.stdin.write(line.encode() + b"\n")
            self._guardian.stdin.flush()

    def _finish(self) -> None:
        for child in self._children:  # only after an error of the supervisor's own is anything left here
            if child.process is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.process.pid, signal.SIGKILL)
                child.process.wait()
        for key in list(self._selector.get_map().values()):
            if isinstance(key.data, _Child):
                self._drain(key.fd, key.data)
                if key.fd in self._selector.get_map():
                    self._selector.unregister(key.fd)
                    key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()
        if self._guardian is not None and self._guardian.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._guardian.stdin.close()
            self._guardian.wait()


@contextlib.contextmanager
def _signals(stop: Callable[[], None]) -> Iterator[socket.socket]:
    """Calls `stop` on SIGINT, SIGTERM and SIGHUP; the socket wakes a select on these and when a child dies."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)

    def handle(number: int, frame: FrameType | None) -> None:
        if number != signal.SIGCHLD:
            stop()

    before = {n: signal.signal(n, handle) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)}
    wakeup = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    try:
        yield ours
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        ours.close()
        theirs.close()


def _how(code: int) -> str:
    if code >= 0:
        return f"exit status {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
