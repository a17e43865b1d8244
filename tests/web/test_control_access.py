"""Who may use the control API, what it says of itself, and the settings it shows."""

from typing import Any
from unittest import mock

from jsonschema import Draft202012Validator
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.web.http_headers import Headers
from twisted.web.server import Request

from fakellm import Config
from fakellm.config import BadSetting
from fakellm.web.control import safety
from tests.servers import LiveTestCase
from tests.web.described import BASE, ControlTestCase, description

TOKEN = "control-token-1"


class TokenTests(ControlTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.serve(control_token=TOKEN)

    def status(self, **headers: str) -> int:
        sent = Headers({name.replace("_", "-"): [value] for name, value in headers.items()})
        return self.request("GET", f"{BASE}/rules", headers=sent).status

    def test_once_it_is_set_everybody_needs_it(self) -> None:
        answer = self.request("GET", f"{BASE}/openapi.json")
        self.assertEqual((answer.status, answer.header("WWW-Authenticate")), (401, "Bearer"))
        self.assertIn("the control token is missing", answer.json["detail"])
        self.assertEqual(self.status(Authorization=f"Bearer {TOKEN}"), 200)
        self.assertEqual(self.status(Authorization=f"bearer  {TOKEN} "), 200)
        self.assertEqual(self.status(X_FakeLLM_Control_Token=TOKEN), 200)

    def test_another_is_refused(self) -> None:
        for other in ("", "x", TOKEN[:-1], f"{TOKEN}1", TOKEN.upper(), "é"):
            self.assertEqual(self.status(X_FakeLLM_Control_Token=other), 401, other)
            self.assertEqual(self.status(Authorization=f"Bearer {other}"), 401, other)
        self.assertEqual(self.status(Authorization=f"Basic {TOKEN}"), 401)

    def test_it_is_compared_in_constant_time(self) -> None:
        with mock.patch("hmac.compare_digest", return_value=True) as compared:
            self.status(X_FakeLLM_Control_Token="other")
        compared.assert_called_once_with(b"other", TOKEN.encode())

    def test_the_api_of_the_models_needs_none(self) -> None:
        self.assertEqual(self.said("a"), "hello world")

    def come_in_on(self, address: object) -> None:
        self.patch(safety, "over_socket", lambda _: True)
        self.patch(Request, "getHost", lambda _: address)

    def test_with_it_other_machines_may_ask_as_well(self) -> None:
        for address in (IPv4Address("TCP", "10.0.0.1", 80), UNIXAddress("s"), object()):
            self.come_in_on(address)
            for host in ("fakellm.internal", "10.0.0.1:80"):
                self.assertEqual(self.status(X_FakeLLM_Control_Token=TOKEN, Host=host), 200)
                self.assertEqual(self.status(Host=host), 401)

    def test_pages_of_other_origins_may_not_even_with_it(self) -> None:
        status = self.status(X_FakeLLM_Control_Token=TOKEN, Origin="http://evil.example")
        self.assertEqual(status, 403)

    def test_rebound_names_of_this_machine_may_not_either(self) -> None:
        self.come_in_on(IPv4Address("TCP", "127.0.0.1", 80))
        self.assertEqual(self.status(X_FakeLLM_Control_Token=TOKEN, Host="evil.example"), 403)
        self.assertEqual(self.status(X_FakeLLM_Control_Token=TOKEN, Host="localhost"), 200)


class SettingTests(ControlTestCase):
    def test_they_are_shown_with_secrets_masked(self) -> None:
        self.serve(api_key=["key-1", "key-2"], control_token=TOKEN, port=0)
        answer = self.request(
            "GET",
            f"{BASE}/settings",
            headers={"X-FakeLLM-Control-Token": TOKEN},
        )
        settings = answer.json["settings"]
        self.assertEqual(settings["port"], 0)
        self.assertEqual(settings["api_key"], ["***", "***"])
        self.assertEqual(settings["control_token"], "***")
        for secret in (TOKEN, "key-1"):
            self.assertNotIn(secret, answer.body.decode())

    def test_a_token_that_is_none(self) -> None:
        self.assertEqual(Config().shown()["control_token"], "")
        for token in ("a b", "é", "a\n b", "x" * 1001, 1):
            problem = self.assertRaises(BadSetting, Config.of, control_token=token)
            self.assertNotIn(str(token), str(problem))
        self.assertNotIn(TOKEN, repr(Config.of(control_token=TOKEN)))


class DescriptionTests(ControlTestCase):
    def test_every_schema_in_it_is_one(self) -> None:
        described = description()
        self.assertEqual(described["openapi"], "3.1.0")
        for name, schema in described["components"]["schemas"].items():
            self.assertRegex(name, r"\A[A-Za-z0-9._-]+\Z")
            Draft202012Validator.check_schema(schema)

    def test_every_reference_leads_somewhere(self) -> None:
        described = description()
        known = {f"#/components/schemas/{name}" for name in described["components"]["schemas"]}
        self.assertEqual(_references(described) - known, set())

    def test_every_operation_has_a_name_and_says_what_may_go_wrong(self) -> None:
        operations = [each for path in description()["paths"].values() for each in path.values()]
        names = [each["operationId"] for each in operations]
        self.assertEqual(len(set(names)), len(names))
        for each in operations:
            self.assertTrue(each["summary"].endswith("."))
            self.assertLessEqual({"400", "401", "403", "500"}, set(each["responses"]))

    def test_the_variables_of_paths_are_parameters(self) -> None:
        for path, operations in description()["paths"].items():
            for operation in operations.values():
                named = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
                self.assertEqual(named, {n[1:-1] for n in path.split("/") if n.startswith("{")})


class LiveTokenTests(LiveTestCase):
    """On a listener that other machines reach."""

    async def ask(self, url: str, **headers: str) -> int:
        sent = Headers({name.replace("_", "-"): [value] for name, value in headers.items()})
        response = await self.client.get(f"{url}{BASE}/rules", headers=sent)
        await response.content()
        code: int = response.code
        return code

    async def test_it_opens_the_api_there(self) -> None:
        url = self.serve(listen=["tcp:0:interface=0.0.0.0"], control_token=TOKEN)
        url = url.replace("0.0.0.0", "127.0.0.1")  # noqa: S104 -- what it listens on
        self.assertEqual(await self.ask(url), 401)
        self.assertEqual(await self.ask(url, X_FakeLLM_Control_Token=TOKEN), 200)


def _references(value: Any) -> set[str]:
    match value:
        case {"$ref": str() as reference}:
            return {reference}
        case dict():
            return set().union(*map(_references, value.values()))
        case list():
            return set().union(*map(_references, value))
    return set()
