"""The server without HTTP: decide, admit, unfold, afflict, encode, play."""

import hmac
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any

from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure as TwistedFailure

from fakellm.dialects import registry
from fakellm.dialects.operations import Operation
from fakellm.engine.admission import Admission
from fakellm.engine.case import Case
from fakellm.engine.collecting import CollectingWire
from fakellm.engine.gates import Gates
from fakellm.engine.limits import Limits, Refusal
from fakellm.engine.pending import GONE, Pending
from fakellm.engine.player import Manner, Player, Stage
from fakellm.engine.punctuality import Punctuality
from fakellm.engine.shelf import Shelf
from fakellm.engine.timer import Timer
from fakellm.engine.troubles import Troubles
from fakellm.faults.afflict import afflicted, afflicted_acts, instead
from fakellm.faults.fault import Fault
from fakellm.interfaces import IDialect, IEncoder, ITokenizer, IWire
from fakellm.model.asked import Asked
from fakellm.model.events import Failed
from fakellm.model.prompt import Prompt, Received
from fakellm.model.reply import Failure, Refused, Reply
from fakellm.model.stamp import Stamp
from fakellm.model.timeline import Act, Ask, Cue
from fakellm.scenarios.book import Book
from fakellm.scenarios.conduct import RuleConduct
from fakellm.scenarios.course import Course, Regime
from fakellm.scenarios.made import BadSchema
from fakellm.scenarios.sessions import session_of
from fakellm.timing.choice import in_chunks
from fakellm.timing.counting import prompt_tokens
from fakellm.timing.pace import Paced, Timing, pace
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


