"""`drag audit`: does the ledger close?"""

import argparse
import json
from dataclasses import asdict

from drag_shared.audit import audit
from drag_shared.cli import EXIT_FAILED, EXIT_OK, Subparsers
from drag_shared.config import load_settings
from drag_shared.jobs import JobStore
from drag_shared.queues import ENDINGS


def register(subparsers: Subparsers) -> None:
    """Adds the command."""
    parser = subparsers.add_parser("audit", help="compare the ledger with records and streams; exit 1 if it is off")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints the ledger of each partition, and every job that breaks it."""
    store = JobStore.open(load_settings())
    try:
        report = audit(store)
    finally:
        store.close()
    if args.json:
        print(json.dumps({"closes": report.closes, "partitions": [asdict(one) for one in report.partitions]}, indent=2))
        return EXIT_OK if report.closes else EXIT_FAILED
    for one in report.partitions:
        counted = one.ledger.counters
        left = " + ".join(f"{counted.get(name, 0)} {name}" for name in ("accepted", "requeued"))
        right = " + ".join(f"{counted.get(name, 0)} {name}" for name in ENDINGS)
        print(f"partition {one.partition}: {left} = {right} + {one.ledger.open} open")
    for problem in report.problems:
        print(f"  {problem}")
    print("the ledger closes" if report.closes else "the ledger does not close")
    return EXIT_OK if report.closes else EXIT_FAILED
