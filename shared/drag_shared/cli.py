"""The `drag` command: finds its subcommands through the entry points `drag.commands`."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import EntryPoint, entry_points, version
from typing import Any

from drag_shared.errors import DragError

GROUP = "drag.commands"
EXIT_OK = 0
EXIT_FAILED = 1
"""The command did its work and the answer is no, or an error that it names."""
EXIT_USAGE = 2
"""The command line is wrong (argparse's own)."""
EXIT_INTERRUPTED = 130

Subparsers = Any
"""What a command's `register` is given; call `add_parser(name, help=...)` and `set_defaults(run=function)` on it.

The function takes the parsed arguments and returns the exit code.
"""


def build_parser(commands: Iterable[EntryPoint] | None = None) -> argparse.ArgumentParser:
    """Puts the parser together from all commands that are installed.

    Args:
        commands: entry points that name a module with `register(subparsers)`; the installed ones when not given.
    """
    parser = argparse.ArgumentParser(prog="drag", description="DRAG finds gauges in photos and reads them.")
    parser.add_argument("--version", action="version", version=f"drag {version('drag')}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in sorted(entry_points(group=GROUP) if commands is None else commands, key=lambda c: c.name):
        _register(command, subparsers)
    return parser


def _register(command: EntryPoint, subparsers: Subparsers) -> None:
    try:
        module = importlib.import_module(command.module)
    except ModuleNotFoundError as error:
        if error.name != command.module:  # something that the command needs is missing: that must be heard
            raise
        return
    module.register(subparsers)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: arguments without the program's name; the process's own when not given.

    Returns:
        The exit code: 0 well, 1 an error that was printed as one line or an answer of no, 2 wrong usage, 130 Ctrl-C.
    """
    try:
        args = build_parser().parse_args(argv)
        code: int = args.run(args)
    except DragError as error:
        print(f"drag: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # `drag ... | head`
        sys.stderr.close()
        return EXIT_OK
    return code


if __name__ == "__main__":
    sys.exit(main())
