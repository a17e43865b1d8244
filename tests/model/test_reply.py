"""Failures on their way to the client."""

from twisted.trial.unittest import SynchronousTestCase

from fakellm.model.reply import Failure, Refused


class RefusedTests(SynchronousTestCase):
    def test_it_carries_the_failure_that_is_the_answer(self) -> None:
        failure = Failure(status=404, message="There is no such thing.")
        refused = Refused(failure)
        self.assertIs(refused.failure, failure)
        self.assertEqual(str(refused), "There is no such thing.")
