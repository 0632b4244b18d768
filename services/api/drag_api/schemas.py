"""The shapes of requests and answers, from which the OpenAPI description is made."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

Status = Literal["queued", "running", "done", "failed", "dead", "cancelled"]
Name = Annotated[str, Field(min_length=1, max_length=200)]
PipelineName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Score = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Key = Annotated[str, Field(min_length=1, max_length=255, pattern="^[!-~]+$")]
Binary = Annotated[str, Field(json_schema_extra={"format": "binary"})]
Absent = SkipJsonSchema[None]
"""What an option is when it is left out; no client can send it, so the description does not list it."""
_DOC_PIPELINE = "Which pipeline looks at the picture; the server's default when not given."
_DOC_SCORE = "Findings below this score are left out; the model's own threshold when not given."


def _optional(description: str, **limits: Any) -> Any:
    """An option that may be left out."""
    return Field(None, description=description, json_schema_extra=_without_default, **limits)


def _without_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


class _Request(BaseModel):
    """Base of what clients send: unknown names are refused, so that a misspelled option is noticed."""

    model_config = ConfigDict(extra="forbid")


class UploadQuery(_Request):
    """Options of an upload, in the address; the same names in a form or a JSON body win over these."""

    pipeline: PipelineName | Absent = _optional(_DOC_PIPELINE)
    min_score: Score | Absent = _optional(_DOC_SCORE)
    name: Name | Absent = _optional("Name shown for a picture whose upload carries none.")


class PredictQuery(UploadQuery):
    """Options of a synchronous prediction."""

    timeout: float = Field(30, ge=0, le=60, allow_inf_nan=False, description="Seconds until 504 is answered.")


class JsonUpload(_Request):
    """A picture in a JSON body."""

    image: str = Field(min_length=1, description="The file's bytes in base64; a `data:` URL is taken too.")
    name: Name | Absent = _optional("Name to show for the picture.")
    pipeline: PipelineName | Absent = _optional(_DOC_PIPELINE)
    min_score: Score | Absent = _optional(_DOC_SCORE)


class UploadForm(_Request):
    """A form with one or several pictures."""

    file: list[Annotated[str, Field(json_schema_extra={"format": "binary"})]] = Field(
        min_length=1, description="The pictures."
    )
    pipeline: PipelineName | Absent = _optional(_DOC_PIPELINE)
    min_score: Score | Absent = _optional(_DOC_SCORE)


class UploadHeaders(BaseModel):
    """Headers of an upload."""

    key: Key | Absent = _optional(
        "The same key with the same body gives the same jobs again; with another body, 409.", alias="Idempotency-Key"
    )


class FormOptions(_Request):
    """The text fields of an upload form."""

    pipeline: PipelineName | Absent = None
    min_score: Score | Absent = None


class JobPath(BaseModel):
    """Which job."""

    job_id: str = Field(min_length=1, max_length=64, description="The job's id.")


class DeadPath(BaseModel):
    """Which dead letter."""

    dead_id: str = Field(min_length=1, max_length=64, description="The dead letter's id.")


class ModelPath(BaseModel):
    """Which model."""

    name: str = Field(min_length=1, max_length=64, description="The model's name.")


class ProblemPath(BaseModel):
    """Which kind of problem."""

    slug: str = Field(min_length=1, max_length=64, description="The last part of a problem's `type`.")


class WaitQuery(_Request):
    """How long to wait for a job's end."""

    wait: float | Absent = _optional(
        "Answer when the job has ended, or after so many seconds.", ge=0, le=60, allow_inf_nan=False
    )


class PageQuery(_Request):
    """Which part of a list."""

    limit: int = Field(50, ge=1, le=200, description="Most entries to answer with.")
    cursor: str | Absent = _optional("`next` of the page before.", min_length=1, max_length=200)


class JobsQuery(PageQuery):
    """Which jobs."""

    status: Status | Absent = _optional("Only jobs in this state.")


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str = Field(description="Address of the explanation of this kind of problem.")
    title: str
    status: int
    detail: str = Field(description="One sentence: what was expected, what was seen, what to do.")
    instance: str = Field(description="The request's path.")
    expected: str | None = None
    seen: str | None = None
    fix: str | None = None
    code: str | None = Field(None, description="For pictures: what is wrong, machine readable.")
    errors: list[dict[str, Any]] | None = Field(None, description="For invalid requests: each finding.")
    job: dict[str, Any] | None = Field(None, description="The job that this is about.")
    results: list[dict[str, Any]] | None = Field(None, description="For a batch: the results so far.")


class JobError(BaseModel):
    """Why a job failed or was given up."""

    code: str
    detail: str


class Finding(BaseModel):
    """One gauge."""

    kind: str = Field(description="analog, digital or counter.")
    score: float
    box: list[float] = Field(description="x0, y0, x1, y1: pixels of the upright original.")
    model: str
    model_version: str


