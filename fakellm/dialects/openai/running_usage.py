"""Usage in every chunk of a stream: ``stream_options.continuous_usage_stats``.

Source: vLLM's ``StreamOptions`` (docs.vllm.ai): counts so far, of the choice that a chunk is of.
"""

from collections.abc import Iterable, Iterator

from zope.interface import implementer

from fakellm.dialects.openai.chat_request import StreamOptions
from fakellm.interfaces import IEncoder
from fakellm.model.events import Begin, ChoiceBegin, ChoiceEnd, Event, PartBegin, PartEnd, Token
from fakellm.model.timeline import Act, Write

_NONE = b'"usage":null'  # which no text can forge: within JSON's strings, quotes are escaped
_OF_A_CHOICE = (ChoiceBegin, ChoiceEnd, PartBegin, PartEnd, Token)


def with_running_usage(encoder: IEncoder, options: StreamOptions | None) -> IEncoder:
    """An encoder of chunks that tell the usage so far, if that is asked for."""
    if options is None or not (options.include_usage and options.continuous_usage_stats):
        return encoder
    return _RunningUsage(encoder)


@implementer(IEncoder)
class _RunningUsage:
    def __init__(self, encoder: IEncoder) -> None:
        self._encoder = encoder
        self._prompt = 0
        self._said: dict[int, int] = {}

    def encode(self, event: Event) -> Iterable[Act]:
        """See `IEncoder`."""
        acts = self._encoder.encode(event)
        if isinstance(event, Begin):
            self._prompt = event.prompt_tokens
        if not isinstance(event, _OF_A_CHOICE):
            return acts
        said = self._said.get(event.choice, 0)
        if isinstance(event, Token):
            said += event.tokens
            self._said[event.choice] = said
        return self._told(acts, said)

    def _told(self, acts: Iterable[Act], said: int) -> Iterator[Act]:
        usage = b'"usage":{"prompt_tokens":%d,"total_tokens":%d,"completion_tokens":%d}' % (
            self._prompt,
            self._prompt + said,
            said,
        )
        for act in acts:
            if isinstance(act, Write):
                yield Write(act.data.replace(_NONE, usage), apart=act.apart, token=act.token)
            else:
                yield act
