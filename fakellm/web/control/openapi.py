"""The description of the control API (OpenAPI 3.1), made from its declared routes.

Source: https://spec.openapis.org/oas/v3.1.0.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from http.client import responses
from typing import Any

import msgspec
from msgspec import NODEFAULT, Struct

import fakellm
from fakellm.web.control.problems import MEDIA_TYPE, ProblemDocument
from fakellm.web.control.routes import JSON, Call, Empty, NoQuery, Route

_VARIABLE = re.compile(r"\{(\w+)\}")
_REF = "#/components/schemas/{name}"
_ALWAYS = (400, 401, 403, 413, 500)
"""The problems that every route may have."""

_Schema = dict[str, Any]


class OpenApiRoutes:
    """Shows the description of these routes, and of its own."""

    def __init__(self, others: Sequence[Route]) -> None:
        self._others = others
        self._description: str | None = None

    def routes(self) -> list[Route]:
        """The one there is."""
        return [
            Route(
                method="GET",
                path="/openapi.json",
                summary="Describe this API (OpenAPI 3.1).",
                handle=self._show,
                answer=dict[str, Any],
            )
        ]

    async def _show(self, _: Call) -> msgspec.Raw:
        if self._description is None:
            described = describe([*self._others, *self.routes()])
            self._description = msgspec.json.encode(described).decode()
        return msgspec.Raw(self._description.encode())


def describe(routes: Iterable[Route]) -> _Schema:
    """The description of routes."""
    listed = list(routes)
    types: list[Any] = [ProblemDocument]
    for route in listed:
        types += [route.answer, route.body or Empty, *_types_of(route.query)]
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    found = iter(schemas)
    problem = next(found)
    paths: dict[str, _Schema] = {}
    for route in listed:
        answer, body = next(found), next(found)
        parameters = [
            _parameter(field, next(found)) for field in msgspec.structs.fields(_query(route.query))
        ]
        operation = _operation(route, answer, body, parameters, problem)
        paths.setdefault(f"/_fakellm{route.path}", {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "The control API of fakellm",
            "version": fakellm.__version__,
            "description": "What a test sees of a fake LLM server, and does to it, from outside.",
        },
        "paths": paths,
        "components": {
            "schemas": dict(sorted(components.items())),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "X-FakeLLM-Control-Token"},
            },
        },
        "security": [{}, {"bearer": []}, {"header": []}],
    }


def _query(record: type[Struct] | None) -> type[Struct]:
    return NoQuery if record is None else record


def _types_of(record: type[Struct] | None) -> list[Any]:
    return [field.type for field in msgspec.structs.fields(_query(record))]


def _parameter(field: msgspec.structs.FieldInfo, schema: _Schema) -> _Schema:
    schema = dict(schema)
    description = schema.pop("description", None)
    if field.default is not NODEFAULT and field.default is not None:
        schema["default"] = field.default
    parameter: _Schema = {
        "name": field.encode_name,
        "in": "query",
        "required": field.required,
        "schema": schema,
    }
    return parameter if description is None else {**parameter, "description": description}


def _operation(
    route: Route, answer: _Schema, body: _Schema, parameters: list[_Schema], problem: _Schema
) -> _Schema:
    names = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _VARIABLE.findall(route.path)
    ]
    operation: _Schema = {
        "summary": route.summary,
        "operationId": _operation_id(route),
        "tags": [route.path.split("/")[1].partition(".")[0]],
        "parameters": [*names, *parameters],
        "responses": {
            str(route.status): _response(route.status, route.gives, answer),
            **{
                str(status): _response(status, MEDIA_TYPE, problem)
                for status in sorted({*_ALWAYS, *route.problems})
            },
        },
    }
    if route.body is not None:
        operation["requestBody"] = {
            "required": route.takes != JSON,
            "content": {route.takes: {"schema": body}},
        }
    return operation


def _response(status: int, media_type: str, schema: Mapping[str, Any]) -> _Schema:
    return {
        "description": responses.get(status, "Unknown"),
        "content": {media_type: {"schema": schema}},
    }


def _operation_id(route: Route) -> str:
    words = re.findall(r"\w+", route.path)
    return "_".join([route.method.lower(), *words])
