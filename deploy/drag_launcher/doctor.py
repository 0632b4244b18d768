"""`drag doctor`: checks this machine, and says the fix for whatever is not right."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Iterator

from drag_launcher import checks, redis_checks
from drag_launcher.checks import Check, Finding
from drag_shared.cli import EXIT_FAILED, EXIT_OK, Subparsers
from drag_shared.config import Settings, load_settings
from drag_shared.errors import ConfigError

CHECKS: tuple[Check, ...] = (
    checks.python,
    checks.ports,
    redis_checks.server,
    checks.memory,
    checks.disk,
    checks.models,
    checks.backends,
    checks.running,
)
_MARK = {"ok": "ok     ", "warning": "WARNING", "error": "ERROR  "}


def register(subparsers: Subparsers) -> None:
    """Adds the command."""
    parser = subparsers.add_parser("doctor", help="check this machine and say what to fix")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Exit status 1 when something will not work; warnings do not count."""
    findings = list(examine())
    if args.json:
        print(json.dumps([dataclasses.asdict(finding) for finding in findings], indent=2))
    else:
        print("\n".join(lines(findings)))
    return EXIT_FAILED if any(finding.level == "error" for finding in findings) else EXIT_OK


def examine() -> Iterator[Finding]:
    """All findings; with settings that cannot be read, those of the default ones."""
    try:
        settings = load_settings()
        yield Finding("settings", "ok", "right (`drag config` prints them)")
    except ConfigError as error:
        yield Finding("settings", "error", str(error), "correct it; below, the default settings are checked")
        settings = Settings()
    for check in CHECKS:
        yield from check(settings)


def lines(findings: list[Finding]) -> Iterator[str]:
    """The findings for people."""
    width = max(len(finding.what) for finding in findings)
    for finding in findings:
        yield f"{_MARK[finding.level]}  {finding.what:<{width}}  {finding.saw}"
        if finding.fix:
            yield f"{'':<{width + 11}}fix: {finding.fix}"
