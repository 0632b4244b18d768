"""From a request to pictures: multipart, raw or JSON bodies, parsed once; pictures are checked from their headers."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import multipart
from flask import Request
from pydantic import BaseModel, ValidationError
from werkzeug.http import parse_options_header

from drag_api.binding import validate
from drag_api.body import Body
from drag_api.problems import ApiError, from_validation
from drag_api.schemas import FormOptions, JsonUpload, UploadQuery
from drag_imaging.header import check_pixels, identify
from drag_shared.config import Settings
from drag_shared.errors import ImageError
from drag_shared.jobs import Upload

_FIELD = "file"
_MOST_FIELDS = 8
_LONGEST_FIELD_BYTES = 4096
_LONGEST_NAME = 120
_DATA_URL = re.compile(r"data:[a-zA-Z0-9.+/;=-]{0,100},")
_READS = "multipart/form-data, image/* (the file's bytes), or application/json"


@dataclass(frozen=True, slots=True)
class Picture:
    """A file as it came."""

    data: bytes
    name: str | None


@dataclass(frozen=True, slots=True)
class Parsed:
    """A body's pictures and the options beside them."""

    pictures: list[Picture]
    options: BaseModel | None = None


@dataclass(frozen=True, slots=True)
class Accepts:
    """What one address takes.

    Attributes:
        kinds: of `multipart`, `raw`, `json`.
        one: a single picture only.
        any_field: pictures may stand in form fields of any name.
    """

    kinds: frozenset[str] = frozenset({"multipart", "raw", "json"})
    one: bool = False
    any_field: bool = False


def body_kind(request: Request, accepts: Accepts) -> str:
    """Which of `multipart`, `raw` and `json` the body is, told from its content type before it is read."""
    mimetype = request.mimetype
    if mimetype == "multipart/form-data":
        kind = "multipart"
    elif mimetype == "application/json" or (mimetype.startswith("application/") and mimetype.endswith("+json")):
        kind = "json"
    elif mimetype.startswith("image/") or mimetype == "application/octet-stream":
        kind = "raw"
    else:
        kind = ""
    if kind not in accepts.kinds:
        raise ApiError(
            "unsupported-media-type",
            "The body's content type is none that this address reads.",
            expected=_READS if len(accepts.kinds) > 1 else "application/json",
            seen=request.content_type[:100] if request.content_type else "no Content-Type",
            fix="curl -F file=@photo.jpg sends multipart/form-data; --data-binary needs -H 'Content-Type: image/jpeg'",
        )
    return kind


def parse(request: Request, body: Body, kind: str, accepts: Accepts, max_files: int) -> Parsed:
    """Reads the body and takes it apart."""
    if kind == "multipart":
        return _multipart(request, body, accepts, max_files)
    if kind == "json":
        return _json(body)
    return Parsed([Picture(body.read(), None)])


def make_uploads(parsed: Parsed, query: UploadQuery, settings: Settings) -> list[Upload]:
    """Checks every picture's header, and gives each the request's options."""
    pipeline = getattr(parsed.options, "pipeline", None) or query.pipeline or settings.pipeline
    min_score = getattr(parsed.options, "min_score", None)
    if min_score is None:
        min_score = query.min_score
    several = len(parsed.pictures) > 1
    return [
        _upload(picture, index if several else None, query.name, pipeline, min_score, settings.max_pixels)
        for index, picture in enumerate(parsed.pictures)
    ]


def _upload(
    picture: Picture, index: int | None, name: str | None, pipeline: str, min_score: float | None, max_pixels: int
) -> Upload:
    shown = display_name(picture.name or name or "")
    try:
        header = identify(picture.data)
        check_pixels(header, max_pixels)
    except ImageError as error:
        if index is None:
            raise
        raise ImageError(error.code, f"File {index + 1} ({shown}): {error.reason} None was accepted.") from error
    width, height = header.upright_size
    return Upload(
        data=picture.data,
        name=shown,
        media_type=header.media_type,
        width_px=width,
        height_px=height,
        pipeline=pipeline,
        min_score=min_score,
    )


def display_name(name: str) -> str:
    """``name`` without directories and control characters; it is shown, and never used as a path."""
    last = re.split(r"[/\\]", name)[-1]
    clean = "".join(character for character in last if character.isprintable()).strip(" .")
    return clean[-_LONGEST_NAME:] or "picture"


