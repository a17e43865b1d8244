"""Dispatching to routes: what they give, what goes wrong in them, and who leaves."""

from typing import Any

from treq.testing import StubTreq
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request
from werkzeug.exceptions import HTTPException, NotFound
from zope.interface.verify import verifyObject

from fakellm.web.routes import Routes


class RoutesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.routes = Routes()
        self.given: Deferred[None] = Deferred(lambda _: self.cancelled.append(True))
        self.cancelled: list[bool] = []
        self.requests: list[Request] = []
        self.add("/waits", lambda _: self.given)
        self.add("/things/<path:name>", self.named)
        self.add("/breaks", lambda _: 1 / 0)
        self.add("/breaks/later", lambda _: fail(ZeroDivisionError()))
        self.add("/refuses", lambda _: fail(NotFound("none of these")))
        self.routes.handle_errors(HTTPException)(self.refused)

    def add(self, path: str, handler: Any) -> None:
        def route(request: Request, **found: Any) -> Any:
            self.requests.append(request)
            return handler(request, **found)

        self.routes.route(path, methods=["GET"], endpoint=path)(route)

    def named(self, request: Request, name: str) -> Deferred[None]:
        request.write(name.encode())
        request.finish()
        return self.given

    def refused(self, request: Any, failure: Any) -> Deferred[None]:
        request.setResponseCode(failure.value.code)
        request.write(type(failure.value).__name__.encode())
        request.finish()
        return Deferred()

    def get(self, path: str, resource: Any = None) -> Any:
        """Ask; what is to come of the answer."""
        client: Any = StubTreq(resource or self.routes.resource())
        asked = client.get(f"http://fakellm.example{path}")
        client.flush()
        return asked

    def answer(self, path: str, resource: Any = None) -> tuple[int, bytes]:
        response = self.successResultOf(self.get(path, resource))
        return response.code, self.successResultOf(response.content())

    def test_it_is_a_resource(self) -> None:
        self.assertTrue(verifyObject(IResource, self.routes.resource()))

    def test_a_route_answers_wherever_it_is_mounted(self) -> None:
        self.assertEqual(self.answer("/things/a/b"), (200, b"a/b"))
        root, below = Resource(), Resource()
        root.putChild(b"here", below)
        below.putChild(b"too", self.routes.resource())
        self.assertEqual(self.answer("/here/too/things/a/b", root), (200, b"a/b"))

    def test_what_a_route_fires_with_is_passed_over(self) -> None:
        asked = self.get("/things/a")
        self.given.callback(None)
        self.assertEqual(self.successResultOf(asked).code, 200)

    def test_errors_of_HTTPs_go_to_their_handler(self) -> None:
        self.assertEqual(self.answer("/nowhere"), (404, b"NotFound"))
        self.assertEqual(self.answer("/refuses"), (404, b"NotFound"))
        client: Any = StubTreq(self.routes.resource())
        asked = client.post("http://fakellm.example/waits")
        client.flush()
        self.assertEqual(self.successResultOf(asked).code, 405)

    def test_what_breaks_is_logged_and_a_500(self) -> None:
        for path in ("/breaks", "/breaks/later"):
            self.assertEqual(self.answer(path)[0], 500)
            self.assertTrue(self.flushLoggedErrors(ZeroDivisionError))

    def test_a_handler_that_breaks_is_logged_and_a_500(self) -> None:
        self.refused = lambda *_: 1 / 0  # type: ignore[assignment, method-assign]
        self.routes = Routes()
        self.routes.handle_errors(HTTPException)(self.refused)
        self.assertEqual(self.answer("/nowhere")[0], 500)
        self.assertTrue(self.flushLoggedErrors(ZeroDivisionError))

    def test_a_client_that_leaves_cancels_its_route(self) -> None:
        asked = self.get("/waits")
        self.assertNoResult(asked)
        self.requests[0].connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.cancelled, [True])
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_what_fails_after_the_answer_is_passed_over(self) -> None:
        self.assertEqual(self.answer("/things/a"), (200, b"a"))
        self.given.errback(NotFound())
        self.assertEqual(self.flushLoggedErrors(), [])
