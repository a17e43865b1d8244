"""The declared records against the SDK's request types: nothing that it can send is refused."""

from openai.types import responses as sdk
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
from tests.dialects.openai.test_chat_request import SdkTests, alternatives, ours


class ResponsesSdkTests(SdkTests):
    """As for chat, with other records."""

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
            found = list(self.refused(params, alternatives(ours.type_info(record)), ""))
            self.assertEqual(found, [], params)


assert sdk
