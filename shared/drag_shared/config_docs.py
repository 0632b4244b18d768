"""Writes what is generated from the settings: the example file and the page of the documentation (`make docs`)."""

from __future__ import annotations

from pathlib import Path

from drag_shared.config import ENV_FILE, Settings, variable

EXAMPLE = Path("deploy/drag.env.example")
PAGE = Path("docs/configuration.md")

_EXAMPLE_HEAD = f"""\
# Every setting of DRAG with its default. Written by `make docs`; a test keeps it complete.
# Copy it, take the # off what you change, and name the copy: {ENV_FILE}=drag.env make run
# What the environment itself sets wins over the file. `drag config` prints what is in force.
"""
_PAGE_HEAD = f"""\
# Configuration

<!-- Written by `make docs` from drag_shared/config.py. -->

DRAG is configured by `DRAG_*` variables alone. Each service reads them once, at its start. A name that is not known,
or a value that is not allowed, is refused with the nearest right name or the fix. `drag config` prints what is in force
and where it comes from, with passwords masked; `drag config --describe` says what each is for; `drag doctor` checks
that they fit the machine and Redis.

The variables can also stand in a file that `{ENV_FILE}` names; the environment wins over it.
[`deploy/drag.env.example`](../deploy/drag.env.example) is such a file with every setting. Sizes are bytes, or numbers
with `KiB`, `MiB` or `GiB`.

| variable | default | meaning |
|---|---|---|
"""


def default_of(name: str) -> str:
    """A setting's default as text."""
    return str(Settings.model_fields[name].default)


def example() -> str:
    """Text of the example file."""
    parts = [_EXAMPLE_HEAD]
    for name, field in Settings.model_fields.items():
        parts.append(f"\n# {field.description}\n#{variable(name)}={default_of(name)}\n")
    return "".join(parts)


def page() -> str:
    """Text of the documentation's page."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = f"`{default_of(name)}`" if default_of(name) else "(empty)"
        rows.append(f"| `{variable(name)}` | {default} | {(field.description or '').replace('|', chr(92) + '|')} |\n")
    return _PAGE_HEAD + "".join(rows)


def main() -> None:
    """Writes both, below the current directory."""
    for path, text in ((EXAMPLE, example()), (PAGE, page())):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