class Detection(BaseModel):
    """One object that another detector found."""

    label: str
    score: float
    box: list[float] = Field(description="x0, y0, x1, y1: pixels of the upright original.")
    model: str
    model_version: str


class ResultImage(BaseModel):
    """The picture that was looked at."""

    width_px: int = Field(description="Upright width.")
    height_px: int = Field(description="Upright height.")
    orientation: int = Field(description="EXIF orientation of the original, 1 to 8.")


class ResultModel(BaseModel):
    """The model that looked at it."""

    name: str
    version: str


class Result(BaseModel):
    """What was found."""

    gauges: list[Finding]
    detections: list[Detection]
    image: ResultImage
    model: ResultModel


class Links(BaseModel):
    """Where more is to be had."""

    self: str
    image: str
    annotated: str


class JobView(BaseModel):
    """A job."""

    id: str
    status: Status
    pipeline: str
    name: str = Field(description="The file's name as the client gave it, without any path; for showing only.")
    media_type: str
    size_bytes: int
    width_px: int
    height_px: int
    created_ms: int = Field(description="Unix time in milliseconds.")
    ended_ms: int | None
    attempts: int
    error: JobError | None
    result: Result | None
    timings: dict[str, float] = Field(
        description="Milliseconds: queued, fetch, decode, infer, publish (from the network's answer until it is stored "
        "next), total."
    )
    has_image: bool = Field(description="Whether the picture is still kept.")
    links: Links


class JobList(BaseModel):
    """Jobs, newest first."""

    jobs: list[JobView]
    next: str | None = Field(description="Cursor of the next page; null on the last one.")


class JobBatch(BaseModel):
    """The jobs of an upload with several pictures, in their order."""

    jobs: list[JobView]


class DeadLetterView(BaseModel):
    """Work that was given up, with its history."""

    id: str
    job_id: str
    stream: str
    part: str
    cause: str
    history: list[dict[str, Any]]
    attempts: int
    size_bytes: int
    dead_ms: int


class DeadList(BaseModel):
    """Dead letters, newest first."""

    dead: list[DeadLetterView]
    next: str | None


class Prediction(BaseModel):
    """A synchronous answer, in the shape that clients of the monolith read."""

    id: str
    status: Status
    gauges: list[Finding]
    detections: list[Detection]
    image: ResultImage | None
    model: ResultModel | None = None
    timings: dict[str, float]
    error: JobError | None = None


class PredictionList(BaseModel):
    """Synchronous answers, in the order of the files."""

    results: list[Prediction]


class ModelView(BaseModel):
    """A model of the repository."""

    name: str
    version: str
    state: str = Field(description="The best state of its workers; `stopped` when it has none.")
    task: str
    description: str
    labels: list[str]
    pipelines: list[str] = Field(description="Pipelines whose first model this is.")
    workers: int
    ready_workers: int
    reason: str = Field(description="Why it is not ready; empty when it is.")


class ModelList(BaseModel):
    """The models of the repository."""

    models: list[ModelView]


class LatencySummary(BaseModel):
    """How long something took, in milliseconds; all 0 while there is nothing to tell."""

    mean_ms: float
    min_ms: float
    max_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float


class StatsSummary(BaseModel):
    """What workers did since they started."""

    count: int
    errors: int
    batches: int
    mean_batch: float
    throughput_per_s: float = Field(description="Pictures a second over the last minute.")
    queue: LatencySummary = Field(description="Waiting: in the stream, and in the worker between stages.")
    compute: LatencySummary = Field(description="The inference of the batch that a picture was in.")
    latency: LatencySummary = Field(description="From delivery to the stored result.")


class ModelStats(BaseModel):
    """Statistics of a model, all its workers together."""

    name: str
    workers: int
    stats: StatsSummary


class Health(BaseModel):
    """Whether a picture posted now would be worked on."""

    status: Literal["ok", "unavailable"]
    ready: bool
    problems: list[str]


class Live(BaseModel):
    """This process answers."""

    status: Literal["ok"]
    version: str


class WorkerView(BaseModel):
    """A process of DRAG."""

    model_config = ConfigDict(extra="allow")
    name: str
    service: str
    host: str
    pid: int
    state: str
    reason: str | None = None
    version: str
    started_ms: int
    seen_ms: int


class Trouble(BaseModel):
    """Something that is wrong, and what to do about it."""

    what: str
    fix: str


class Diagnostics(BaseModel):
    """The state of the whole."""

    ready: bool
    version: str
    python: str
    problems: list[Trouble]
    redis: dict[str, Any]
    services: dict[str, list[WorkerView]]
    queues: dict[str, Any] | None
    settings: dict[str, Any]


class Target(BaseModel):
    """One group of addresses for Prometheus' http_sd."""

    targets: list[str]
    labels: dict[str, str]
