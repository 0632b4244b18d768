"""Structured logs: one format for all processes, with the job, model and worker at hand in every line."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import time
from collections.abc import Iterator
from contextvars import ContextVar
from typing import IO, Literal

_context: ContextVar[dict[str, object]] = ContextVar("drag_log_context", default={})  # noqa: B039 - replaced, never changed in place
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


@contextlib.contextmanager
def context(**fields: object) -> Iterator[None]:
    """Adds fields (`job=`, `model=`, `worker=`) to every line logged inside, in this thread or task.

    A field that is None is taken out.
    """
    merged = {k: v for k, v in {**_context.get(), **fields}.items() if v is not None}
    token = _context.set(merged)
    try:
        yield
    finally:
        _context.reset(token)


def current_context() -> dict[str, object]:
    """The fields in force here, to hand them to another thread."""
    return dict(_context.get())


def fields_of(record: logging.LogRecord) -> dict[str, object]:
    """The context and the record's own `extra={...}`, which wins."""
    own = {k: v for k, v in vars(record).items() if k not in _STANDARD and not k.startswith("_")}
    return {**_context.get(), **own}


class TextFormatter(logging.Formatter):
    """`2026-01-31T12:00:00.123Z INFO    drag_api.routes accepted job=01...`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and the traceback under it when there is one."""
        fields = "".join(f" {k}={_word(v)}" for k, v in fields_of(record).items())
        line = f"{_stamp(record.created)} {record.levelname:<7} {record.name} {record.getMessage()}{fields}"
        return line + _trouble(self, record, "\n")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, service, then the fields."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """One line; a field whose name is taken gets an underscore."""
        line: dict[str, object] = {
            "time": _stamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "service": self._service,
            "pid": record.process,
        }
        for name, value in fields_of(record).items():
            line[f"{name}_" if name in line else name] = value
        trouble = _trouble(self, record, "")
        if trouble:
            line["exception"] = trouble
        return json.dumps(line, default=str, ensure_ascii=False)


def configure(
    service: str,
    level: str = "info",
    log_format: Literal["text", "json"] = "text",
    stream: IO[str] | None = None,
) -> None:
    """Sets up logging for a process; called once, in its `main`.

    Args:
        service: like `api`; stands in every JSON line.
        level: least severe level that is written.
        log_format: `text` or `json`.
        stream: where lines go; standard error when not given.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter(service) if log_format == "json" else TextFormatter())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    logging.captureWarnings(True)


def _stamp(created: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(created)) + f".{int(created * 1000) % 1000:03d}Z"


def _word(value: object) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if not text or any(c in text for c in ' "=\n\r\t') else text


def _trouble(formatter: logging.Formatter, record: logging.LogRecord, lead: str) -> str:
    text = ""
    if record.exc_info:
        text = lead + formatter.formatException(record.exc_info)
    if record.stack_info:
        text += lead + formatter.formatStack(record.stack_info)
    return text
