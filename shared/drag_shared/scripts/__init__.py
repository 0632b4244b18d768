"""The Lua scripts: each step of a job is one of them, atomic and idempotent, in one round trip."""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Script:
    """A script's whole source (shebang line, what all share, its own body) and the SHA-1 that Redis knows it by."""

    source: str
    sha: str


@cache
def load(name: str) -> Script:
    """The script ``<name>.lua`` of this folder."""
    folder = files(__name__)
    shebang, body = (folder / f"{name}.lua").read_text("utf-8").split("\n", 1)
    source = f"{shebang}\n{(folder / 'lib.lua').read_text('utf-8')}\n{body}"
    return Script(source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())
