"""Faults that are ordered for the next requests."""

from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from fakellm.faults.fault import Fault
from fakellm.faults.orders import Order, Orders, TooManyOrders


class OrderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.orders = Orders()

    def add(self, name: str, session: str | None = None, requests: int | None = 1) -> Order:
        return self.orders.add([name], [Fault(name=name)], session=session, requests=requests)

    def taken(self, session: str = "s") -> str | None:
        order = self.orders.take(session)
        return None if order is None else order.faults[0].name

    def test_nothing_ordered_is_nothing_taken(self) -> None:
        self.assertIsNone(self.taken())

    def test_in_the_order_of_ordering_so_many_times_each(self) -> None:
        self.add("hang", requests=2)
        self.add("reset")
        self.assertEqual([self.taken() for _ in range(4)], ["hang", "hang", "reset", None])

    def test_what_is_a_sessions_own_comes_first_and_is_nobody_elses(self) -> None:
        self.add("hang")
        self.add("reset", session="s")
        self.add("close", session="other")
        self.assertEqual([self.taken() for _ in range(3)], ["reset", "hang", None])
        self.assertEqual([order.session for order in self.orders.all()], ["other"])

    def test_until_it_is_cancelled(self) -> None:
        order = self.add("hang", requests=None)
        self.assertEqual([self.taken() for _ in range(3)], ["hang"] * 3)
        self.assertEqual((order.left, order.taken), (None, 3))
        self.assertTrue(self.orders.cancel(order.id))
        self.assertFalse(self.orders.cancel(order.id))
        self.assertIsNone(self.taken())

    def test_of_a_session_or_of_all_they_are_forgotten(self) -> None:
        for session in ("s", "s", "t", None):
            self.add("hang", session=session)
        self.assertEqual(len(self.orders.all("s")), 2)
        self.assertEqual([self.orders.forget("s"), self.orders.forget()], [2, 2])

    def test_ids_are_never_given_twice(self) -> None:
        first = self.add("hang")
        self.orders.forget()
        self.assertNotEqual(self.add("hang").id, first.id)

    def test_there_are_not_ever_more(self) -> None:
        with mock.patch("fakellm.faults.orders.ORDERS_AT_MOST", 1):
            self.add("hang")
            self.assertRaises(TooManyOrders, self.add, "hang")
