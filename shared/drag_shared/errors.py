"""Every error of DRAG, in one tree; retryable and permanent are told apart by type.

DragError
├── ConfigError
├── WireError                       a message that cannot be read
│   └── NewerWireError              written by a newer release
├── StreamError
│   ├── Unavailable                 Redis cannot serve us now
│   ├── QueueFull                   admission refused
│   ├── KeyConflict                 idempotency key used with another body
│   ├── UnknownJob                  never known
│   └── GoneJob                     past retention, or removed
├── ImageError                      the picture's own fault
├── ModelError                      the model's files or configuration are wrong
└── InferenceError
    ├── RetryableInferenceError
    └── PermanentInferenceError
"""

from __future__ import annotations


class DragError(Exception):
    """Root of all errors that DRAG raises on purpose; its text names the fix."""


class ConfigError(DragError):
    """A setting, a file or the machine is not as DRAG needs it."""


class WireError(DragError):
    """A message that cannot be read.

    Attributes:
        data: the bytes as they came.
    """

    def __init__(self, message: str, data: bytes = b"") -> None:
        super().__init__(message)
        self.data = data


class NewerWireError(WireError):
    """A message that a newer release wrote.

    Attributes:
        version: the version that the message carries.
    """

    def __init__(self, message: str, data: bytes = b"", version: int = 0) -> None:
        super().__init__(message, data)
        self.version = version


class StreamError(DragError):
    """The queue refused or could not do something."""


class Unavailable(StreamError):  # noqa: N818 - the name says the state, and callers read it so
    """Redis cannot serve us now (down, loading, read-only, out of memory); try again later.

    Attributes:
        retry_after_s: when trying again makes sense.
    """

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class QueueFull(StreamError):  # noqa: N818
    """Admission refused: the queue is at its bound.

    Attributes:
        retry_after_s: when trying again makes sense.
    """

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class KeyConflict(StreamError):  # noqa: N818
    """The idempotency key was used before with another body."""


class UnknownJob(StreamError):  # noqa: N818
    """There never was such a job, or such a dead letter."""


class GoneJob(StreamError):  # noqa: N818
    """The job, or its picture, is past retention or was removed."""


class ImageError(DragError):
    """The picture's own fault, permanent.

    Attributes:
        code: machine readable, like `truncated`.
        reason: for people.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class ModelError(DragError):
    """The model's files or configuration are wrong."""


class InferenceError(DragError):
    """Inference failed."""


class RetryableInferenceError(InferenceError):
    """Another try, perhaps on another worker, may succeed."""


class PermanentInferenceError(InferenceError):
    """No try will succeed with this input."""
