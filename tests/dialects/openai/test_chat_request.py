"""Everything that the vendor's SDK lets its users send has a field to go to."""

import types
from collections.abc import Iterable
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
from openai.types.chat.completion_create_params import (
    CompletionCreateParamsBase,
    CompletionCreateParamsStreaming,
)
from twisted.trial.unittest import SynchronousTestCase

from fakellm.dialects.openai.chat_request import ChatRequest

_PLAIN: dict[Any, tuple[type[ours.Type], ...]] = {
    str: (ours.StrType,),
    bool: (ours.BoolType,),
    int: (ours.IntType, ours.FloatType),
    float: (ours.FloatType,),
    type(None): (ours.NoneType,),
    object: (ours.AnyType,),
}
_NOT_ALL = {
    # the SDK has any object there; only these two sorts of tools exist
    "tool_choice.allowed_tools.tools[]",
}


def alternatives(declared: ours.Type) -> tuple[ours.Type, ...]:
    return tuple(declared.types) if isinstance(declared, ours.UnionType) else (declared,)


class SdkTests(SynchronousTestCase):
    def test_every_parameter_of_the_sdk_is_accepted(self) -> None:
        accepted = alternatives(ours.type_info(ChatRequest))
        for params in (CompletionCreateParamsBase, CompletionCreateParamsStreaming):
            self.assertEqual(list(self.refused(params, accepted, "")), [])

    def test_this_test_can_fail(self) -> None:
        string = (ours.StrType(),)
        for sdk in [int, list[str], dict[str, str], Literal[1], CompletionCreateParamsBase, None]:
            self.assertNotEqual(list(self.refused(sdk, string, "")), [], sdk)

    def refused(self, sdk: Any, declared: tuple[ours.Type, ...], path: str) -> Iterable[str]:
        """The places where the SDK allows what is declared to be something else."""
        origin, args = get_origin(sdk), get_args(sdk)
        if path in _NOT_ALL:
            return
        if origin in (Required, Annotated):
            yield from self.refused(args[0], declared, path)
        elif origin in (Union, types.UnionType):
            for one in args:
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
            if not any(isinstance(one, (*wanted, ours.AnyType)) for one in declared):
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
            if name == struct.tag_field:
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
