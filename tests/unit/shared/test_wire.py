"""Messages survive the round trip, and nothing that is not one gets through."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import hypothesis.strategies as st
import msgpack
import pytest
from hypothesis import given

from drag_shared import wire
from drag_shared.errors import NewerWireError, WireError
from drag_shared.wire import FrameMessage, UploadMessage, pack, unpack

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
COUNT = st.integers(0, 2**63)
SCORE = st.none() | st.floats(allow_nan=False)
FRAMES = st.builds(
    FrameMessage,
    media_type=TEXT,
    width_px=COUNT,
    height_px=COUNT,
    orientation=st.integers(1, 8),
    size_bytes=COUNT,
    min_score=SCORE,
)
UPLOADS = st.builds(UploadMessage, pipeline=TEXT, size_bytes=COUNT, min_score=SCORE)
FRAME = FrameMessage("image/jpeg", 640, 480, 6, 1000, 0.5)


@given(FRAMES | UPLOADS)
def test_every_message_survives_the_round_trip(message: wire.Message) -> None:
    assert unpack(pack(message)) == message


@given(st.binary(max_size=200))
def test_rubbish_is_an_error_that_carries_its_bytes(data: bytes) -> None:
    with pytest.raises(WireError) as error:
        unpack(data)
    assert error.value.data == data


@given(st.integers(0, len(pack(FRAME)) - 1))
def test_a_cut_message_is_broken(length: int) -> None:
    with pytest.raises(WireError):
        unpack(pack(FRAME)[:length])


@given(st.integers(0, len(pack(FRAME)) - 1), st.integers(1, 255))
def test_a_flipped_byte_never_raises_anything_else(place: int, mask: int) -> None:
    data = bytearray(pack(FRAME))
    data[place] ^= mask
    try:
        message = unpack(bytes(data))
    except WireError:
        return
    assert isinstance(message, FrameMessage | UploadMessage)


def frame(**changes: Any) -> bytes:
    values = {"v": wire.VERSION, "kind": "frame", **asdict(FRAME), **changes}
    packed: bytes = msgpack.packb({name: value for name, value in values.items() if value is not ...})
    return packed


@pytest.mark.parametrize(
    "changes",
    [
        {"v": ...},
        {"v": 0},
        {"v": -1},
        {"v": "1"},
        {"v": 1.0},
        {"v": True},
        {"v": None},
        {"kind": ...},
        {"kind": "reading"},
        {"kind": ["frame"]},
        {"kind": b"frame"},
        {"media_type": ...},
        {"media_type": 3},
        {"media_type": b"image/jpeg"},
        {"width_px": "640"},
        {"width_px": 640.0},
        {"width_px": True},
        {"width_px": None},
        {"min_score": 1},
        {"min_score": "0.5"},
        {"colour": "red"},
        {"pipeline": "gauges"},
    ],
    ids=str,
)
def test_what_is_not_as_agreed_is_broken(changes: dict[str, Any]) -> None:
    assert unpack(frame()) == FRAME
    with pytest.raises(WireError) as error:
        unpack(frame(**changes))
    assert not isinstance(error.value, NewerWireError)
    assert error.value.data == frame(**changes)


@pytest.mark.parametrize("data", [msgpack.packb(v) for v in (None, 1, "x", [1], {}, {1: 2}, [["v", 1]])])
def test_what_is_no_map_of_ours_is_broken(data: bytes) -> None:
    with pytest.raises(WireError):
        unpack(data)


@given(st.integers(wire.VERSION + 1, 2**32), st.dictionaries(TEXT, st.none() | COUNT | TEXT, max_size=4))
def test_a_newer_message_is_told_from_a_broken_one_whatever_is_in_it(version: int, others: dict[str, Any]) -> None:
    data = msgpack.packb({**others, "v": version})
    with pytest.raises(NewerWireError) as error:
        unpack(data)
    assert (error.value.version, error.value.data) == (version, data)
    assert "upgrade" in str(error.value)


def test_a_message_is_small() -> None:
    assert len(pack(FRAME)) < 150, "pictures travel by reference"
