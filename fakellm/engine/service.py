"""The server without HTTP: decide, unfold, encode, play."""

import hmac
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import repeat

from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure as TwistedFailure

from fakellm.dialects.operations import Operation
from fakellm.engine.player import Player
from fakellm.engine.shelf import Shelf
from fakellm.interfaces import IDialect, IEncoder, ITokenizer, IWire
from fakellm.model.asked import Asked
from fakellm.model.events import Failed
from fakellm.model.framing import DEFAULT_FRAMING
from fakellm.model.prompt import Prompt, Received
from fakellm.model.reply import Failure, Refused, Reply
from fakellm.model.stamp import Stamp
from fakellm.model.timeline import Act, Amend, Cue, Keep, Nothing
from fakellm.scenarios.book import Book
from fakellm.scenarios.made import BadSchema
from fakellm.scenarios.sessions import session_of
from fakellm.timing.choice import Timings, in_chunks
from fakellm.timing.counting import prompt_tokens
from fakellm.timing.pace import Paced, pace
from fakellm.timing.unfold import unfold

_NAMES_NOTED_AT_MOST = 1000
_NOTED_OF_A_NAME = 100


class Identity(Struct, frozen=True, kw_only=True):
    """What marks a server's answers as its own.

    ``epoch`` is the Unix time, in seconds, at which the server's clock says zero.
    """

    seed: int = 0
    fingerprint: str = "fp_fakellm"
    epoch: float = 0.0


class _Pending:
    """An answer that is not decided yet.

    Attributes:
        done: fires with the timeline once it is, or with ``None`` when it is given up. Cancelling
            it is `stop`.
    """

    def __init__(self, deciding: "Deferred[Reply | Failure]", wire: IWire) -> None:
        self._log = Logger()
        self._deciding = deciding
        self._wire = wire
        self._ended = False
        self.done: Deferred[Iterator[Cue] | None] = Deferred(lambda _: self.stop())

    def decide(self, timeline: Callable[[Reply | Failure | TwistedFailure], Iterator[Cue]]) -> None:
        """Wait for what is decided; ``timeline`` makes of it what is to be played."""

        def decided(result: Reply | Failure | TwistedFailure) -> None:
            if not self._ended:
                self._end(timeline(result))

        self._deciding.addBoth(decided)

    def stop(self) -> None:
        """Decide no more: the client has gone. Whoever decides may go on; nobody waits for it."""
        if not self._ended:
            self._end(None)
            self._deciding.cancel()

    def abort(self) -> None:
        """Break the connection off."""
        try:
            self._wire.abort()
        except Exception:  # noqa: BLE001 -- whatever broke, nobody may wait for this answer
            self._log.failure("A connection could not be broken off.")
        self.stop()  # a connection may be gone, and say so, as soon as it is broken off

    def _end(self, cues: Iterator[Cue] | None) -> None:
        self._ended = True
        self.done.callback(cues)


