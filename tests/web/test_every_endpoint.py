"""Whatever is sent to whichever endpoint, none answers with a fault of the server's own."""

import json
from urllib.parse import urlencode

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dialects.contract import places
from tests.dialects.openai.requests import anything
from tests.web.endpoints import HEADERS, ROUTES, EndpointTestCase, filled, good, methods_of

QUERIES = (
    "api-version", "limit", "after", "before", "order", "stream", "starting_after", "include",
    "after_id", "before_id", "metadata[a]", "model",
)  # fmt: skip
many = settings(deadline=None, derandomize=True, max_examples=400, database=None)


@st.composite
def bodies(draw: st.DrawFn, path: str) -> bytes:
    """A good body, one with anything anywhere in it, any JSON, or any bytes."""
    match draw(st.sampled_from(["good", "changed", "changed", "changed", "JSON", "bytes"])):
        case "good":
            return json.dumps(good(path)).encode()
        case "JSON":
            return json.dumps(draw(anything)).encode()
        case "bytes":
            return draw(st.binary(max_size=40))
    body = [good(path)]
    for _ in range(draw(st.integers(1, 2))):
        holder, key = draw(st.sampled_from([*places(body)]))
        holder[key] = draw(anything)
    return json.dumps(body[0]).encode()


class EveryEndpointTests(EndpointTestCase):
    def test_good_bodies_are_taken_everywhere(self) -> None:
        for method, path in ROUTES:
            kept = self.kept()
            where = filled(path, kept) + "?api-version=2024-10-21"
            body = json.dumps(good(path)).encode() if method == "POST" else b""
            answer = self.send(method, where, body, headers=HEADERS)
            if path == "/v1/responses/<response_id>/cancel":  # it is no background response
                self.assertEqual(answer.status, 400, answer.body)
            elif method == "DELETE" and "models" in path:  # which nobody tuned
                self.assertEqual(answer.status, 403, answer.body)
            else:
                self.assertEqual(answer.status, 200, (method, path, answer.body))

    @many
    @given(st.data())
    def test_nothing_is_answered_with_a_fault_of_the_servers_own(self, data: st.DataObject) -> None:
        method, path = data.draw(st.sampled_from(ROUTES))
        kept = self.kept() if "<" in path else {}
        names = data.draw(st.none() | st.text(min_size=1, max_size=5))
        where = filled(path, kept if names is None else dict.fromkeys(kept, names))
        asked = data.draw(
            st.dictionaries(
                st.sampled_from(QUERIES),
                st.sampled_from(["1", "0", "true", "desc", "2024-10-21", "-1", ""])
                | st.text(max_size=5),
                max_size=3,
            )
        )
        if "deployments" in path:
            asked.setdefault("api-version", "2024-10-21")
        given_headers = data.draw(st.sets(st.sampled_from(sorted(HEADERS))))
        if path.startswith("/v1/messages"):
            given_headers |= {"anthropic-version", "x-api-key"}
        answer = self.send(
            method,
            f"{where}?{urlencode(asked, errors='replace')}",
            data.draw(bodies(path)),
            headers={name: HEADERS[name] for name in given_headers},
        )
        self.assertLess(answer.status, 500, answer.body)
        if answer.status >= 400:
            self.assertIn("error", answer.json)
        self.still_answers()

    def still_answers(self) -> None:
        """Check that the next client gets a good answer, and that nothing was logged as wrong."""
        self.assertEqual(self.flushLoggedErrors(), [])
        answer = self.ask(model="m")
        self.assertEqual(answer.json["choices"][0]["message"]["content"], "hello world")

    def test_other_methods_are_refused_everywhere(self) -> None:
        for method, path in ROUTES:
            where = filled(path, {})
            for other in {"PUT", "PATCH", "DELETE", "GET", "POST"} - methods_of(path):
                answer = self.send(other, where, b"{}")
                if path.startswith("/openai/"):  # where Azure finds nothing
                    self.assertEqual(answer.status, 404, answer.body)
                    continue
                self.assertEqual(answer.status, 405, (method, where, answer.body))
                self.assertEqual(
                    {*(answer.header("allow") or "").split(", ")} - {"HEAD"}, methods_of(path)
                )
