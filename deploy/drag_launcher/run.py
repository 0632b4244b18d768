"""`drag run`: starts everything on this machine and keeps it running until Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import threading
from importlib.metadata import version

from drag_launcher import instance
from drag_launcher.plan import api_address, children, page_address
from drag_launcher.processes import port_holder, port_is_free
from drag_launcher.readiness import Watcher
from drag_launcher.supervisor import Supervisor
from drag_shared.cli import EXIT_OK, Subparsers
from drag_shared.config import Settings, load_settings, mask_url, variable
from drag_shared.errors import ConfigError

_GUARDIAN_SLACK_S = 45.0


def register(subparsers: Subparsers) -> None:
    """Adds the command."""
    parser = subparsers.add_parser("run", help="start the services and, when no Redis is set, an embedded one")
    parser.add_argument("--stop-at-eof", action="store_true", help="stop when standard input ends (with a parent)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Runs until SIGINT, SIGTERM or SIGHUP."""
    settings = load_settings()
    say = Printer()
    say(f"DRAG {version('drag')}")
    lock = None
    if not settings.redis_url:
        lock = instance.take(settings, page_address(settings), say, settings.drain_s + _GUARDIAN_SLACK_S)
    try:
        check_ports(settings)
        specs = children(settings, lock)
        say(f"starting {', '.join(spec.name for spec in specs)}")
        supervisor = Supervisor(specs, say, keep_fds=() if lock is None else (lock,))
        watcher = Watcher(
            api_address(settings),
            lambda text: None if supervisor.stopping else say(text),
            lambda seconds: say(welcome(settings, seconds)),
        )
        watcher.start()
        if args.stop_at_eof:
            threading.Thread(target=_stop_at_eof, args=(supervisor,), name="stdin", daemon=True).start()
        try:
            supervisor.run()
        finally:
            watcher.stop()
        say("stopped; jobs are kept for the next start" if lock is not None else "stopped")
    finally:
        if lock is not None:
            os.close(lock)
    return EXIT_OK


def _stop_at_eof(supervisor: Supervisor) -> None:
    with contextlib.suppress(OSError, ValueError):
        while os.read(sys.stdin.fileno(), 4096):
            pass
    if not supervisor.stopping:  # a second request would be a hurry
        os.kill(os.getpid(), signal.SIGTERM)


def check_ports(settings: Settings) -> None:
    """Makes sure that the ports are free, before anything starts.

    Raises:
        ConfigError: one is taken; the text says by whom and which setting moves ours.
    """
    for field in ("api_port", "viewer_port"):
        port: int = getattr(settings, field)
        try:
            if port_is_free(settings.host, port):
                continue
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {settings.host} port {port} ({error.strerror or error});"
                f" set DRAG_HOST or {variable(field)}"
            ) from error
        holder = port_holder(port)
        by = f"by {holder}" if holder else "by a process that is not visible to this user"
        raise ConfigError(f"port {port} is taken ({by}); stop it, or set {variable(field)}={port + 10}")


def welcome(settings: Settings, seconds: float) -> str:
    """What is shown once a picture posted now would be worked on."""
    kept = f"jobs in {settings.data_dir}" if not settings.redis_url else f"jobs in {mask_url(settings.redis_url)}"
    return "\n".join(
        (
            f"ready after {seconds:.1f} s",
            "",
            f"  page   {page_address(settings)}",
            f"  API    {api_address(settings)}  (its description: {api_address(settings)}/docs)",
            f"  try    curl -F file=@photo.jpg {api_address(settings)}/predict",
            f"  {kept}; Ctrl-C stops everything",
            "",
        )
    )


class Printer:
    """Prints whole lines, from any thread; a terminal that went away does no harm."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __call__(self, text: str) -> None:
        """Shows one or more lines."""
        with self._lock, contextlib.suppress(OSError, ValueError):
            sys.stdout.write(text + "\n")
            sys.stdout.flush()
