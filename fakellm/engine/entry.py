"""Letting requests in: keys, decoding, room in the queue, limits and the length of prompts."""

import hmac
from collections.abc import Sequence

from twisted.logger import Logger

from fakellm.engine.admission import Admission
from fakellm.engine.case import Case
from fakellm.engine.limits import Limits, Refusal
from fakellm.interfaces import IDialect, ITokenizer
from fakellm.model.asked import Kept
from fakellm.model.prompt import Prompt, Received
from fakellm.model.reply import Failure, Refused
from fakellm.timing.counting import prompt_tokens

_NAMES_NOTED_AT_MOST = 1000
_NOTED_OF_A_NAME = 100


class Entry:
    """The way in to a server.

    Args:
        api_keys: the keys that are let in; none given, everybody is.
        strict: refuse what the vendor refuses but a fake need not mind.
        tokenizer: counts prompts.
        admission: has slots and a queue.
        limits: have buckets.
    """

    def __init__(
        self,
        *,
        api_keys: Sequence[str],
        strict: bool,
        tokenizer: ITokenizer,
        admission: Admission,
        limits: Limits,
    ) -> None:
        self._log = Logger()
        self._api_keys = [_key_bytes(key) for key in api_keys]
        self._strict = strict
        self._tokenizer = tokenizer
        self._admission = admission
        self._limits = limits
        self._noted: set[str] = set()

    def barred(self, dialect: IDialect, received: Received) -> Failure | None:
        """Why a request is not let in for its key, if it is not."""
        if not self._api_keys:
            return None
        key = dialect.api_key(received)
        if key is not None:
            given = _key_bytes(key)
            # every key is compared, in a time that does not tell how alike they are
            if sum([hmac.compare_digest(given, known) for known in self._api_keys]):
                return None
        failure: Failure = dialect.errors.unauthorized(key)
        return failure

    def check_key(self, dialect: IDialect, received: Received) -> None:
        """Let a request in by its key.

        Raises:
            Refused: it is not let in.
        """
        failure = self.barred(dialect, received)
        if failure is not None:
            raise Refused(failure)

    def prompt(self, dialect: IDialect, received: Received, kept: Kept) -> Prompt:
        """What a request asks.

        Raises:
            Refused: it is not let in, or breaks the vendor's rules.
        """
        self.check_key(dialect, received)
        prompt: Prompt = dialect.decode(received, strict=self._strict, kept=kept)
        self._note_unknown(prompt)
        return prompt

    def admit(self, case: Case, prompt: Prompt, session: str, now: float) -> None:
        """Let a prompt pass the limits of its model, its key and the server.

        Raises:
            Refused: it does not.
        """
        errors = case.dialect.errors
        status = self._admission.refusal()
        if status is not None:
            raise Refused(errors.overloaded(status))
        regime = case.regime
        window = regime.context_length(prompt.model)
        if window is None and not regime.limits:
            return
        size = prompt_tokens(prompt, self._tokenizer)
        bound = prompt.max_tokens or 0
        if window is not None and size + bound > window:
            raise Refused(errors.too_long(window, size, bound))
        if not regime.limits:
            return
        found = self._limits.admit(
            key=prompt.api_key,
            model=prompt.model,
            session=session,
            prompt_tokens=size,
            bound=bound * prompt.n,
            now=now,
        )
        if isinstance(found, Refusal):
            raise Refused(found.failure(case.dialect, prompt.model, case.stamp))
        case.admitted = found

    def _note_unknown(self, prompt: Prompt) -> None:
        for given in prompt.unknown:
            name = given[:_NOTED_OF_A_NAME]
            if name not in self._noted and len(self._noted) < _NAMES_NOTED_AT_MOST:
                self._noted.add(name)
                self._log.info(
                    "{dialect}: an unknown argument {name!r} is ignored "
                    "(said once; --strict-requests refuses it)",
                    dialect=prompt.dialect,
                    name=name,
                )


def _key_bytes(key: str) -> bytes:
    return key.encode("utf-8", "surrogatepass")  # which takes any text
