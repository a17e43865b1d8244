"""The server without HTTP: decide, admit, tell, play."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from msgspec import Struct
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure as TwistedFailure

from fakellm.dialects import registry
from fakellm.dialects.operations import Operation
from fakellm.engine.admission import Admission
from fakellm.engine.batch import Batch
from fakellm.engine.case import Case
from fakellm.engine.collecting import CollectingWire
from fakellm.engine.entry import Entry
from fakellm.engine.gates import Gates
from fakellm.engine.limits import Limits
from fakellm.engine.pending import GONE, Pending
from fakellm.engine.plates import Plate, Plates
from fakellm.engine.player import Player, Stage
from fakellm.engine.punctuality import Punctuality
from fakellm.engine.sessions import IDLE_SECONDS, Sessions
from fakellm.engine.shelf import BYTES_AT_MOST, Shelf
from fakellm.engine.telling import Faults, Telling, at_once
from fakellm.engine.timer import Timer
from fakellm.engine.troubles import Troubles
from fakellm.faults.afflict import instead
from fakellm.interfaces import IDialect, ITokenizer, IWire
from fakellm.journal.journal import Bounds, Journal
from fakellm.journal.noted import Noted
from fakellm.journal.records import Ended
from fakellm.metrics.tally import Tally
from fakellm.model.asked import Asked
from fakellm.model.prompt import Prompt, Received
from fakellm.model.reply import Failure, Reply
from fakellm.model.stamp import Stamp
from fakellm.model.timeline import Ask, Cue
from fakellm.scenarios.book import Book
from fakellm.scenarios.conduct import RuleConduct
from fakellm.scenarios.course import Course, Regime
from fakellm.scenarios.sessions import session_of
from fakellm.timing.counting import prompt_tokens


class Identity(Struct, frozen=True, kw_only=True):
    """What marks a server's answers as its own.

    ``epoch`` is the Unix time, in seconds, at which the server's clock says zero.
    """

    seed: int = 0
    fingerprint: str = "fp_fakellm"
    epoch: float = 0.0


class Setup(Struct, frozen=True, kw_only=True):
    """How a server is set up.

    Attributes:
        course: how it conducts itself as time goes on; without it, nothing takes time.
        speed: what all times are divided by; 0 means that nothing takes time.
        real: whether its clock is real, so that answers can be late.
        models: the names of those on offer.
        api_keys: the keys that are let in; none given, everybody is.
        strict: refuse what the vendor refuses but a fake need not mind.
        keep_at_most: bytes that what is kept between requests may have, about.
        dialect_at: the dialect that a request is in, for those that the server asks itself.
        journal: how much is kept of requests.
        session_idle: seconds after which a session that asks nothing is forgotten.
        real_seconds: gives real time; the clock's, if left out.
    """

    course: Course | None = None
    speed: float = 1.0
    real: bool = False
    models: tuple[str, ...] = ()
    api_keys: tuple[str, ...] = ()
    strict: bool = False
    keep_at_most: int = BYTES_AT_MOST
    dialect_at: Callable[[Received], IDialect] = registry.ROUTING.dialect_at
    journal: Bounds = Bounds()
    session_idle: float = IDLE_SECONDS
    real_seconds: Callable[[], float] | None = None


class Engine:
    """Answers what dialects decode.

    Args:
        clock: whose time all answers are on.
        book: decides what is said.
        tokenizer: cuts it into tokens.
        identity: what answers are marked with.
        setup: all else.

    Attributes:
        batch: holds back what connections have to send, so that it is sent together.
        gates: where answers stand still.
        shelf: what is kept between requests.
        journal: what came in, and what became of it.
        sessions: who is there.
        tally: what is counted.
        forgetting: is told of each session that is forgotten.
    """

    def __init__(
        self,
        *,
        clock: IReactorTime,
        book: Book,
        tokenizer: ITokenizer,
        identity: Identity,
        setup: Setup = Setup(),  # noqa: B008 -- frozen
    ) -> None:
        self._log = Logger()
        self._seconds: Callable[[], float] = clock.seconds
        self._began = clock.seconds()
        self._book = book
        self._tokenizer = tokenizer
        self._identity = identity
        self._setup = setup
        self._course = Course() if setup.course is None else setup.course
        self._requests = 0
        self._running: set[Player | Pending] = set()
        self._idle: list[Deferred[None]] = []
        self._admission = Admission(clock.seconds)
        self._limits = Limits()
        self._troubles = Troubles()
        self._entry = Entry(
            api_keys=setup.api_keys,
            strict=setup.strict,
            tokenizer=tokenizer,
            admission=self._admission,
            limits=self._limits,
        )
        self.batch = Batch()
        self._plates = Plates(tokenizer)
        self._telling = Telling(
            tokenizer=tokenizer,
            plates=self._plates,
            speed=setup.speed,
            noted=self._struck,
        )
        self.journal = Journal(tokenizer, setup.journal)
        self.gates = Gates(self.journal.held, self.journal.let_go)
        self.shelf = Shelf(at_most_bytes=setup.keep_at_most)
        self.sessions = Sessions(
            setup.real_seconds or clock.seconds, self._drop, idle=setup.session_idle
        )
        self.tally = Tally()
        self.forgetting: list[Callable[[str], object]] = []
        punctuality = Punctuality(clock.seconds) if setup.real else None
        self._stage = Stage(
            timer=Timer(clock, None if punctuality is None else punctuality.lag.note, self.batch),
            gates=self.gates,
            punctuality=punctuality,
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
        return self._entry.barred(dialect, received)

    def answer(
        self,
        dialect: IDialect,
        received: Received,
        wire: IWire,
        *,
        arrived: float | None = None,
    ) -> Deferred[None]:
        """Answer a request.

        Args:
            dialect: that it is in.
            received: the request.
            wire: its client's.
            arrived: when it did, in seconds of the clock, if that was before now.

        Returns:
            A Deferred that fires when all is sent, and stops it when cancelled.
        """
        case = self._case(dialect, received, wire, arrived)
        noted = case.noted
        try:
            prompt = noted.prompt = self._entry.prompt(dialect, received, self.shelf)
            case.lasting = prompt.lasting
            session = noted.session
            asked_for = self._troubles.asked_for(received.headers)
            self._entry.admit(case, prompt, session, self._seconds())
            decision = self._book.decide(prompt, stamp=case.stamp, now=self._now(), session=session)
            noted.decision = decision
            faults = self._troubles.chosen(
                asked_for, decision, case.regime.faults, session=session, stamp=case.stamp
            )
            answer, conduct = decision.answer, decision.conduct
            if prompt.form is not None and conduct is None and not faults:
                plate = self._plate(case, prompt, answer)
                if plate is not None:
                    return self._printed(case, prompt, answer, plate)
        except Exception as error:  # noqa: BLE001 -- whatever broke, the client is told
            return self._apologize(case, error)
        if isinstance(answer, Deferred):
            self.journal.received(noted)
            return self._wait(
                answer,
                case,
                lambda decided: self._perform(case, prompt, decided, conduct, faults),
            )
        return self._perform(case, prompt, answer, conduct, faults)

    def operate(
        self, operation: Operation, found: Mapping[str, str], received: Received, wire: IWire
    ) -> Deferred[None]:
        """Answer a request that is about what is kept, by a path with these variables in it."""
        case = self._case(operation.dialect, received, wire)
        try:
            self._entry.check_key(operation.dialect, received)
            asked = Asked(
                received=received,
                found=found,
                stamp=case.stamp,
                kept=self.shelf,
                models=self._setup.models,
                count=lambda prompt: prompt_tokens(prompt, self._tokenizer),
                strict=self._setup.strict,
            )
            cues = at_once(operation.answer(asked))
        except Exception as error:  # noqa: BLE001 -- whatever broke, the client is told
            return self._apologize(case, error)
        return self._played(cues, case)

    def refuse(
        self, dialect: IDialect, failure: Failure, wire: IWire, received: Received
    ) -> Deferred[None]:
        """Answer a request with an error; the Deferred is as that of `answer`."""
        case = self._case(dialect, received, wire)
        case.noted.answer = failure
        return self._played(at_once(dialect.failure(failure, case.stamp)), case)

    def document(self, dialect: IDialect, body: bytes, wire: IWire) -> Deferred[None]:
        """Answer with a JSON document, unnoted; the Deferred is as that of `answer`."""
        return self.play(at_once(dialect.document(body, self.stamp())), wire)

    def forget(self, session: str) -> bool:
        """Drop all that a session has: rules, positions, states, gates, limits and journal.

        Answers that run go on, but for those that wait at a gate, which are broken off. Whoever
        waits for gates or requests of the session waits no more.

        Returns:
            Whether there was such a session.
        """
        known = self.sessions.drop(session)
        self._drop(session)
        self.journal.start_afresh(session)
        return known

    def reset(self) -> None:
        """Drop what no session has alone: counts, faults, what is kept, and the journal.

        The rules stay, and so do the figures of the server's whole run.
        """
        self._book.reset()
        self._limits.reset()
        self._troubles.reset()
        self.shelf.clear()
        self.journal.start_afresh()

    def _drop(self, session: str) -> None:
        self._book.forget(session)
        self._limits.forget(session)
        self._troubles.forget(session)
        for told in self.forgetting:
            told(session)
        self.gates.forget(session)
        self.journal.delete(session)

    def play(self, cues: Iterator[Cue], wire: IWire) -> Deferred[None]:
        """Play a timeline, whose time begins now."""
        return self._start(Player(self._stage, wire, cues))

    def _start(self, player: Player) -> Deferred[None]:
        self._running.add(player)
        player.done.addBoth(self._ended, player)
        player.start()
        # Of one that lasts, nobody is to wait for more than its client sees; it ends by itself.
        return _until_left(player) if player.lasts else player.done

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
            "queued": self.queued,
        }
        if load.slots is not None:
            state["slots"] = load.slots
            state["queue_time"] = round(self._admission.longest_wait, 3)
        if self._stage.punctuality is not None:
            state["pace"] = self._stage.punctuality.told()
        state["faults"] = self._troubles.struck
        return state

    @property
    def limits(self) -> Limits:
        """The limits of requests, those that hold now."""
        self._regime()
        return self._limits

    @property
    def troubles(self) -> Troubles:
        """The faults."""
        return self._troubles

    @property
    def queued(self) -> int:
        """How many of them wait for a slot."""
        return self._admission.queued

    @property
    def punctuality(self) -> Punctuality | None:
        """Whether it keeps its pace; ``None`` where time is virtual."""
        return self._stage.punctuality

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
        regime = self._course.at(passed * (self._setup.speed or 1.0))
        self._admission.follow(regime.load)
        self._limits.replace(regime.limits)
        return regime

    def _case(
        self, dialect: IDialect, received: Received, wire: IWire, arrived: float | None = None
    ) -> Case:
        stamp = self.stamp()
        begins = self._seconds() if arrived is None else arrived
        session = session_of(received, dialect.api_key(received))
        self.sessions.begin(session)
        self.tally.begin(dialect.name)
        return Case(
            dialect=dialect,
            stamp=stamp,
            regime=self._regime(),
            wire=wire,
            begins=begins,
            noted=Noted(
                number=self._requests,
                id=stamp.request_id,
                at=self._identity.epoch + begins,
                received=received,
                dialect=dialect.name,
                session=session,
                delivery=self.journal.delivery(begins),
            ),
        )

    def _struck(self, noted: Noted, fault: str) -> None:
        if self._troubles.note(noted, fault):
            self.journal.struck(noted, fault)

    def _case_ended(self, case: Case) -> None:
        noted = case.noted
        case.end(self._seconds)
        self.sessions.end(noted.session)
        self.tally.note(noted)
        self.journal.ended(noted)

    def _wait(
        self, awaited: "Deferred[Any]", case: Case, perform: Callable[[Any], Deferred[None]]
    ) -> Deferred[None]:
        """Go on once something has been decided; a client that does not wait stops it."""
        pending = Pending(awaited, case.wire)
        self._running.add(pending)

        def arrived(result: Any) -> Deferred[None] | None:
            playing = None
            if result is GONE:
                how: Ended = "aborted" if pending.aborted else "client_left"
                case.noted.delivery.ended(how, self._seconds())
                self._case_ended(case)
            else:
                case.begins = self._seconds()
                playing = perform(result)
            self._ended(None, pending)
            return playing

        return pending.done.addBoth(arrived)

    def _perform(
        self,
        case: Case,
        prompt: Prompt,
        answer: Reply | Failure | TwistedFailure,
        conduct: RuleConduct | None,
        faults: Faults,
    ) -> Deferred[None]:
        """Say what was decided, in a slot, and as the faults will have it."""
        try:
            if isinstance(answer, TwistedFailure):
                answer.raiseException()
            noted = case.noted
            noted.answer = answer
            replaced = instead(faults, partial(self._struck, noted)) if faults else None
            of_rule = None if conduct is None else conduct.timing
            timing = case.regime.timings.choose(prompt.model, of_rule, prompt.received.headers)
            if replaced is not None:
                said = replaced
                noted.answer = replaced if isinstance(replaced, Failure) else None
            elif not isinstance(answer, Reply):
                said = answer
            else:
                place = case.place = self._admission.enter()
                if not place.has_slot:
                    self.journal.received(noted)

                def say(_: object = None) -> Deferred[None]:
                    try:
                        cues = self._telling.reply(case, prompt, answer, timing, faults)
                    except Exception as error:  # noqa: BLE001 -- as below
                        return self._apologize(case, error)
                    return self._played(cues, case)

                return say() if place.has_slot else self._wait(place.granted, case, say)
            # An error takes time only where the rule that gives it says so.
            timing = None if of_rule is None else timing
            cues = self._telling.instead(case, said, timing, faults)
        except Exception as error:  # noqa: BLE001 -- whatever broke, the client is told
            return self._apologize(case, error)
        return self._played(cues, case)

    def _plate(self, case: Case, prompt: Prompt, answer: object) -> Plate | None:
        """What an answer can be printed of at once, as it takes no time and counts for no limit."""
        regime = case.regime
        if (
            type(answer) is not Reply
            or case.admitted is not None
            or regime.load.slots is not None
            or regime.timings.choose(prompt.model, None, prompt.received.headers) is not None
        ):
            return None
        return self._plates.plate(case.dialect, prompt, answer, regime.framing, case.stamp)

    def _printed(self, case: Case, prompt: Prompt, answer: Any, plate: Plate) -> Deferred[None]:
        """Send an answer all at once."""
        noted, seconds = case.noted, self._seconds
        count = self._plates.count(prompt)
        whole = plate.printed(case.stamp, count)
        noted.answer, noted.usage = answer, plate.usage(count)
        case.wire.whole(whole)
        noted.delivery.whole(
            whole.status, seconds(), len(whole.body), plate.chunks, has_token=plate.has_token
        )
        self._case_ended(case)
        return succeed(None)

    def _played(self, cues: Iterator[Cue], case: Case) -> Deferred[None]:
        self.journal.received(case.noted)
        player = Player(self._stage, case.wire, cues, case.manner(), case.begins)
        player.done.addBoth(lambda _: self._case_ended(case))
        return self._start(player)

    def _apologize(self, case: Case, error: Exception) -> Deferred[None]:
        return self._played(self._telling.apology(case, error), case)

    def _ask(self, ask: Ask) -> None:
        """Answer a request that no client waits for."""
        wire = CollectingWire()

        def keep(_: object) -> None:
            for thing in ask.then(wire.status, wire.body):
                self.shelf.put(thing)

        answered = self.answer(self._setup.dialect_at(ask.received), ask.received, wire)
        answered.addBoth(keep).addErrback(
            lambda failure: self._log.failure("An answer could not be kept.", failure)
        )


def _until_left(player: Player) -> Deferred[None]:
    """Fires when an answer that lasts has ended; cancelled, its client has gone, and it goes on."""

    def fire() -> None:
        if not until.called:
            until.callback(None)

    def left(_: Deferred[None]) -> None:
        player.stop()
        fire()

    until: Deferred[None] = Deferred(left)
    player.done.addBoth(lambda _: fire())
    return until
