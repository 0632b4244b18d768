"""Messages in streams: msgpack maps with a version and a kind, small because pictures travel by reference."""

from dataclasses import dataclass, fields
from typing import Any, ClassVar, get_args

import msgpack

from drag_shared.errors import NewerWireError, WireError

VERSION = 1


@dataclass(frozen=True, slots=True)
class UploadMessage:
    """Work of ingest: a picture was accepted."""

    kind: ClassVar[str] = "upload"
    pipeline: str
    size_bytes: int
    min_score: float | None = None


@dataclass(frozen=True, slots=True)
class FrameMessage:
    """Work of a model: one picture of a job.

    Attributes:
        media_type: like ``image/jpeg``.
        width_px, height_px: as stored, before the picture is turned upright.
        orientation: EXIF's 1 to 8.
        size_bytes: of the blob.
        min_score: the lowest score that the client wants; None: the model's own threshold.
    """

    kind: ClassVar[str] = "frame"
    media_type: str
    width_px: int
    height_px: int
    orientation: int
    size_bytes: int
    min_score: float | None = None


Message = UploadMessage | FrameMessage
_KINDS: dict[str, type[Message]] = {message.kind: message for message in (UploadMessage, FrameMessage)}
_FIELDS = {kind: {field.name: field.type for field in fields(message)} for kind, message in _KINDS.items()}
# msgpack makes values of exactly these types; a union's own isinstance takes five times as long.
_TYPES = {
    kind: {name: get_args(wanted) or (wanted,) for name, wanted in expected.items()}
    for kind, expected in _FIELDS.items()
}


def pack(message: Message) -> bytes:
    """The message as bytes."""
    values = {name: getattr(message, name) for name in _FIELDS[message.kind]}
    data: bytes = msgpack.packb({"v": VERSION, "kind": message.kind, **values})
    return data


def unpack(data: bytes) -> Message:
    """The message in ``data``.

    Raises:
        NewerWireError: a newer release wrote it.
        WireError: it is broken: not msgpack, another kind, a field missing, unknown or of another type.
    """
    try:
        values = msgpack.unpackb(data)
        version = values.pop("v")
        kind = values.pop("kind", None)
    except Exception as error:  # msgpack raises a handful of types of its own on rubbish
        raise WireError(f"not a message: {type(error).__name__}: {error}", data) from error
    if type(version) is not int or version < 1:
        raise WireError(f"a message's version must be a positive integer, not {version!r}", data)
    if version > VERSION:
        text = f"message version {version} is newer than ours, {VERSION}: upgrade this worker"
        raise NewerWireError(text, data, version)
    if not isinstance(kind, str) or kind not in _KINDS:
        raise WireError(f"unknown kind of message {kind!r}; known: {', '.join(_KINDS)}", data)
    _check(kind, values, data)
    return _KINDS[kind](**values)


def _check(kind: str, values: dict[str, Any], data: bytes) -> None:
    expected = _FIELDS[kind]
    if values.keys() != expected.keys():
        text = f"a message of kind {kind!r} has the fields {sorted(expected)}, not {sorted(map(str, values))}"
        raise WireError(text, data)
    types = _TYPES[kind]
    for name, value in values.items():
        if type(value) not in types[name]:
            raise WireError(f"{kind}.{name} must be {expected[name]}, not {value!r}", data)
