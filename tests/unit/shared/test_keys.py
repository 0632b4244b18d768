"""One module names every key: its table is complete, and no script touches a key that is not in it."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest
from redis.crc import key_slot

from drag_shared import keys, scripts
from drag_shared.keys import SCRIPT_KEYS, PartitionKeys

FOLDER = files(scripts)
SCRIPTS = sorted(file.name.removesuffix(".lua") for file in FOLDER.iterdir() if file.name.endswith(".lua"))
STEPS = [name for name in SCRIPTS if name != "lib"]


def source(name: str) -> str:
    return (FOLDER / f"{name}.lua").read_text("utf-8")


def table() -> dict[str, str]:
    """Short name -> type, from the docstring's tables."""
    assert keys.__doc__ is not None
    return dict(re.findall(r"^``([a-z]+:?)\S*``\s+(string|hash|zset|set|stream|channel)\b", keys.__doc__, re.M))


def test_the_table_names_every_key_and_no_other() -> None:
    known = {name for name in SCRIPT_KEYS if name} | {"uploads", "frames:"}
    assert set(table()) == known | {"workers", "partitions"}
    assert keys.frames_stream("m") == "frames:m"
    assert keys.WORKERS == "drag:{control}:workers"
    assert keys.PARTITIONS == "drag:{control}:partitions"


@pytest.mark.parametrize("name", SCRIPT_KEYS)
def test_every_key_of_a_partition_is_in_one_slot(name: str) -> None:
    some = PartitionKeys(2)
    assert key_slot(some.key(name).encode()) == key_slot(some.key("open").encode())


@pytest.mark.parametrize("masters", [3, 4])
def test_the_first_partitions_fall_on_as_many_masters(masters: int) -> None:
    slots = [key_slot(PartitionKeys(number).key("open").encode()) for number in range(masters)]
    assert sorted(slot * masters // 16384 for slot in slots) == list(range(masters))


def test_scripts_get_the_keys_in_the_order_in_which_the_library_names_them() -> None:
    named = re.findall(r"(\w+) = KEYS\[(\d+)\]", source("lib"))
    assert [(name, int(place)) for name, place in named] == [
        (name.removesuffix(":") or "prefix", place) for place, name in enumerate(SCRIPT_KEYS, 1)
    ]
    assert PartitionKeys(0).for_scripts() == [PartitionKeys(0).key(name) for name in SCRIPT_KEYS]


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_script_touches_a_key_that_the_table_lacks(name: str) -> None:
    """Each key expression is `K.<name>`, `K.<prefix> .. x`, or a local that was made of one."""
    text = re.sub(r"--.*", "", source(name))
    assert set(re.findall(r"\bK\.(\w+)", text)) <= {key.removesuffix(":") or "prefix" for key in SCRIPT_KEYS}
    for command, key in re.findall(r"(?:call|redis\.call|redis\.pcall)\('(\w+)'(?:, '\w+')?, ([^,)]+)", text):
        if command in ("TIME", "PUBLISH"):
            continue
        local = key.strip().split(" ")[0]
        made = rf"local (?:\w+, )*{local}\b[^\n]*= [^\n]*K\.|function \w+\([^)]*\b{local}\b|for _?\w*,? ?{local} in"
        assert key.strip().startswith("K.") or re.search(made, text), f"{name}.lua: {command} {key}"
    if name != "lib":
        assert "KEYS[" not in text
        assert "'drag:" not in text


@pytest.mark.parametrize("name", STEPS)
def test_each_script_says_what_it_may_do_and_what_it_takes(name: str) -> None:
    """A shebang (else a cross-slot access passes on one node), flags, and a header."""
    first, *rest = source(name).split("\n")
    takes_in = {"accept", "requeue"}
    reads = {"headers", "records", "ledger"}
    wanted = "#!lua" if name in takes_in else "#!lua flags=no-writes" if name in reads else "#!lua flags=allow-oom"
    assert first == wanted, "what finishes work goes on at maxmemory; what takes work in does not"
    assert rest[0].startswith(f"-- {name}: ")
    assert any(line.startswith("-- answer: ") for line in rest[:8])
    requested = set(re.findall(r"\brequest\.(\w+)", source(name)))
    header = " ".join(line for line in rest[:8] if line.startswith("--"))
    assert not [field for field in requested if field not in header], "the header names every field of the request"


def test_sources_carry_the_library_once_and_the_sha_of_the_whole() -> None:
    import hashlib

    for name in STEPS:
        script = scripts.load(name)
        assert script.source.startswith("#!lua")
        assert script.source.count("local K = {") == 1
        assert script.sha == hashlib.sha1(script.source.encode(), usedforsecurity=False).hexdigest()
