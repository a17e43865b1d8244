"""Questions asked on a clock of the test's own, and what comes of them when."""

import json
import textwrap
from pathlib import Path
from typing import Any

from tests.servers import CHAT, MemoryTestCase, asking, events_of


class Asked:
    """A question, whose answer's head may not be there yet.

    Attributes:
        status: of the answer, once there is one.
        body: what has come of it so far.
        ended: whether all of it has come.
    """

    def __init__(self, case: MemoryTestCase, headers: dict[str, str], fields: dict[str, Any]):
        if not hasattr(case, "client"):
            case.serve()
        client: Any = case.client  # StubTreq makes its methods at run time
        self.case = case
        self.start = case.clock.seconds()
        self.status: int | None = None
        self.body = b""
        self.ended = False
        self._headers: Any = None
        self._response: Any = None
        self.asked = client.request(
            "POST",
            f"http://fakellm.example{CHAT}",
            data=json.dumps(asking(**fields)).encode(),
            unbuffered=True,
            headers=headers,
        )
        self.asked.addCallback(self._head)
        case.flush()

    def _head(self, response: Any) -> None:
        self.status = response.code
        self._headers = response.headers
        self._response = response
        response.collect(self._more).addBoth(self._end)

    def _more(self, data: bytes) -> None:
        self.body += data

    def _end(self, _: object) -> None:
        self.ended = True

    def header(self, name: str) -> str | None:
        """A header of the answer."""
        values = self._headers.getRawHeaders(name)
        return values[0] if values else None

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    def leave(self) -> None:
        """Close the connection, answered or not."""
        if self.status is None:
            self.asked.addErrback(lambda _: None)
            self.asked.cancel()
        else:
            self._response.original._transport.loseConnection()
        self.case.flush()

    @property
    def words(self) -> list[str]:
        """The texts of the deltas that have come so far."""
        chunks = [json.loads(e.data) for e in events_of(self.body) if e.data != "[DONE]"]
        texts = [each["delta"].get("content") for c in chunks for each in c["choices"]]
        return [text for text in texts if text]

    def arrivals(self, step: float = 0.125, seconds: float = 20.0) -> list[float]:
        """When each delta comes, and last the end, as the clock is advanced."""
        times: list[float] = []
        while (now := self.case.clock.seconds() - self.start) < seconds:
            times += [now] * (len(self.words) - len(times))
            if self.ended:
                return [*times, now]
            self.case.clock.advance(step)
            self.case.flush()
        raise AssertionError(f"no end in {seconds} s: {self.body!r}")

    def end(self, step: float = 0.125, seconds: float = 20.0) -> float:
        """When the whole answer has come."""
        while (now := self.case.clock.seconds() - self.start) < seconds:
            if self.ended:
                return now
            self.case.clock.advance(step)
            self.case.flush()
        raise AssertionError(f"no end in {seconds} s: {self.body!r}")


class TimedTestCase(MemoryTestCase):
    """Tests that look at when answers come."""

    def stream(self, *, headers: dict[str, str] | None = None, **fields: Any) -> Asked:
        """Ask for a stream."""
        return Asked(self, headers or {}, {"stream": True, **fields})

    def whole(self, *, headers: dict[str, str] | None = None, **fields: Any) -> Asked:
        """Ask for an answer in one piece."""
        return Asked(self, headers or {}, fields)

    def health(self) -> Any:
        """What the server says of itself."""
        return self.request("GET", "/health").json


class ScenarioTestCase(TimedTestCase):
    """Tests of what a scenario says of time."""

    def scenario(self, text: str, **settings: Any) -> None:
        """Make a server that goes by a scenario."""
        path = Path(self.mktemp())
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        self.serve(scenario=[str(path)], **settings)
