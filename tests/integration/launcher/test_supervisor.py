"""The supervisor with real processes: restart, backoff, orderly end, and no orphan whatever is killed."""

from __future__ import annotations

import signal
import socket
import time
from pathlib import Path

import pytest
from tests.support.servers import free_port
from tests.support.supervised import child, eventually, exists, host, kill, pid_in

pytestmark = pytest.mark.integration

SLEEPER = "import os, signal; print('up', os.getpid()); signal.pause()"
STUBBORN = """
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", os.getpid())
while True:
    signal.pause()
"""
FAREWELL = """
import os, signal, sys
signal.signal(signal.SIGTERM, lambda *_: (print("bye"), sys.exit()))
print("up", os.getpid())
signal.pause()
"""
TALKER = "import signal; [print('x' * 999) for _ in range(3000)]; print('all said'); signal.pause()"
# A server whose own child holds the port: what a killed gunicorn leaves behind.
FORKING = """
import os, signal, socket, sys
line = socket.socket()
line.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
line.bind(("127.0.0.1", {port}))
line.listen()
if os.fork() == 0:
    os.write(1, b"forked %d\\n" % os.getpid())
    signal.pause()
os.write(1, b"up %d\\n" % os.getpid())
signal.pause()
"""


def can_listen(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def test_lines_of_children_carry_their_names() -> None:
    with host(child("short", SLEEPER), child("a-longer-name", SLEEPER)) as running:
        names = {running.until("| up ").partition("up")[0] for _ in range(2)}
        running.end()
    assert names == {"short         | ", "a-longer-name | "}


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_all_in_order_with_status_0(how: signal.Signals) -> None:
    with host(child("a", SLEEPER), child("b", SLEEPER)) as running:
        pids = [pid_in(running.until("up")) for _ in "ab"]
        assert running.end(how) == 0
    assert running.seen[-1] == "supervisor ended"
    assert not any(map(exists, pids))


def test_a_child_that_is_killed_is_started_again_at_once() -> None:
    with host(child("a", SLEEPER)) as running:
        first = pid_in(running.until("up"))
        started = time.monotonic()
        kill(first)
        assert "SIGKILL); starting it again now" in running.until("died")
        assert pid_in(running.until("up")) != first
        assert time.monotonic() - started < 10  # some 50 ms alone; other work may share the cores
        running.end()


def test_a_child_that_keeps_dying_is_started_after_growing_pauses_without_end() -> None:
    with host(child("a", "raise SystemExit(3)")) as running:
        pauses = [running.until("died (exit status 3)").rpartition("again ")[2] for _ in range(5)]
        running.end()
    assert pauses == ["now", "in 0.2 s", "in 0.4 s", "in 0.4 s", "in 0.4 s"]


def test_a_child_that_lived_a_while_is_started_at_once_again() -> None:
    with host(child("a", "import time; time.sleep(1.2); raise SystemExit(3)")) as running:
        assert "now" in running.until("died")
        assert "now" in running.until("died")
        running.end()


def test_a_program_that_is_not_there_is_told_and_does_no_harm_to_others() -> None:
    with host({"name": "a", "argv": ["/no/such/program"]}, child("b", SLEEPER)) as running:
        running.until("cannot start /no/such/program: No such file or directory")
        pid = next((pid_in(line) for line in running.seen if "up" in line), None) or pid_in(running.until("up"))
        assert exists(pid)
        assert running.end() == 0


def test_what_a_dead_child_left_behind_is_ended_so_that_its_port_is_free() -> None:
    port = free_port()
    with host(child("server", FORKING.format(port=port))) as running:
        pids = {line.split()[-2]: pid_in(line) for line in (running.until("| "), running.until("| "))}
        kill(pids["up"])
        running.until("died (SIGKILL)")
        running.until("up")  # it could listen again
        assert not exists(pids["forked"])
        running.end()
    assert can_listen(port)


def test_a_child_that_ignores_sigterm_is_killed_after_its_time() -> None:
    with host(child("a", STUBBORN, stop_s=0.5), child("b", SLEEPER)) as running:
        pids = [pid_in(running.until("up")) for _ in "ab"]
        started = time.monotonic()
        assert running.end() == 0
        assert 0.4 < time.monotonic() - started < 10
    assert any("did not end within 0.5 s; killing it" in line for line in running.seen)
    assert not any(map(exists, pids))


def test_a_second_signal_kills_at_once() -> None:
    with host(child("a", STUBBORN, stop_s=600)) as running:
        pid = pid_in(running.until("up"))
        running.process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert running.process.poll() is None
        assert running.end(signal.SIGINT) == 0
    assert not exists(pid)


def test_stages_start_when_the_lower_is_ready_and_stop_before_it(tmp_path: Path) -> None:
    go = tmp_path / "go"
    with host(child("base", FAREWELL, stage=0, ready_file=str(go)), child("top", FAREWELL, stage=1)) as running:
        seen = {running.until("base | ").split()[2] for _ in range(2)}
        assert seen == {"up", "loading"}
        assert not any("top" in line for line in running.seen)
        go.touch()
        running.until("top  | up")
        running.end()
    assert [line for line in running.seen if "bye" in line] == ["top  | bye", "base | bye"]


def test_output_without_a_last_newline_and_of_any_bytes_is_shown() -> None:
    with host(child("a", r"import os; os.write(1, b'\xff\xfe tail'); raise SystemExit(1)")) as running:
        assert running.until("tail") == "a | \ufffd\ufffd tail"
        running.end()


def test_much_output_does_not_block_a_child() -> None:
    with host(child("a", TALKER)) as running:
        running.until("all said")
        running.end()
    assert sum("xxx" in line for line in running.seen) == 3000


def test_killing_the_supervisor_leaves_no_orphan_and_no_port() -> None:
    port = free_port()
    with host(child("server", FORKING.format(port=port), stop_s=2), child("b", STUBBORN, stop_s=0.5)) as running:
        pids = [pid_in(running.until("| ")) for _ in range(3)]
        running.process.kill()
        running.process.wait(timeout=10)
        assert eventually(lambda: not any(map(exists, pids)))
    assert can_listen(port)


def test_a_killed_guardian_is_replaced_and_the_new_one_still_guards() -> None:
    with host(child("a", SLEEPER)) as running:
        pid = pid_in(running.until("up"))
        first = guardian_of(running.process.pid)
        kill(first)
        assert eventually(lambda: (guardian_of(running.process.pid) or first) != first)
        running.process.kill()
        running.process.wait(timeout=10)
        assert eventually(lambda: not exists(pid))


def guardian_of(pid: int) -> int:
    """The guardian's pid, or 0 while there is none."""
    for tid in Path(f"/proc/{pid}/task").iterdir():
        for word in (tid / "children").read_text().split():
            command = Path(f"/proc/{word}/cmdline")
            if exists(int(word)) and b"guardian" in command.read_bytes():
                return int(word)
    return 0
