"""`drag config`: every setting, its value and where that comes from, secrets masked."""

from __future__ import annotations

import argparse
import json

from drag_shared.cli import EXIT_OK, Subparsers
from drag_shared.config import Settings, load_settings, printable, read_environment, variable


def register(subparsers: Subparsers) -> None:
    """Adds the command."""
    parser = subparsers.add_parser("config", help="print every setting, its value and where it comes from")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument("--describe", action="store_true", help="say what each is for")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints the settings in force."""
    settings = load_settings()
    _, sources = read_environment()
    rows = [
        {"name": variable(name), "value": value, "source": sources.get(name, "default")}
        for name, value in printable(settings).items()
    ]
    if args.json:
        print(json.dumps(rows, indent=2))
        return EXIT_OK
    name_width = max(len(str(row["name"])) for row in rows)
    value_width = max(len(str(row["value"])) for row in rows)
    for row, field in zip(rows, Settings.model_fields.values(), strict=True):
        if args.describe:
            print(f"# {field.description}")
        print(f"{row['name']:<{name_width}}  {row['value']!s:<{value_width}}  {row['source']}")
    return EXIT_OK
