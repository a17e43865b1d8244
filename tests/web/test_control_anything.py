"""Whatever is sent to the control API, it answers as it is described, and never with a 500."""

import json
from typing import Any
from urllib.parse import quote

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.testing import MemoryReactorClock

from fakellm.faults.spec import FAULTS
from tests.web.described import BASE, ControlTestCase, description

OPERATIONS = sorted(
    (method.upper(), path.removeprefix(BASE))
    for path, operations in description()["paths"].items()
    for method in operations
    if path not in {f"{BASE}/events", f"{BASE}/requests/wait"}  # which wait
)
NAMES = sorted(
    {
        name
        for schema in description()["components"]["schemas"].values()
        for name in schema.get("properties", ())
    }
)
WORDS = st.sampled_from(["a", "", "gate", "r1", "default", "hang", "(", "{{ x", "error 429", "2s"])
VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(0, 5) | WORDS | st.text(max_size=9),
    lambda inside: (
        st.lists(inside, max_size=3)
        | st.dictionaries(st.sampled_from([*NAMES, *FAULTS]), inside, max_size=3)
    ),
    max_leaves=9,
)
QUERIES = st.dictionaries(
    st.sampled_from(["session", "status", "last", "after", "source", "kind", "text", "x"]),
    WORDS | st.integers().map(str),
    max_size=2,
)


def bodies(method: str, path: str) -> Any:
    """Bodies of JSON, most with the fields that the operation takes."""
    operation = description()["paths"][f"{BASE}{path}"][method.lower()]
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    names = NAMES
    if content is not None:
        reference = content["schema"].get("$ref", "").rpartition("/")[2]
        schema = description()["components"]["schemas"].get(reference, {})
        names = sorted(schema.get("properties", NAMES)) or NAMES
    fields = st.dictionaries(st.sampled_from(names), VALUES, max_size=3)
    return (fields | VALUES).map(json.dumps).map(str.encode)


class AnythingTests(ControlTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.serve(reactor=MemoryReactorClock())

    @settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.data())
    def test_it_is_done_or_told_why_not(self, data: st.DataObject) -> None:
        method, path = data.draw(st.sampled_from(OPERATIONS))
        body = data.draw(bodies(method, path) | st.binary(max_size=20))
        for variable in ("{id}", "{name}"):
            path = path.replace(variable, quote(data.draw(WORDS.filter(bool)), safe=""))
        query = "&".join(f"{k}={quote(v)}" for k, v in data.draw(QUERIES).items())
        answer = self.request(method, f"{BASE}{path}?{query}", body)
        self.assertNotEqual(answer.status, 500, answer.body)