def _json(body: Body) -> Parsed:
    raw = body.read()
    try:
        upload = JsonUpload.model_validate_json(raw)
    except ValidationError as error:
        if error.errors(include_input=False)[0]["type"] == "json_invalid":
            raise ApiError(
                "malformed-body",
                "The body is not valid JSON.",
                expected='{"image": "<base64>"}',
                seen=str(error.errors(include_input=False)[0]["msg"])[:200],
                fix="send JSON in UTF-8",
            ) from error
        raise from_validation(error, "body") from error
    del raw
    text = upload.image
    if text.startswith("data:"):
        prefix = _DATA_URL.match(text)
        text = text[prefix.end() :] if prefix else text
    try:
        data = binascii.a2b_base64(text, strict_mode=True)
    except ValueError as error:
        raise ApiError(
            "invalid-request",
            "The field image is not base64.",
            expected="standard base64 (RFC 4648, section 4) with padding and without line breaks",
            seen=str(error)[:100],
            fix="base64 -w0 photo.jpg makes it",
        ) from error
    return Parsed([Picture(data, upload.name)], upload)


def _multipart(request: Request, body: Body, accepts: Accepts, max_files: int) -> Parsed:
    boundary = parse_options_header(request.content_type)[1].get("boundary", "")
    pictures: list[Picture] = []
    fields: dict[str, Any] = {}
    try:
        for segment, data in _segments(boundary, body, max_files):
            is_file = segment.filename is not None or segment.name == _FIELD
            if not is_file:
                fields[segment.name] = _field_text(segment.name, data)
            elif segment.name == _FIELD or accepts.any_field:
                if segment.filename or data:
                    pictures.append(Picture(data, segment.filename))
            else:
                raise _no_such_field(segment.name)
    except multipart.ParserLimitReached as error:
        raise _too_many(str(error), max_files) from error
    except multipart.MultipartError as error:
        raise ApiError(
            "malformed-body",
            "The body is not valid multipart/form-data.",
            expected="parts between the boundary that the Content-Type names (RFC 7578)",
            seen=str(error)[:200],
            fix="let the client make the Content-Type and the body together",
        ) from error
    _check_count(pictures, accepts, max_files)
    return Parsed(pictures, validate(FormOptions, fields, "form"))


def _segments(boundary: str, body: Body, max_files: int) -> Iterator[tuple[multipart.MultipartSegment, bytes]]:
    """Each part with its bytes, which are joined once."""
    length = -1 if body.length is None else body.length
    parser = multipart.PushMultipartParser(
        boundary, content_length=length, max_segment_count=max_files + _MOST_FIELDS, strict=True
    )
    segment: multipart.MultipartSegment | None = None
    pieces: list[bytes] = []
    with parser:
        for chunk in body.chunks():
            for event in parser.parse(chunk) if not parser.closed else ():
                if isinstance(event, multipart.MultipartSegment):
                    segment = event
                elif event is not None:
                    pieces.append(event)
                elif segment is not None:
                    data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
                    pieces.clear()
                    yield segment, bytes(data)


def _field_text(name: str, data: bytes) -> str:
    if len(data) <= _LONGEST_FIELD_BYTES:
        try:
            return data.decode()
        except UnicodeDecodeError:
            pass
    raise ApiError(
        "invalid-request",
        f"The form field {name[:64]} is not a short text.",
        expected=f"UTF-8 of at most {_LONGEST_FIELD_BYTES} bytes",
        seen=f"{len(data)} bytes",
        fix=f"send pictures in the field {_FIELD!r}, with a file name",
    )


def _no_such_field(name: str) -> ApiError:
    return ApiError(
        "invalid-request",
        "A file stands in a form field of another name.",
        expected=f"files in the field {_FIELD!r}",
        seen=f"a file in the field {name[:64]!r}",
        fix="curl -F file=@photo.jpg",
    )


def _too_many(seen: str, max_files: int) -> ApiError:
    return ApiError(
        "too-large",
        "There are too many parts in the form.",
        expected=f"at most {max_files} files",
        seen=seen[:100],
        fix="send them in several requests, or raise DRAG_MAX_FILES",
    )


def _check_count(pictures: list[Picture], accepts: Accepts, max_files: int) -> None:
    if len(pictures) > max_files:
        raise _too_many(f"{len(pictures)} files", max_files)
    if not pictures or (accepts.one and len(pictures) > 1):
        raise ApiError(
            "invalid-request",
            "The form has no file." if not pictures else "The form has several files.",
            expected=f"one file in the field {_FIELD!r}" if accepts.one else f"files in the field {_FIELD!r}",
            seen=f"{len(pictures)} files",
            fix="curl -F file=@photo.jpg" if not pictures else "send several to /predict/batch or /v1/images",
        )
