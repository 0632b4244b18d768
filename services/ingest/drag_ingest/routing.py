"""What an upload is, told from its first bytes, and where it goes next: pure decisions, no Redis."""

from collections.abc import Mapping

from drag_imaging.header import NeedMore, check_pixels, read_header
from drag_shared.errors import ImageError
from drag_shared.outcomes import Dropped, Entry, Failed, Outcome, Retry, Routed
from drag_shared.pipelines import Pipeline
from drag_shared.wire import FrameMessage, UploadMessage


def route_upload(entry: Entry, head: bytes, pipelines: Mapping[str, Pipeline], max_pixels: int) -> Outcome | NeedMore:
    """The outcome of one upload, or how many bytes of the picture are needed to tell.

    Args:
        entry: its message is an `UploadMessage`.
        head: the picture's first bytes; empty when the job was cancelled and its picture is gone.
        pipelines: all that this worker knows, by name.
        max_pixels: largest picture, width times height.
    """
    message = entry.message
    if not isinstance(message, UploadMessage):
        return Failed(entry, "wrong_message", f"a message of kind {message.kind!r} stood in the uploads")
    if not head and message.size_bytes:
        return Dropped(entry)
    pipeline = pipelines.get(message.pipeline)
    if pipeline is None:
        known = ", ".join(sorted(pipelines))
        return Retry(entry, f"pipeline {message.pipeline!r} is not in this worker's pipelines.toml ({known})")
    try:
        header = read_header(head, message.size_bytes)
        if isinstance(header, NeedMore):
            return header
        check_pixels(header, max_pixels)
    except ImageError as error:
        return Failed(entry, error.code, error.reason)
    width_px, height_px = header.upright_size
    frame = FrameMessage(
        media_type=header.media_type,
        width_px=header.width_px,
        height_px=header.height_px,
        orientation=header.orientation,
        size_bytes=message.size_bytes,
        min_score=message.min_score,
    )
    facts: dict[str, str | int] = {
        "media_type": header.media_type,
        "width": width_px,
        "height": height_px,
        "revision": pipeline.revision,
    }
    return Routed(entry, pipeline.first, frame, facts)
