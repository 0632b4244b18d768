"""`drag completion`: prints what makes a shell complete the command."""

from __future__ import annotations

import argparse

import shtab

from drag_shared.cli import EXIT_OK, Subparsers, build_parser

SHELLS = ("bash", "zsh", "fish")
_USE = {
    "bash": 'eval "$(drag completion bash)"',
    "zsh": 'eval "$(drag completion zsh)"',
    "fish": "drag completion fish | source",
}


def register(subparsers: Subparsers) -> None:
    """Adds the command."""
    uses = "\n".join(f"  {shell}: {use}" for shell, use in _USE.items())
    parser = subparsers.add_parser(
        "completion",
        help="print shell completion for bash, zsh or fish",
        description=f"Prints shell completion. Turn it on with\n{uses}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=SHELLS)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints the script."""
    parser = build_parser()
    print(fish(parser) if args.shell == "fish" else shtab.complete(parser, args.shell))
    return EXIT_OK


def fish(parser: argparse.ArgumentParser) -> str:
    """Completion for fish, from the same parser (shtab writes the other shells')."""
    lines = ["complete -c drag -f"]
    for action in parser._actions:
        if not isinstance(action, argparse._SubParsersAction):
            continue
        helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
        for name, sub in action.choices.items():
            lines.append(f"complete -c drag -n __fish_use_subcommand -a {name} -d {_quote(helps.get(name, ''))}")
            lines.extend(_options(name, sub))
    return "\n".join(lines)


def _options(command: str, parser: argparse.ArgumentParser) -> list[str]:
    lines = []
    for action in parser._actions:
        there = f"complete -c drag -n '__fish_seen_subcommand_from {command}'"
        choices = f" -a {_quote(' '.join(map(str, action.choices)))}" if action.choices is not None else ""
        if not action.option_strings:
            lines.append(f"{there}{choices}" if choices else f"{there} -F")
            continue
        flags = "".join(
            f" {'-l' if flag.startswith('--') else '-s'} {flag.lstrip('-')}" for flag in action.option_strings
        )
        value = " -r" if action.nargs != 0 else ""
        lines.append(f"{there}{flags}{value}{choices} -d {_quote(action.help or '')}")
    return lines


def _quote(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
