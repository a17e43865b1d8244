"""`Client` over a socket, to a server in another process; and how workers share one."""

import json
import os
import threading
import urllib.request
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import fakellm
from fakellm import hold
from fakellm.testing import Client, ControlError, NotStarted, Unreachable
from fakellm.testing.environment import from_here
from fakellm.testing.events import Feed
from fakellm.testing.sharing import shared_url
from tests import fronts
from tests.processes import get
from tests.testing.asking import asked


def ask(llm: Client, user: str) -> str:
    """Ask, and wait for the answer."""
    request = urllib.request.Request(  # noqa: S310
        f"{llm.openai_url}/chat/completions",
        json.dumps(asked(user)).encode(),
        {"Authorization": f"Bearer {llm.api_key}"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        said: str = json.load(answer)["choices"][0]["message"]["content"]
    return said


class OverSocketsTests(SynchronousTestCase):
    def test_it_steers_a_server_in_another_process(self) -> None:
        with fakellm.running(control_token="secret", http=fronts.HTTP) as llm:
            self.assert_waits(llm)
            self.assert_follows(llm)
            with self.assertRaisesRegex(ControlError, "408 Request Timeout"):
                llm.wait_for(100, timeout=0.01)
            with self.assertRaisesRegex(ControlError, "401 Unauthorized"):
                Client(llm.url).rules()
            with self.assertRaisesRegex(Unreachable, "^GET /_fakellm/events: 401 "):
                Client(llm.url).events().__enter__()

    def test_one_that_listens_everywhere_is_reached_on_this_machine(self) -> None:
        """By an address that the control API obeys there."""
        everywhere = "tcp:0:interface=0.0.0.0"
        with fakellm.running(listen=everywhere, control_token="secret") as llm:
            self.assertRegex(llm.url, r"^http://127\.0\.0\.1:[0-9]+$")
            llm.when(user="hi").reply("Hello.")
            self.assertEqual(ask(llm, "hi"), "Hello.")

    def assert_waits(self, llm: Client) -> None:
        one = llm.in_session("one")
        one.when(user="hi").reply("Hello.", hold=hold("door"))
        said: list[str] = []
        asking = threading.Thread(target=lambda: said.append(ask(one, "hi")))
        asking.start()
        self.assertEqual(one.gate("door").wait(1).waiting, 1)
        self.assertEqual(said, [])
        one.gate("door").release()
        asking.join()
        self.assertEqual(said, ["Hello."])
        self.assertEqual(one.wait_for(user="hi", ended="finished"), one.requests)
        self.assertEqual(llm.in_session("two").requests, [])

    def assert_follows(self, llm: Client) -> None:
        with llm.events("ended") as events:
            ask(llm, "hi")
            self.assertEqual(next(events).entry.delivery.ended, "finished")


class FeedTests(SynchronousTestCase):
    def test_what_was_dropped_is_counted(self) -> None:
        feed = Feed()
        dropped = b'event: dropped\ndata: {"dropped": 3}\n\n'
        self.assertEqual(feed.take(b": welcome\n\n" + dropped + dropped[:9]), [])
        self.assertEqual(feed.take(dropped[9:]), [])
        self.assertEqual(feed.dropped, 6)


class FromHereTests(SynchronousTestCase):
    def test_an_address_that_is_all_addresses_is_this_machine_s(self) -> None:
        for url, here in (
            ("http://0.0.0.0:3500", "http://127.0.0.1:3500"),
            ("https://[::]:3500", "https://[::1]:3500"),
            ("http://127.0.0.1:3500", "http://127.0.0.1:3500"),
            ("http://10.0.0.0:3500", "http://10.0.0.0:3500"),
        ):
            self.assertEqual(from_here(url), here)


class SharingTests(SynchronousTestCase):
    """What workers of xdist do, each in its process."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir()
        os.mkfifo(self.folder / "lifeline")
        self.held = os.open(self.folder / "lifeline", os.O_RDWR)

    def test_the_first_starts_it_and_the_others_find_it(self) -> None:
        urls = [shared_url(self.folder, ["--answer", "x"], self.folder) for _ in range(2)]
        self.assertEqual(len(set(urls)), 1)
        self.assertEqual(Client(urls[0]).settings["answer"], "x")
        with Client(urls[0]).events() as events:
            os.close(self.held)
            self.assertEqual(list(events), [])  # it ends, and so does its feed
        with self.assertRaises(OSError):
            get(urls[0])

    def test_one_that_does_not_start_is_told_each_time(self) -> None:
        self.addCleanup(os.close, self.held)
        for _ in range(2):
            with self.assertRaisesRegex(NotStarted, "option --bogus"):
                shared_url(self.folder, ["--bogus"], self.folder)
