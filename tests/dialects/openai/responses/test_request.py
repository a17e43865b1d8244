"""Everything that the vendor's SDK lets its users send has a field to go to."""

from collections.abc import Iterable
from typing import Any, Required, get_args, get_origin, get_type_hints

import msgspec.inspect as ours
from openai.types.conversations import (
    conversation_create_params,
    conversation_update_params,
    item_create_params,
)
from openai.types.responses import (
    input_token_count_params,
    response_compact_params,
    response_create_params,
)

from fakellm.dialects.openai.responses import request as wire
from tests.dialects.openai import test_chat_request as chat


class ResponsesSdkTests(chat.SdkTests):
    """As for chat completions, whose test this goes on from."""

    def test_every_parameter_of_the_sdk_is_accepted(self) -> None:
        for params, record in (
            (response_create_params.ResponseCreateParamsBase, wire.ResponsesRequest),
            (response_create_params.ResponseCreateParamsStreaming, wire.ResponsesRequest),
            (input_token_count_params.InputTokenCountParams, wire.CountRequest),
            (response_compact_params.ResponseCompactParams, wire.CompactRequest),
            (conversation_create_params.ConversationCreateParams, wire.ConversationBody),
            (conversation_update_params.ConversationUpdateParams, wire.ConversationUpdate),
            (item_create_params.ItemCreateParams, wire.ConversationItems),
        ):
            found = list(self.refused(params, chat.alternatives(ours.type_info(record)), ""))
            if record is wire.ConversationItems:
                found.remove("include: no such field")  # which goes into the query
            self.assertEqual(found, [], params)

    def refused(self, sdk: Any, declared: tuple[ours.Type, ...], path: str) -> Iterable[str]:
        if any(isinstance(one, ours.AnyType) for one in declared):
            return
        if path.endswith("tools[].tools[].parameters"):
            return  # any object to the SDK; a JSON schema has to be one with fields
        yield from super().refused(sdk, declared, path)

    def refused_fields(self, sdk: Any, declared: tuple[ours.Type, ...], path: str) -> Iterable[str]:
        """Where the SDK has one type for several tags of ours, or may leave a tag out."""
        hints = get_type_hints(sdk, include_extras=True)
        tags = {
            tag
            for hint in self.tags(hints.get("type"))
            for tag in (get_args(hint) or (hint,))
            if isinstance(tag, str)
        }
        chosen = tuple(
            one for one in declared if isinstance(one, ours.StructType) and one.tag in tags
        )
        if not chosen:
            yield from super().refused_fields(sdk, declared, path)
            return
        if {one.tag for one in chosen} != tags:
            yield f"{path}: {tags}"
        for one in chosen:
            fields = {field.encode_name: field for field in one.fields}
            for name, hint in hints.items():
                if name == "type":
                    continue
                inner = f"{path}.{name}".lstrip(".")
                if name not in fields:
                    yield f"{inner}: no such field"
                else:
                    yield from self.refused(hint, chat.alternatives(fields[name].type), inner)
            for name, field in fields.items():
                if field.required and get_origin(hints.get(name)) is not Required:
                    yield f"{path}.{name}: required"
