"""Job ids: ``<partition>-<ULID>``, so that an id alone tells where its job lives and when it was accepted.

The ULID (https://github.com/ulid/spec) is 48 bits of milliseconds and 80 random bits in Crockford's base 32, in lower
case: ids of one partition sort by time.
"""

import re
import secrets
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_VALUE = {character: value for value, character in enumerate(_ALPHABET)}
_PATTERN = re.compile(rf"(0|[1-9][0-9]{{0,3}})-([0-7][{_ALPHABET}]{{25}})\Z")


def new_job_id(partition: int, now_ms: int | None = None) -> str:
    """A new id in ``partition``; ``now_ms`` (Unix time) is for tests."""
    stamp_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    number = stamp_ms << 80 | secrets.randbits(80)
    return f"{partition}-" + "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))


def parse_job_id(job_id: str) -> tuple[int, int] | None:
    """``(partition, created_ms)`` of an id, or None when it is not one."""
    match = _PATTERN.match(job_id)
    if match is None:
        return None
    stamp_ms = 0
    for character in match[2][:10]:
        stamp_ms = stamp_ms << 5 | _VALUE[character]
    return int(match[1]), stamp_ms
