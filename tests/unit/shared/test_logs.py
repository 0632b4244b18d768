"""Logs: one line a message, fields from the context and from the call, in both formats."""

from __future__ import annotations

import io
import json
import logging
import re
import threading
from collections.abc import Iterator

import pytest

from drag_shared import logs


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:] = before
    root.setLevel(level)
    logging.captureWarnings(False)


def test_a_text_line_carries_time_level_logger_and_context(stream: io.StringIO) -> None:
    logs.configure("api", "info", "text", stream)
    with logs.context(job="01J", model="gauge-detector"):
        logging.getLogger("drag_api.routes").info("accepted %d", 1, extra={"size": "a b"})
    line = stream.getvalue()
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO    drag_api\.routes accepted 1"
        r' job=01J model=gauge-detector size="a b"\n',
        line,
    )


def test_a_json_line_is_one_object(stream: io.StringIO) -> None:
    logs.configure("ingest", "debug", "json", stream)
    with logs.context(worker="w1"):
        logging.getLogger("x").warning("two\nlines", extra={"level_": 1, "service_": "kept"})
    (line,) = stream.getvalue().splitlines()
    entry = json.loads(line)
    assert entry["message"] == "two\nlines"
    assert (entry["service"], entry["level"], entry["worker"], entry["service_"]) == ("ingest", "warning", "w1", "kept")


def test_an_exception_is_kept_in_both_formats(stream: io.StringIO) -> None:
    for log_format in ("text", "json"):
        logs.configure("api", "info", log_format, stream)  # type: ignore[arg-type]
        try:
            raise ValueError("broken")
        except ValueError:
            logging.getLogger("x").exception("failed")
    assert stream.getvalue().count("ValueError: broken") == 2
    assert json.loads(stream.getvalue().splitlines()[-1])["exception"].startswith("Traceback")


def test_contexts_nest_end_and_drop_what_is_none(stream: io.StringIO) -> None:
    with logs.context(job="a", model="m"):
        with logs.context(job="b", model=None):
            assert logs.current_context() == {"job": "b"}
        assert logs.current_context() == {"job": "a", "model": "m"}
    assert logs.current_context() == {}


def test_a_context_belongs_to_its_thread(stream: io.StringIO) -> None:
    seen: list[dict[str, object]] = []
    with logs.context(job="a"):
        thread = threading.Thread(target=lambda: seen.append(logs.current_context()))
        thread.start()
        thread.join()
    assert seen == [{}]


def test_configuring_twice_does_not_print_twice(stream: io.StringIO) -> None:
    logs.configure("api", "info", "text", stream)
    logs.configure("api", "warning", "text", stream)
    logging.getLogger("x").warning("once")
    logging.getLogger("x").info("never")
    assert len(stream.getvalue().splitlines()) == 1
