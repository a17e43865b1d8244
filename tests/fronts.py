"""Which front the tests of a class talk to: `FastFront` before the class it is mixed into."""


class FastFront:
    """The same over the front of our own."""

    http = "fast"