class Engine:
    """Answers what dialects decode.

    Args:
        clock: whose time all answers are on.
        book: decides what is said.
        tokenizer: cuts it into tokens.
        identity: what answers are marked with.
        timings: chooses how long answers take; without it, they take no time.
        speed: what all times are divided by; 0 means that nothing takes time.
        api_keys: the keys that are let in; none given, everybody is.
        strict: refuse what the vendor refuses but a fake need not mind.
    """

    def __init__(
        self,
        *,
        clock: IReactorTime,
        book: Book,
        tokenizer: ITokenizer,
        identity: Identity,
        timings: Timings | None = None,
        speed: float = 1.0,
        api_keys: Sequence[str] = (),
        strict: bool = False,
    ) -> None:
        self._log = Logger()
        self._clock = clock
        self._book = book
        self._tokenizer = tokenizer
        self._identity = identity
        self._timings = Timings() if timings is None else timings
        self._speed = speed
        self._api_keys = [_key_bytes(key) for key in api_keys]
        self._strict = strict
        self._requests = 0
        self._shelf = Shelf()
        self._noted: set[str] = set()
        self._running: set[Player | _Pending] = set()
        self._idle: list[Deferred[None]] = []

    def stamp(self) -> Stamp:
        """Identity and chance of the next answer."""
        self._requests += 1
        return Stamp(
            seed=self._identity.seed,
            number=self._requests,
            created=int(self._now()),
            fingerprint=self._identity.fingerprint,
        )

    def barred(self, dialect: IDialect, received: Received) -> Failure | None:
        """Why a request is not let in, if it is not."""
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

    def answer(self, dialect: IDialect, received: Received, wire: IWire) -> Deferred[None]:
        """Answer a request; the Deferred fires when all is sent, and stops it when cancelled."""
        stamp = self.stamp()
        try:
            prompt = self._prompt(dialect, received)
            reply = self._book.decide(
                prompt, stamp=stamp, now=self._now(), session=session_of(prompt)
            )
            if isinstance(reply, Deferred):
                return self._play_later(reply, prompt, dialect, stamp, wire)
            cues = self._keeping(self._timeline(reply, prompt, dialect, stamp))
            lasting = prompt.lasting and isinstance(reply, Reply)
        except Exception as error:  # noqa: BLE001 -- whatever broke, the client is told
            cues, lasting = self._apology(error, dialect, stamp), False
        return self.play(cues, wire, lasting=lasting)

    def refuse(self, dialect: IDialect, failure: Failure, wire: IWire) -> Deferred[None]:
        """Answer with an error; the Deferred is as that of `answer`."""
        return self.play(_at_once(dialect.failure(failure, self.stamp())), wire)

    def document(self, dialect: IDialect, body: bytes, wire: IWire) -> Deferred[None]:
        """Answer with a JSON document; the Deferred is as that of `answer`."""
        return self.play(_at_once(dialect.document(body, self.stamp())), wire)

    def operate(self, operation: Operation, asked: Asked, wire: IWire) -> Deferred[None]:
        """Answer what no model answers; the Deferred is as that of `answer`."""
        dialect = operation.dialect
        failure = self.barred(dialect, asked.received)
        if failure is not None:
            return self.play(_at_once(dialect.failure(failure, asked.stamp)), wire)
        try:
            cues = self._keeping(_at_once(operation.answer(asked)))
        except Exception as error:  # noqa: BLE001 -- whatever broke, the client is told
            cues = self._apology(error, dialect, asked.stamp)
        return self.play(cues, wire)

    def asked(self, received: Received, found: dict[str, str], models: Sequence[str]) -> Asked:
        """A request to an operation."""
        return Asked(
            received=received,
            found=found,
            stamp=self.stamp(),
            kept=self._shelf,
            models=tuple(models),
            count=lambda prompt: prompt_tokens(prompt, self._tokenizer),
        )

    def _keeping(self, cues: Iterator[Cue]) -> Iterator[Cue]:
        """What is to be kept is, and the rest is played."""
        for at, act in cues:
            if isinstance(act, Keep | Amend):
                yield at, Nothing()  # what is drawn after this, is drawn when it is due
            if isinstance(act, Keep):
                self._shelf.put(act)
            elif isinstance(act, Amend):
                self._shelf.amend(act)
            else:
                yield at, act

    def play(self, cues: Iterator[Cue], wire: IWire, *, lasting: bool = False) -> Deferred[None]:
        """Play a timeline."""
        player = Player(self._clock, wire, cues, lasting=lasting)
        self._running.add(player)
        player.done.addBoth(self._ended, player)
        player.start()
        return _until_gone(player) if lasting else player.done

    @property
    def running(self) -> int:
        """How many answers are under way."""
        return len(self._running)

    def drained(self) -> Deferred[None]:
        """Fires once no answer is running."""
        drained: Deferred[None] = Deferred()
        if self._running:
            self._idle.append(drained)
        else:
            drained.callback(None)
        return drained

    def abort(self) -> int:
        """Break off every running answer; how many there were."""
        running = list(self._running)
        for player in running:
            player.abort()
        return len(running)

    def _ended(self, _: None, player: "Player | _Pending") -> None:
        self._running.discard(player)
        if not self._running:
            idle, self._idle = self._idle, []
            for drained in idle:
                drained.callback(None)

    def _now(self) -> float:
        return self._identity.epoch + self._clock.seconds()

    def _prompt(self, dialect: IDialect, received: Received) -> Prompt:
        failure = self.barred(dialect, received)
        if failure is not None:
            raise Refused(failure)
        prompt: Prompt = dialect.decode(received, strict=self._strict, kept=self._shelf)
        self._note_unknown(prompt)
        return prompt

    def _play_later(
        self,
        deciding: "Deferred[Reply | Failure]",
        prompt: Prompt,
        dialect: IDialect,
        stamp: Stamp,
        wire: IWire,
    ) -> Deferred[None]:
        """Play once it is decided what; a client that does not wait stops the deciding."""
        pending = _Pending(deciding, wire)
        self._running.add(pending)

        def timeline(decided: Reply | Failure | TwistedFailure) -> Iterator[Cue]:
            try:
                if isinstance(decided, TwistedFailure):
                    decided.raiseException()
                return self._timeline(decided, prompt, dialect, stamp)
            except Exception as error:  # noqa: BLE001 -- whatever broke, the client is told
                return self._apology(error, dialect, stamp)

        def play(cues: Iterator[Cue] | None) -> Deferred[None] | None:
            playing = None
            if cues is not None:
                playing = self.play(self._keeping(cues), wire, lasting=prompt.lasting)
            self._ended(None, pending)
            return playing

        pending.decide(timeline)
        return pending.done.addCallback(play)

    def _timeline(
        self, reply: Reply | Failure, prompt: Prompt, dialect: IDialect, stamp: Stamp
    ) -> Iterator[Cue]:
        if isinstance(reply, Failure):
            return _at_once(dialect.failure(reply, stamp))
        paced = self._paced(reply, prompt, stamp)
        return self._encoded(paced, dialect.encoder(prompt, stamp, DEFAULT_FRAMING), dialect)

    def _paced(self, reply: Reply, prompt: Prompt, stamp: Stamp) -> Iterator[Paced]:
        timing = self._timings.choose(prompt.model, reply.timing, prompt.received.headers)
        if timing is None:
            return zip(repeat(0.0), unfold(prompt, reply, self._tokenizer).events)
        said = unfold(prompt, in_chunks(reply, timing), self._tokenizer)
        return pace(
            said.events,
            timing,
            chance=stamp.chance("timing"),
            prompt_tokens=said.prompt_tokens,
            speed=self._speed,
            tokens=said.tokens,
        )

    def _apology(self, error: Exception, dialect: IDialect, stamp: Stamp) -> Iterator[Cue]:
        """What a client is told of what went wrong, in its dialect's words."""
        match error:
            case Refused(failure=failure):
                pass
            case BadSchema(tool=tool, reason=reason):
                failure = dialect.errors.bad_schema(tool, reason)
            case RecursionError():
                failure = Failure(status=400, message="The request is nested too deeply.")
            case _:
                self._log.failure("A request could not be answered.", TwistedFailure(error))
                failure = dialect.errors.internal()
        return _at_once(dialect.failure(failure, stamp))

    def _encoded(
        self, paced: Iterator[Paced], encoder: IEncoder, dialect: IDialect
    ) -> Iterator[Cue]:
        try:
            for at, event in paced:
                for act in encoder.encode(event):
                    yield at, act
        except Exception:  # noqa: BLE001 -- whatever broke, the client is told in its own words
            self._log.failure("An answer broke off.")
            yield from _at_once(encoder.encode(Failed(failure=dialect.errors.internal())))

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


def _until_gone(player: Player) -> "Deferred[None]":
    """Fires when a lasting answer has ended or, cancelled, when its client has gone."""

    def fire() -> None:
        if not until.called:
            until.callback(None)

    def gone(_: "Deferred[None]") -> None:
        player.stop()
        fire()

    until: Deferred[None] = Deferred(gone)
    player.done.addBoth(lambda _: fire())
    return until


def _key_bytes(key: str) -> bytes:
    return key.encode("utf-8", "surrogatepass")  # which takes any text


def _at_once(acts: Iterable[Act]) -> Iterator[Cue]:
    return zip(repeat(0.0), acts, strict=False)
