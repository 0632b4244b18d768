"""`python -m drag_inference --model NAME`: one worker, one replica of one model."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Final

log = logging.getLogger("drag_inference")

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_CONFIG: Final = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the worker until SIGTERM or SIGINT.

    Returns:
        0 after a drain; 1 when the worker cannot go on (a device fault): start it again; 2: the configuration or the
        model is wrong.
    """
    parser = argparse.ArgumentParser(prog="python -m drag_inference", description=__doc__)
    parser.add_argument("--model", required=True, help="name of a model in the repository")
    options = parser.parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    from drag_shared import logs
    from drag_shared.config import load_settings
    from drag_shared.errors import ConfigError, DragError, ModelError

    try:
        settings = load_settings()
        logs.configure("inference", settings.log_level, settings.log_format)
        # OpenCV reads its bound when it is loaded, so the worker is imported after this.
        os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(settings.max_pixels))
        # From 1.29 on, onnxruntime tells its maker about models and hosts unless this is set when it is loaded.
        os.environ["ORT_DISABLE_TELEMETRY"] = "1"
        from drag_inference.service import serve

        return serve(settings, options.model, stop)
    except (ConfigError, ModelError) as error:
        sys.stderr.write(f"drag_inference: {error}\n")
        return EXIT_CONFIG
    except DragError as error:
        log.critical("%s", error)
        return EXIT_FAILED


def end(status: int) -> None:
    """Ends the process at once: a thread that still sits in the network must not hold up, or crash, the end."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    end(main())