class Engine:
    """Answers what dialects decode.

    Args:
        clock: whose time all answers are on.
        book: decides what is said.
        tokenizer: cuts it into tokens.
        identity: what answers are marked with.
        course: how the server conducts itself as time goes on; without it, it takes no time.
        speed: what all times are divided by; 0 means that nothing takes time.
        real: whether the clock is real, so that answers can be late.
        models: the names of those on offer.
        dialect_at: the dialect that a request is in, for those that the server asks itself.
        api_keys: the keys that are let in; none given, everybody is.
        strict: refuse what the vendor refuses but a fake need not mind.

    Attributes:
        gates: where answers stand still.
        shelf: what is kept between requests.
    """

    def __init__(
        self,
        *,
        clock: IReactorTime,
        book: Book,
        tokenizer: ITokenizer,
        identity: Identity,
        course: Course | None = None,
        speed: float = 1.0,
        real: bool = False,
        models: Sequence[str] = (),
        dialect_at: Callable[[Received], IDialect] = registry.dialect_at,
        api_keys: Sequence[str] = (),
        strict: bool = False,
    ) -> None:
        self._log = Logger()
        self._seconds: Callable[[], float] = clock.seconds
        self._began = clock.seconds()
        self._book = book
        self._tokenizer = tokenizer
        self._identity = identity
        self._course = Course() if course is None else course
        self._speed = speed
        self._models = tuple(models)
        self._dialect_at = dialect_at
        self._api_keys = [_key_bytes(key) for key in api_keys]
        self._strict = strict
        self._requests = 0
        self._noted: set[str] = set()
        self._running: set[Player | Pending] = set()
        self._idle: list[Deferred[None]] = []
        self._admission = Admission(clock.seconds)
        self._limits = Limits()
        self._troubles = Troubles()
        self._punctuality = Punctuality(clock.seconds) if real else None
        self.gates = Gates()
        self.shelf = Shelf()
        self._stage = Stage(
            timer=Timer(clock, None if self._punctuality is None else self._punctuality.lag.note),
            gates=self.gates,
            punctuality=self._punctuality,
            keep=self.shelf.put,
            ask=self._ask,
        )

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
        case = Case(dialect=dialect, stamp=self.stamp(), regime=self._regime(), wire=wire)
        try:
            prompt = case.prompt = self._prompt(dialect, received)
            session = session_of(prompt)
            asked_for = self._troubles.asked_for(received.headers)
            self._let_in(case, prompt, session)
            now = self._now()
            decision = self._book.decide(prompt, stamp=case.stamp, now=now, session=session)
            faults = self._troubles.chosen(
                asked_for,
                decision,
                case.regime.faults,
                session=session,
                stamp=case.stamp,
            )
            answer = decision.answer
            if isinstance(answer, Deferred):
                return self._wait(
                    answer,
                    case,
                    lambda decided: self._perform(case, prompt, decided, decision.conduct, faults),
                )
        except Exception as error:  # noqa: BLE001 -- whatever broke, the client is told
            return self._apologize(case, error)
        return self._perform(case, prompt, answer, decision.conduct, faults)

    def refuse(self, dialect: IDialect, failure: Failure, wire: IWire) -> Deferred[None]:
        """Answer with an error; the Deferred is as that of `answer`."""
        return self.play(_at_once(dialect.failure(failure, self.stamp())), wire)

    def document(self, dialect: IDialect, body: bytes, wire: IWire) -> Deferred[None]:
        """Answer with a JSON document; the Deferred is as that of `answer`."""
        return self.play(_at_once(dialect.document(body, self.stamp())), wire)

    def operate(
        self, operation: Operation, found: Mapping[str, str], received: Received, wire: IWire
    ) -> Deferred[None]:
        """Answer a request that is about what is kept, by a path with these variables in it."""
        stamp = self.stamp()
        case = Case(dialect=operation.dialect, stamp=stamp, regime=self._regime(), wire=wire)
        try:
            failure = self.barred(operation.dialect, received)
            if failure is not None:
                raise Refused(failure)
            asked = Asked(
                received=received,
                found=found,
                stamp=stamp,
                kept=self.shelf,
                models=self._models,
                count=lambda prompt: prompt_tokens(prompt, self._tokenizer),
                strict=self._strict,
            )
            acts = tuple(operation.answer(asked))
        except Exception as error:  # noqa: BLE001 -- whatever broke, the client is told
            return self._apologize(case, error)
        return self.play(_at_once(acts), wire)

    def play(
        self,
        cues: Iterator[Cue],
        wire: IWire,
        manner: Manner = Manner(),  # noqa: B008 -- frozen
    ) -> Deferred[None]:
        """Play a timeline."""
        player = Player(self._stage, wire, cues, manner)
        self._running.add(player)
        player.done.addBoth(self._ended, player)
        player.start()
        return player.done

    @property
    def running(self) -> int:
        """How many answers are under way, those that wait included."""
        return len(self._running)

    def health(self) -> dict[str, Any]:
        """What a client may know of how it is."""
        load = self._regime().load
        state: dict[str, Any] = {
            "status": "ok",
            "running": self.running,
            "queued": self._admission.queued,
        }
        if load.slots is not None:
            state["slots"] = load.slots
            state["queue_time"] = round(self._admission.longest_wait, 3)
        if self._punctuality is not None:
            state["pace"] = self._punctuality.told()
        state["faults"] = self._troubles.struck
        return state

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

    def _ended(self, _: object, player: Player | Pending) -> None:
        self._running.discard(player)
        if not self._running:
            idle, self._idle = self._idle, []
            for drained in idle:
                drained.callback(None)

    def _now(self) -> float:
        return self._identity.epoch + self._seconds()

    def _regime(self) -> Regime:
        """How the server conducts itself now."""
        passed = self._seconds() - self._began
        regime = self._course.at(passed * self._speed if self._speed else passed)
        self._admission.follow(regime.load)
        self._limits.replace(regime.limits)
        return regime

    def _prompt(self, dialect: IDialect, received: Received) -> Prompt:
        failure = self.barred(dialect, received)
        if failure is not None:
            raise Refused(failure)
        prompt: Prompt = dialect.decode(received, strict=self._strict, kept=self.shelf)
        self._note_unknown(prompt)
        return prompt

    def _let_in(self, case: Case, prompt: Prompt, session: str) -> None:
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
        bound = (prompt.max_tokens or 0) * prompt.n
        if window is not None and size + (prompt.max_tokens or 0) > window:
            raise Refused(errors.too_long(window, size, prompt.max_tokens or 0))
        found = self._limits.admit(
            key=prompt.api_key,
            model=prompt.model,
            session=session,
            prompt_tokens=size,
            bound=bound,
            now=self._seconds(),
        )
        if isinstance(found, Refusal):
            raise Refused(found.failure(case.dialect, prompt.model))
        case.admitted = found

    def _wait(
        self, awaited: "Deferred[Any]", case: Case, perform: Callable[[Any], Deferred[None]]
    ) -> Deferred[None]:
        """Go on once something has been decided; a client that does not wait stops it."""
        pending = Pending(awaited, case.wire)
        self._running.add(pending)

        def arrived(result: Any) -> Deferred[None] | None:
            if result is GONE:
                case.end(self._seconds)
                playing = None
            else:
                playing = perform(result)
            self._ended(None, pending)
            return playing

        return pending.done.addBoth(arrived)

    def _perform(
        self,
        case: Case,
        prompt: Prompt,
        answer: "Reply | Failure | TwistedFailure",
        conduct: RuleConduct | None,
        faults: tuple[Fault, ...],
    ) -> Deferred[None]:
        """Say what was decided, in a slot, and as the faults will have it."""
        try:
            if isinstance(answer, TwistedFailure):
                answer.raiseException()
            timing = case.regime.timings.choose(
                prompt.model, conduct and conduct.timing, prompt.received.headers
            )
            replaced = instead(faults, self._troubles.note) if faults else None
            if replaced is None and isinstance(answer, Reply):
                reply = answer
                place = case.place = self._admission.enter()
                if not place.has_slot:
                    return self._wait(
                        place.granted,
                        case,
                        lambda _: self._say(case, prompt, reply, timing, faults),
                    )
                return self._say(case, prompt, reply, timing, faults)
            said = answer if replaced is None else replaced
            acts = case.dialect.failure(said, case.stamp) if isinstance(said, Failure) else said
            # An error takes time only where the rule that gives it says so.
            at = self._first(timing, case.stamp) if conduct and conduct.timing else 0.0
            cues = self._afflicted_acts(acts, at, case, faults)
        except Exception as error:  # noqa: BLE001 -- whatever broke, the client is told
            return self._apologize(case, error)
        return self._played(cues, case)

    def _say(
        self,
        case: Case,
        prompt: Prompt,
        reply: Reply,
        timing: Timing | None,
        faults: tuple[Fault, ...],
    ) -> Deferred[None]:
        try:
            paced = self._paced(case, prompt, reply, timing)
            encoder = case.dialect.encoder(prompt, case.stamp, case.regime.framing)
            if faults:
                cues = afflicted(
                    paced,
                    encoder,
                    faults,
                    streamed=prompt.stream,
                    chance=case.stamp.chance("afflictions"),
                    speed=self._speed,
                    noted=self._troubles.note,
                )
                cues = self._guarded(cues, encoder, case.dialect)
            else:
                cues = self._encoded(paced, encoder, case.dialect)
        except Exception as error:  # noqa: BLE001 -- whatever broke, the client is told
            return self._apologize(case, error)
        return self._played(cues, case)

    def _played(self, cues: Iterator[Cue], case: Case) -> Deferred[None]:
        manner = case.manner()
        return self.play(cues, case.wire, manner).addBoth(lambda _: case.end(self._seconds))

    def _paced(
        self, case: Case, prompt: Prompt, reply: Reply, timing: Timing | None
    ) -> Iterator[Paced]:
        if timing is not None:
            reply = in_chunks(reply, timing)
        said = unfold(prompt, reply, self._tokenizer)
        events = said.events
        if case.admitted is not None:
            events = case.counted(events, said.prompt_tokens)
        if timing is None:
            return zip(repeat(0.0), events)
        return pace(
            events,
            timing,
            chance=case.stamp.chance("timing"),
            prompt_tokens=said.prompt_tokens,
            speed=self._speed,
            slowdown=1.0 if case.place is None else case.place.slowdown,
            tokens=said.tokens,
        )

    def _first(self, timing: Timing | None, stamp: Stamp) -> float:
        """When the first token would be due."""
        if timing is None or not self._speed:
            return 0.0
        return timing.ttft.draw(stamp.chance("timing")) / self._speed

    def _afflicted_acts(
        self, acts: Iterable[Act], at: float, case: Case, faults: tuple[Fault, ...]
    ) -> Iterator[Cue]:
        if not faults:
            return zip(repeat(at), acts)
        return afflicted_acts(
            acts,
            at,
            faults,
            speed=self._speed,
            noted=self._troubles.note,
        )

    def _apologize(self, case: Case, error: Exception) -> Deferred[None]:
        """Tell a client what went wrong, in its dialect's words."""
        dialect = case.dialect
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
        return self._played(_at_once(dialect.failure(failure, case.stamp)), case)

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

    def _guarded(self, cues: Iterator[Cue], encoder: IEncoder, dialect: IDialect) -> Iterator[Cue]:
        try:
            yield from cues
        except Exception:  # noqa: BLE001 -- as in `_encoded`
            self._log.failure("An answer broke off.")
            yield from _at_once(encoder.encode(Failed(failure=dialect.errors.internal())))

    def _ask(self, ask: Ask) -> None:
        """Answer a request that no client waits for."""
        wire = CollectingWire()

        def keep(_: object) -> None:
            for thing in ask.then(wire.status, wire.body):
                self.shelf.put(thing)

        dialect = self._dialect_at(ask.received)
        answered = self.answer(dialect, ask.received, wire)
        answered.addBoth(keep).addErrback(
            lambda failure: self._log.failure("An answer could not be kept.", failure)
        )

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


def _at_once(acts: Iterable[Act]) -> Iterator[Cue]:
    return zip(repeat(0.0), acts, strict=False)
