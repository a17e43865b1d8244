"""The one place that joins the parts: settings and a reactor in, a service out."""

import hashlib
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Literal, Unpack

import msgspec
from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.web.resource import IResource

import fakellm
from fakellm.config import Config
from fakellm.dialects import registry
from fakellm.engine.beat import beat
from fakellm.engine.clock import VirtualClock
from fakellm.engine.door import Door
from fakellm.engine.drain import drain
from fakellm.engine.garbage import Tidying
from fakellm.engine.gates import Gate
from fakellm.engine.lingering import Lingering
from fakellm.engine.patience import in_time, turns, wait
from fakellm.engine.service import Engine, Identity, Setup
from fakellm.engine.sessions import SessionRecord
from fakellm.engine.watching import Watching
from fakellm.interfaces import ITokenizer
from fakellm.journal.file import CallFromThread, JournalFile
from fakellm.journal.journal import Bounds, Journal
from fakellm.listening import Listening
from fakellm.scenarios.course import Conducted
from fakellm.scenarios.library import Library, Options
from fakellm.scenarios.mistakes import BadScenario, Mistake
from fakellm.scenarios.sessions import DEFAULT_SESSION
from fakellm.scenarios.speaking import Surroundings
from fakellm.scenarios.words import Conditions, RuleMaker, Test
from fakellm.timing.tokens import tokenizer
from fakellm.web import site as bodies
from fakellm.web.api import Api
from fakellm.web.connections import Connections
from fakellm.web.control import Control, Over
from fakellm.web.front.factory import Front
from fakellm.web.front.limits import Limits
from fakellm.web.site import FakeSite

_CLOSING_TAKES_AT_MOST_SECONDS = 1.0
_TURNS_TO_WRITE = 2  # in the first one the sockets are written to, and the second one follows it
VIRTUAL_EPOCH = 1_767_225_600.0  # 2026-01-01T00:00:00Z


