"""The file format as a JSON Schema, for editors: made from the records, so it cannot fall behind.

It says what is right by structure. Whether templates, regular expressions and files are right, only
loading tells.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from fakellm.faults.spec import FAULTS
from fakellm.scenarios import schema
from fakellm.scenarios.checks import PARTS
from fakellm.scenarios.conduct_checks import LIMITS
from fakellm.scenarios.parts import HIGHEST_ERROR, LOWEST_ERROR
from fakellm.scenarios.scenario import IGNORED

_Schema = dict[str, Any]
_NULL: _Schema = {"type": "null"}


def jsonschema_of_file() -> _Schema:
    """The JSON Schema (draft 2020-12) of a scenario file.

    Every file that loads without a warning is valid under it.
    """
    defs: dict[str, _Schema] = msgspec.json.schema(schema.Scenario)["$defs"]
    for definition in defs.values():
        _tidy(definition)
    _add_what_checks_say(defs)
    file = defs.pop("Scenario")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:fakellm:scenario",
        **file,
        "title": "fakellm scenario",
        "description": "What the fake model says to what: settings and an ordered list of rules.",
        "patternProperties": {f"^{IGNORED}": {"description": "Ignored: a place for anchors."}},
        "$defs": defs,
    }


def _tidy(definition: _Schema) -> None:
    """Let everything that may be left out also be left empty, as loading does."""
    required = definition.pop("required")
    if required:
        definition["required"] = required
    for name, declared in definition["properties"].items():
        if declared.get("default", ...) in (None, {}, ()):
            del declared["default"]
        if name in required:
            continue
        if "$ref" in declared:
            declared["anyOf"] = [{"$ref": declared.pop("$ref")}, _NULL]
        elif "enum" in declared:
            declared["enum"] = [*declared["enum"], None]
        elif "anyOf" in declared:
            declared["anyOf"] = [each for each in declared["anyOf"] if each != _NULL] + [_NULL]
        elif "type" in declared:
            declared["type"] = [declared["type"], "null"]


def _add_what_checks_say(defs: dict[str, _Schema]) -> None:
    properties = {name: definition["properties"] for name, definition in defs.items()}
    replies = [_given(name) for name in ("reply", "replies")]
    parts = [{"required": [name]} if name == "json" else _given(name) for name in PARTS]
    pieces = {"required": ["chunks"], "properties": {"chunks": {"type": "array"}}}
    defs["Rule"]["oneOf"] = replies
    defs["PartSpec"]["oneOf"] = parts
    defs["ReplySpec"]["oneOf"] = [*parts, _given("parts"), pieces]
    defs["NumberTest"]["minProperties"] = 1
    for record in ("PartSpec", "ReplySpec"):
        for name in ("from_schema", "echo"):
            properties[record][name]["anyOf"] = [{"const": True}, _NULL]
        _bound(properties[record]["error"], LOWEST_ERROR, HIGHEST_ERROR)
    _bound(properties["ErrorSpec"]["status"], LOWEST_ERROR, HIGHEST_ERROR)
    for record in ("After", "DistributionSpec"):
        defs[record]["oneOf"] = [_given(name) for name in properties[record]]
    defs["LimitSpec"]["oneOf"] = [_given(name) for name in LIMITS]
    defs["FaultSpec"]["oneOf"] = [_given(name, False) for name in FAULTS]
    for record in ("LoremSpec", "ReasoningSpec"):
        _bound(properties[record]["tokens"], 0)
    for record, name in (("TextTest", "any"), ("TextTest", "all"), ("NumberTest", "any")):
        for each in _of_type(properties[record][name], "array"):
            each["minItems"] = 1


def _given(name: str, *nothing: Any) -> _Schema:
    """Something is under a key: not null, nor any other value that means nothing there."""
    return {"required": [name], "properties": {name: {"not": {"enum": [None, *nothing]}}}}


def _of_type(declared: _Schema, kind: str) -> Iterable[_Schema]:
    return [each for each in declared["anyOf"] if each.get("type") == kind]


def _bound(declared: _Schema, low: int, high: int | None = None) -> None:
    for each in _of_type(declared, "integer"):
        each["minimum"] = low
        if high is not None:
            each["maximum"] = high
