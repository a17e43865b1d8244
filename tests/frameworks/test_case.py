"""What the tests of frameworks lean on: there is no network, and what is missing is told."""

import socket

from twisted.trial.unittest import SkipTest

from tests.frameworks.case import FrameworkTestCase, framework


class CaseTests(FrameworkTestCase):
    needs = "json"  # is always there

    async def test_other_hosts_are_refused_and_noted(self) -> None:
        asked = self.in_thread(socket.create_connection, ("prices.example", 443))
        await self.fails(socket.gaierror, asked)
        self.assertEqual(self.strangers, ["prices.example"])
        self.strangers.clear()

    def test_what_is_not_installed_is_skipped_with_its_reason(self) -> None:
        with self.assertRaisesRegex(SkipTest, r"no_such.thing is not installed: pip install "):
            framework("no_such.thing")

    def test_what_is_broken_is_not_skipped(self) -> None:
        with self.assertRaises(ModuleNotFoundError):
            framework("json.no_such")