class FakeLLM(MultiService):
    """A fake LLM server: a service that listens, and a resource to mount in a server of yours.

    Any number of them live in one process, each with its own state. Making one binds nothing and
    schedules nothing.

    Args:
        config: the settings, as a whole; without it they are made of ``settings``.
        reactor: where to listen; Twisted's installed one by default, and only when it is needed.
        clock: whose time answers are on; the reactor by default. On a `twisted.internet.task.Clock`
            time stands still until it is advanced, and answers are dated from 2026 on. The word
            ``virtual`` makes one, on which each call sees its own time.
        **settings: single settings, by the names of `Config`'s fields, such as ``port=0``.

    Raises:
        BadSetting: a setting is not what it has to be.
        BadScenario: a scenario file is wrong; all mistakes are told.
        TypeError: a setting has a name that none has, or there is a ``config`` as well.

    Attributes:
        resource: the `IResource` of the API.
        clock: whose time answers are on.
    """

    def __init__(
        self,
        config: Config | None = None,
        *,
        reactor: Any = None,
        clock: IReactorTime | Literal["real", "virtual"] | None = None,
        **settings: Any,
    ) -> None:
        MultiService.__init__(self)
        self._log = Logger()
        if isinstance(clock, str):
            settings["clock"], clock = clock, None
        if config is not None and settings:
            raise TypeError("give a config or single settings, not both")
        self.config = Config.of(**settings) if config is None else config
        self._reactor = _the_reactor() if reactor is None else reactor
        counting = tokenizer(self.config.tokenizer)
        self._library = library_of(self.config, counting)
        self._tell(self._library.warnings)
        if clock is None and self.config.clock == "virtual":
            clock = VirtualClock()
        self.clock: IReactorTime = self._reactor if clock is None else clock
        self._engine = engine_of(
            self.config,
            self._library,
            counting,
            clock=self.clock,
            epoch=0.0 if clock is None else VIRTUAL_EPOCH,
            real=clock is None,
            real_seconds=self._reactor.seconds,
        )
        self._engine.forgetting.append(self._library.clear)
        self._file: JournalFile | None = None
        if self.config.journal is not None:
            call = _from_threads(self._reactor)
            self._file = self._engine.journal.sink = JournalFile(self.config.journal, call)
        self._lingering = Lingering(self._reactor)
        self._door = Door(self.clock, self._reactor)
        Service.setServiceParent(self._door, self)
        routing = registry.routing(self.config.flavour, self.config.vllm_model)
        self._control = Control(
            Over(
                settings=self.config.shown(),
                clock=self.clock,
                engine=self._engine,
                library=self._library,
            ),
            token=self.config.control_token,
            max_body=self.config.max_body,
            turned=partial(turns, self._reactor, _TURNS_TO_WRITE),
            in_time=lambda ended, seconds: in_time(ended, self._reactor, seconds),
            every=partial(beat, self._reactor),
        )
        api = Api(
            self._engine,
            prefixes=self.config.prefix,
            max_body=self.config.max_body,
            about=_about(routing),
            lingering=self._lingering,
            door=self._door,
            routing=routing,
            control=self._control,
        )
        self.resource: IResource = api.resource()
        site = FakeSite(
            self.resource,
            reactor=self._reactor,
            max_body=self.config.max_body,
            seconds=self.clock.seconds,
            verbose=self.config.log_level == "debug",
        )
        front: Any = site
        if self.config.http == "fast":
            limits = Limits(body=self.config.max_body, drained=bodies.DRAINED_AT_MOST)
            front = Front(site, api, reactor=self._reactor, limits=limits, batch=self._engine.batch)
        self._connections = Connections(front, self._reactor, self._door.turns_away)
        self._listening = Listening(
            self._reactor, self._connections, self.config.listen, self.config.port
        )
        self._door.stands_at(self._listening)
        Service.setServiceParent(self._listening, self)
        self._watching = Watching(self._reactor, self._library.watched, self._reread)
        if self.config.watch and self.config.scenario:
            Service.setServiceParent(self._watching, self)

    @property
    def urls(self) -> tuple[str, ...]:
        """Where it listens, once started: base URLs without a path."""
        return self._listening.urls

    @property
    def journal(self) -> Journal:
        """What came in, and what became of it."""
        return self._engine.journal

    def when(
        self,
        test: Test | None = None,
        /,
        *,
        session: str | None = None,
        **conditions: Unpack[Conditions],
    ) -> RuleMaker:
        """Begin a rule in Python, which comes before those of files.

        ``llm.when(user=contains("hello"), step=1).reply(text("Hi"))``: by name the conditions that
        a scenario file has, and, first, a function of the prompt that has to hold as well. With a
        ``session`` it is that one's own, and comes before all that hold for every session.

        Raises:
            TypeError: a condition has a name that none has, or a value that none takes.
        """
        if session is not None:
            self._engine.sessions.touch(session)
        return self._library.when(test, session=session, **conditions)

    def gate(self, name: str, session: str = DEFAULT_SESSION) -> Gate:
        """A gate at which rules hold answers: see who waits there, and let them go on."""
        return self._engine.gates.gate(name, session)

    def sessions(self) -> list[SessionRecord]:
        """The sessions that there are."""
        return self._engine.sessions.all()

    def forget(self, session: str) -> bool:
        """Drop all that a session has: rules, positions, states, gates, limits and journal.

        Answers that run go on, but for those that wait at a gate, which are broken off. Whoever
        waits for gates or requests of the session waits no more.

        Returns:
            Whether there was such a session.
        """
        return self._engine.forget(session)

    def reload(self) -> bool:
        """Read the scenario files again; running answers go on as they are.

        Returns:
            Whether they were in order; if not, the rules stay as they were, and the log says why.
        """
        return self._watching.read()

    def tidying(self) -> Tidying:
        """A service that keeps the garbage collector from its streams, for who owns the process."""
        return Tidying(self._reactor, lambda: self._engine.running)

    def _reread(self) -> bool:
        try:
            self._library.reload()
        except BadScenario as bad:
            self._tell(bad.mistakes)
            self._log.error("the scenario files are wrong: the rules stay as they were")
            return False
        self._tell(self._library.warnings)
        rules = sum(rule.written and bool(rule.where) for rule in self._library.book.rules)
        self._log.info("the scenario files were read again; rules: {rules}", rules=rules)
        return True

    def _tell(self, mistakes: Iterable[Mistake]) -> None:
        for mistake in mistakes:
            tell = self._log.error if mistake.severity == "error" else self._log.warn
            tell("{mistake}", mistake=str(mistake))

    def startService(self) -> None:  # noqa: N802 -- IService's name
        """Start what is behind the sockets."""
        if self._file is not None:
            self._file.start()
        MultiService.startService(self)

    def stopService(self) -> Deferred[None]:  # noqa: N802 -- IService's name
        """Stop listening, let running answers end for ``grace`` seconds, break the rest off."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        await MultiService.stopService(self)
        cut = await drain(self._engine, self._reactor, self.config.grace)
        if cut:
            self._log.warn("{cut} running answers were broken off", cut=cut)
        self._engine.shelf.clear()
        self._control.close()
        self._lingering.hurry()
        closed = self._connections.close()
        await wait(closed, self._reactor, _CLOSING_TAKES_AT_MOST_SECONDS, self._connections.abort)
        if self._file is not None:
            self._file.stop()


def library_of(config: Config, counting: ITokenizer) -> Library:
    """The rules that settings name.

    Raises:
        BadScenario: a file is wrong.
    """
    return Library(
        config.scenario,
        options=Options(
            models=config.models,
            echo_model=config.echo_model,
            strict=config.strict,
            prompt_commands=config.prompt_commands,
            conduct=conduct_of(config),
        ),
        surroundings=Surroundings(tokenizer=counting, seed=config.seed, answer=config.answer),
    )


def conduct_of(config: Config) -> Conducted:
    """How answers are given, by settings."""
    return Conducted(
        timing=config.timing,
        load=config.load,
        framing=config.framing,
        late=config.late,
        limits=config.limits,
        context_length=config.context_length or None,
        faults=config.fault,
    )


def engine_of(
    config: Config,
    library: Library,
    counting: ITokenizer,
    *,
    clock: IReactorTime,
    epoch: float,
    real: bool = False,
    real_seconds: Callable[[], float] | None = None,
) -> Engine:
    """What answers as settings and rules say.

    Args:
        config: the settings.
        library: the rules.
        counting: cuts answers into tokens.
        clock: whose time answers are on.
        epoch: the Unix time, in seconds, at which the clock says zero.
        real: whether the clock is real, so that answers can be late.
        real_seconds: gives real time; the clock's, if left out.
    """
    return Engine(
        clock=clock,
        book=library.book,
        tokenizer=counting,
        identity=Identity(seed=config.seed, fingerprint=_fingerprint(config), epoch=epoch),
        setup=Setup(
            course=library.course,
            speed=config.speed,
            real=real,
            models=config.models,
            api_keys=config.api_key,
            strict=config.strict_requests,
            keep_at_most=config.keep_at_most,
            dialect_at=registry.routing(config.flavour, config.vllm_model).dialect_at,
            journal=Bounds(
                entries=config.journal_size,
                bytes=config.journal_memory,
                body=config.journal_body,
            ),
            session_idle=config.session_idle,
            real_seconds=real_seconds,
        ),
    )


def _from_threads(reactor: Any) -> CallFromThread:
    """How a thread has something done by the reactor; at once where the reactor is but a clock."""
    call: CallFromThread = getattr(reactor, "callFromThread", lambda function: function())
    return call


def _the_reactor() -> Any:
    from twisted.internet import reactor  # noqa: PLC0415 -- importing it installs one

    return reactor


def _fingerprint(config: Config) -> str:
    said = msgspec.json.encode((fakellm.__version__, config.seed, config.answer))
    return "fp_" + hashlib.blake2b(said, digest_size=5).hexdigest()


def _about(routing: registry.Routing) -> dict[str, Any]:
    return {
        "name": "fakellm",
        "version": fakellm.__version__,
        "endpoints": [
            *(f"POST {endpoint.path}" for endpoint in routing.endpoints),
            "GET /v1/models",
            "GET /health",
            "GET /metrics",
        ],
    }
