"""`drag dead`: the dead letters, listed, tried anew or dropped."""

import argparse
import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime

from drag_shared.cli import EXIT_OK, Subparsers
from drag_shared.config import load_settings
from drag_shared.jobs import JobStore
from drag_shared.records import DeadLetter


def register(subparsers: Subparsers) -> None:
    """Adds the command."""
    parser = subparsers.add_parser("dead", help="list dead letters, try them anew, or drop them")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="list them, newest first")
    listing.add_argument("--limit", type=int, default=50, help="at most so many (default: 50)")
    listing.add_argument("--json", action="store_true", help="as JSON, with their histories and messages (base64)")
    listing.set_defaults(run=run_list)
    for action, text, run in (
        ("requeue", "try them anew, their attempts counted from zero", run_requeue),
        ("drop", "take them and their pictures away for good", run_drop),
    ):
        parser = actions.add_parser(action, help=text)
        chosen = parser.add_mutually_exclusive_group(required=True)
        chosen.add_argument("ids", nargs="*", default=[], metavar="ID", help="ids that `drag dead list` shows")
        chosen.add_argument("--all", action="store_true", help="all that are there now")
        parser.set_defaults(run=run)


def run_list(args: argparse.Namespace) -> int:
    """Prints dead letters."""
    store = JobStore.open(load_settings())
    letters, _ = store.dead_letters(max(1, args.limit))
    if args.json:
        print(json.dumps([_as_json(letter) for letter in letters], indent=2))
        return EXIT_OK
    for letter in letters:
        when = datetime.fromtimestamp(letter.dead_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        print(
            f"{letter.id}  {when}  {letter.stream}  job {letter.job_id or '-'}  {letter.attempts} tries: {letter.cause}"
        )
    if not letters:
        print("no dead letters")
    return EXIT_OK


def run_requeue(args: argparse.Namespace) -> int:
    """Tries dead letters anew."""
    store = JobStore.open(load_settings())
    for dead_id in _chosen(store, args):
        print(f"requeued job {store.requeue(dead_id).id}")
    return EXIT_OK


def run_drop(args: argparse.Namespace) -> int:
    """Drops dead letters."""
    store = JobStore.open(load_settings())
    for dead_id in _chosen(store, args):
        store.drop(dead_id)
        print(f"dropped {dead_id}")
    return EXIT_OK


def _chosen(store: JobStore, args: argparse.Namespace) -> list[str]:
    return [letter.id for letter in _all(store)] if args.all else list(args.ids)


def _all(store: JobStore) -> Iterator[DeadLetter]:
    letters, cursor = store.dead_letters(500)
    yield from letters
    while cursor is not None:
        letters, cursor = store.dead_letters(500, cursor)
        yield from letters


def _as_json(letter: DeadLetter) -> dict[str, object]:
    return {
        "id": letter.id,
        "job_id": letter.job_id or None,
        "stream": letter.stream,
        "part": letter.part,
        "cause": letter.cause,
        "attempts": letter.attempts,
        "size_bytes": letter.size_bytes,
        "dead_ms": letter.dead_ms,
        "history": letter.history,
        "message": base64.b64encode(letter.message).decode(),
    }
