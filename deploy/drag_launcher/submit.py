"""`drag submit`: posts pictures to the API, and waits for what is in them when asked to."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import shtab

from drag_launcher.client import ApiError, Client
from drag_launcher.plan import api_address
from drag_shared.cli import EXIT_FAILED, EXIT_OK, Subparsers
from drag_shared.config import load_settings


def register(subparsers: Subparsers) -> None:
    """Adds the command."""
    parser = subparsers.add_parser("submit", help="post pictures to the API")
    files = parser.add_argument("files", metavar="FILE", nargs="+", type=Path, help="a picture")
    files.complete = shtab.FILE  # how shtab is told
    parser.add_argument("--wait", action="store_true", help="wait for the results; exit 1 unless all are done")
    parser.add_argument("--timeout", type=float, default=120, metavar="SECONDS", help="longest wait for one (120)")
    parser.add_argument("--json", action="store_true", help="print each job as one line of JSON")
    parser.add_argument("--api", metavar="URL", help="address of the API (DRAG_API_URL, or this machine's)")
    parser.add_argument("--pipeline", help="which pipeline looks at them")
    parser.add_argument("--min-score", type=float, help="leave out what scores less")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Posts all, then waits for all; one that fails does not keep the others."""
    settings = load_settings()
    client = Client(args.api or settings.api_url or api_address(settings))
    code = EXIT_OK
    posted: list[tuple[Path, dict[str, Any]]] = []
    for path in args.files:
        try:
            posted.append((path, client.submit(path, args.pipeline, args.min_score)))
        except ApiError as error:
            print(f"drag: {path}: {error}", file=sys.stderr)
            code = EXIT_FAILED
    for path, job in posted:
        try:
            ended = client.result(job["id"], args.timeout) if args.wait else job
        except ApiError as error:
            print(f"drag: {path}: {error}", file=sys.stderr)
            code = EXIT_FAILED
            continue
        print(json.dumps(ended) if args.json else line(path, ended, client.address(job["id"])), flush=True)
        if args.wait and ended["status"] != "done":
            code = EXIT_FAILED
    return code


def line(path: Path, job: dict[str, Any], address: str) -> str:
    """What became of a picture, for people."""
    status = job["status"]
    if status == "done":
        result = job.get("result") or {}
        found = [f"{g['kind']} {g['score']:.2f}" for g in result.get("gauges", [])]
        found += [f"{d['label']} {d['score']:.2f}" for d in result.get("detections", [])]
        return f"{path}: {', '.join(found) or 'nothing found'}  {address}"
    error = job.get("error") or {}
    why = f": {error.get('detail')}" if error.get("detail") else ""
    return f"{path}: {status}{why}  {address}"
