"""Everything that the vendor's SDK lets its users send has a field to go to."""

import types
from collections.abc import Iterable, Iterator
from typing import (
    Annotated,
    Any,
    Literal,
    Required,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec.inspect as ours
from anthropic.types import message_count_tokens_params as count_params
from anthropic.types import message_create_params as create_params
from anthropic.types.beta import message_count_tokens_params as beta_count_params
from anthropic.types.beta import message_create_params as beta_create_params
from anthropic.types.beta.messages import batch_create_params as beta_batch_params
from anthropic.types.messages import batch_create_params as batch_params
from pydantic import BaseModel
from twisted.trial.unittest import SynchronousTestCase

from fakellm.dialects.anthropic.request import BatchRequest, CountRequest, MessagesRequest
from tests.dialects.anthropic.requests import HELLO, refusal_of, tool_result, tool_use

CREATE = (
    create_params.MessageCreateParamsNonStreaming,
    create_params.MessageCreateParamsStreaming,
    beta_create_params.MessageCreateParamsNonStreaming,
    beta_create_params.MessageCreateParamsStreaming,
)
COUNT = (
    count_params.MessageCountTokensParams,
    beta_count_params.MessageCountTokensParams,
)
BATCH = (batch_params.BatchCreateParams, beta_batch_params.BatchCreateParams)

IN_HEADERS = {"betas", "user_profile_id", "workspace_id"}
"""Parameters of the SDK that it sends as headers."""

_PLAIN: dict[Any, tuple[type[ours.Type], ...]] = {
    str: (ours.StrType,),
    bool: (ours.BoolType,),
    int: (ours.IntType, ours.FloatType),
    float: (ours.FloatType,),
    type(None): (ours.NoneType,),
    object: (ours.AnyType,),
}


def alternatives(declared: ours.Type) -> tuple[ours.Type, ...]:
    return tuple(declared.types) if isinstance(declared, ours.UnionType) else (declared,)


def is_sent(sdk: Any) -> bool:
    """Whether it is JSON: files are read and models are dumped by the SDK itself."""
    origin = get_origin(sdk)
    if isinstance(sdk, type) and issubclass(sdk, BaseModel):
        return False
    return getattr(origin or sdk, "__name__", "") not in {"IO", "PathLike"}


class SdkTests(SynchronousTestCase):
    def test_every_parameter_of_the_sdk_is_accepted(self) -> None:
        for record, all_params in (
            (MessagesRequest, CREATE),
            (CountRequest, COUNT),
            (BatchRequest, BATCH),
        ):
            accepted = alternatives(ours.type_info(record))
            for params in all_params:
                self.assertEqual(list(self.refused(params, accepted, "")), [], params)

    def test_this_test_can_fail(self) -> None:
        string = (ours.StrType(),)
        for sdk in [int, list[str], dict[str, str], Literal[1], CREATE[0], None]:
            self.assertNotEqual(list(self.refused(sdk, string, "")), [], sdk)

    def refused(self, sdk: Any, declared: tuple[ours.Type, ...], path: str) -> Iterable[str]:
        """The places where the SDK allows what is declared to be something else."""
        origin, args = get_origin(sdk), get_args(sdk)
        if any(isinstance(one, ours.AnyType) for one in declared):
            return
        if origin in (Required, Annotated):
            yield from self.refused(args[0], declared, path)
        elif origin in (Union, types.UnionType):
            for one in filter(is_sent, args):
                yield from self.refused(one, declared, path)
        elif origin is Literal:
            values = {
                v for one in declared if isinstance(one, ours.LiteralType) for v in one.values
            }
            for value in set(args) - values:
                yield from self.refused(type(value), declared, f"{path}={value!r}")
        elif hasattr(sdk, "__required_keys__"):  # a typed dict of any make
            yield from self.refused_fields(sdk, declared, path)
        elif origin is not None or (hasattr(sdk, "__iter__") and sdk is not str):
            yield from self.refused_items(sdk, declared, path)
        else:
            wanted = _PLAIN[type(None) if sdk is None else sdk]
            if not any(isinstance(one, wanted) for one in declared):
                yield f"{path}: {sdk}"

    def refused_items(self, sdk: Any, declared: tuple[ours.Type, ...], path: str) -> Iterable[str]:
        if get_origin(sdk) is dict:
            inner = [one.value_type for one in declared if isinstance(one, ours.DictType)]
            path += ".*"
        else:
            inner = [one.item_type for one in declared if isinstance(one, ours.ListType)]
            path += "[]"
        if not inner:
            yield f"{path}: {sdk}"
        for one in inner:
            yield from self.refused(get_args(sdk)[-1], alternatives(one), path)

    def refused_fields(self, sdk: Any, declared: tuple[ours.Type, ...], path: str) -> Iterable[str]:
        hints = get_type_hints(sdk, include_extras=True)
        structs = [one for one in declared if isinstance(one, ours.StructType)]
        tagged = [
            one
            for one in structs
            if one.tag_field is None or self.tags(hints.get(one.tag_field)) == (one.tag,)
        ]
        if not tagged:
            if not any(isinstance(one, ours.DictType) for one in declared):
                yield f"{path}: {sdk}"
            return
        (struct,) = tagged
        fields = {field.encode_name: field for field in struct.fields}
        for name, hint in hints.items():
            if name == struct.tag_field or (not path and name in IN_HEADERS):
                continue
            inner = f"{path}.{name}".lstrip(".")
            if name not in fields:
                yield f"{inner}: no such field"
                continue
            yield from self.refused(hint, alternatives(fields[name].type), inner)
        required = {name for name, hint in hints.items() if get_origin(hint) is Required}
        for name, field in fields.items():
            if field.required and name not in required:
                yield f"{path}.{name}: required"

    def tags(self, hint: Any) -> tuple[Any, ...]:
        while get_origin(hint) is Required:
            (hint,) = get_args(hint)
        return get_args(hint)


def examples(sdk: Any, *, full: bool) -> Iterator[Any]:
    """Values of a type of the SDK, one for each alternative; ``full`` ones have every field."""
    origin, args = get_origin(sdk), get_args(sdk)
    if origin in (Required, Annotated):
        yield from examples(args[0], full=full)
    elif origin in (Union, types.UnionType):
        for one in filter(is_sent, args):
            yield from examples(one, full=full)
    elif origin is Literal:
        yield from args
    elif hasattr(sdk, "__required_keys__"):
        yield from examples_of_fields(sdk, full=full)
    elif origin is dict:
        yield {"key": next(examples(args[1], full=full))}
    elif origin is not None:
        yield [next(examples(args[0], full=full))]
    else:
        yield {str: "x", bool: True, int: 1, object: {}, type(None): None}[sdk]


def examples_of_fields(sdk: Any, *, full: bool) -> Iterator[dict[str, Any]]:
    hints = {
        name: hint
        for name, hint in get_type_hints(sdk, include_extras=True).items()
        if full or get_origin(hint) is Required
    }
    first = {name: next(examples(hint, full=full)) for name, hint in hints.items()}
    yield first
    for name in {"type"} & hints.keys():
        for value in examples(hints[name], full=full):
            yield {**first, name: value}


def of_field(name: str) -> Any:
    """What the elements of a list are that is a parameter of the SDK's beta methods."""
    hint = get_type_hints(CREATE[2], include_extras=True)[name]
    while get_origin(hint) in (Required, Annotated):
        (hint, *_) = get_args(hint)
    return get_args(hint)[0]


class ExampleTests(SynchronousTestCase):
    """An example of each type of the SDK is not refused, whatever its type asks for."""

    def test_every_sort_of_tool(self) -> None:
        tools = [
            tool
            for full in (False, True)
            for one in get_args(of_field("tools"))
            for tool in examples(one, full=full)
        ]
        self.assertGreater(len(tools), 50)
        for tool in tools:
            self.assertIsNone(refusal_of({**HELLO, "tools": [tool]}, strict=True), tool)

    def test_every_sort_of_block(self) -> None:
        (message, *_) = get_args(of_field("messages"))
        content = get_type_hints(message, include_extras=True)["content"]
        blocks_or_text = get_args(get_args(content)[0])
        blocks = [
            block
            for full in (False, True)
            for kind in get_args(get_args(blocks_or_text[1])[0])
            if is_sent(kind)
            for block in examples(kind, full=full)
        ]
        self.assertGreater(len(blocks), 40)
        for block in blocks:
            self.assertIsNone(refusal_of(self.conversation(block), strict=True), block)

    def conversation(self, block: dict[str, Any]) -> dict[str, Any]:
        hello = {"role": "user", "content": "Hello"}
        before = {"role": "assistant", "content": [tool_use("x")]}
        match block["type"]:
            case "tool_use":
                after = {"role": "user", "content": [tool_result(block["id"])]}
                said = [hello, {"role": "assistant", "content": [block]}, after]
            case "tool_result":
                said = [hello, before, {"role": "user", "content": [block]}]
            case _:
                said = [hello, {"role": "assistant", "content": [block]}, hello]
        return {**HELLO, "messages": said}
