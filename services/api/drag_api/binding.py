"""Request parameters into pydantic models: documented by flask-openapi3, validated here without building schemas."""

from __future__ import annotations

import functools
import typing
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

from flask import request
from pydantic import BaseModel, ValidationError

from drag_api.problems import from_validation

P = ParamSpec("P")
R = TypeVar("R")
M = TypeVar("M", bound=BaseModel)


def validate(model: type[M], values: Mapping[str, Any], where: str) -> M:
    """``values`` as ``model``; what is wrong with them becomes a 422."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise from_validation(error, where) from error


def bound(view: Callable[..., R]) -> Callable[..., R]:
    """Gives ``view`` its ``path``, ``query`` and ``header`` models, as its annotations name them.

    flask-openapi3 reads the same annotations for the description. Its own binding asks pydantic for the model's JSON
    schema on every request (0.2 ms each), so it is told to leave that to the view.
    """
    hints = typing.get_type_hints(view)
    path_model, query_model, header_model = (hints.get(name) for name in ("path", "query", "header"))
    names = [field.alias or name for name, field in header_model.model_fields.items()] if header_model else []

    @functools.wraps(view)
    def bind(**arguments: Any) -> R:
        values: dict[str, Any] = {}
        if path_model is not None:
            values["path"] = validate(path_model, arguments, "path")
        if query_model is not None:
            values["query"] = validate(query_model, request.args.to_dict(), "query")
        if header_model is not None:
            sent = {name: request.headers[name] for name in names if name in request.headers}
            values["header"] = validate(header_model, sent, "header")
        return view(**values)

    bind.__delay_validate_request__ = True  # type: ignore[attr-defined]
    return bind
