"""Bodies of requests: where they end, and what is refused because it could end in two places."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fakellm.web.front.bodies import Body, TooMuch, body_of
from fakellm.web.front.limits import Limits
from fakellm.web.front.refusal import Refusal

LIMITS = Limits(body=100, drained=50, trailers=100, chunk_line=20)
few = settings(deadline=None, derandomize=True, max_examples=200, database=None)


def fed(length: int | None, *pieces: bytes) -> tuple[Body, bytes]:
    """A body that got these pieces, and what it left of them."""
    body = body_of(length, LIMITS)
    rest = b""
    for piece in pieces:
        rest += body.feed(piece)
    return body, rest


class LengthTests(SynchronousTestCase):
    def test_it_takes_its_own_and_no_more(self) -> None:
        for pieces in [(b"abcdefg",), (b"a", b"bc", b"d", b"efg"), (b"abcd", b"efg")]:
            body = body_of(4, LIMITS)
            rest = b""
            for piece in pieces:
                rest += piece if body.is_whole else body.feed(piece)
            self.assertEqual((body.data, rest, body.is_whole), (b"abcd", b"efg", True))

    def test_an_empty_one_is_whole_at_once(self) -> None:
        self.assertTrue(body_of(0, LIMITS).is_whole)

    def test_one_over_the_limit_is_known_as_such_before_it_comes_and_read_to_its_end(self) -> None:
        body = body_of(101, LIMITS)
        self.assertTrue(body.too_large)
        self.assertEqual(body.feed(b"x" * 105), b"xxxx")
        self.assertEqual((body.data, body.is_whole, body.received), (b"", True, 101))

    def test_one_as_long_as_the_limit_is_kept(self) -> None:
        body, _ = fed(100, b"x" * 100)
        self.assertEqual((len(body.data), body.too_large), (100, False))

    def test_there_is_an_end_to_reading(self) -> None:
        body, _ = fed(1000, b"x" * 150)
        self.assertRaises(TooMuch, body.feed, b"x")


class ChunkedTests(SynchronousTestCase):
    def refused(self, *pieces: bytes) -> int:
        status: int = self.assertRaises(Refusal, fed, None, *pieces).status
        return status

    def test_chunks_extensions_and_trailers(self) -> None:
        for sent in [
            b"3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n",
            b"4;x\r\nabcd\r\n0;y=z\r\n\r\n",
            b"004; x\r\nabcd\r\n000\r\nA: b\r\nC:\r\n\r\n",
        ]:
            body, rest = fed(None, sent + b"GET /")
            self.assertEqual((body.data, body.is_whole, rest), (b"abcd", True, b"GET /"))

    def test_what_is_no_chunk_is_refused(self) -> None:
        for name, sent in {
            "no size": b"\r\nabc",
            "a size that is no number": b"zz\r\n",
            "a sign": b"+3\r\nabc\r\n",
            "a negative size": b"-3\r\nabc\r\n",
            "a prefix": b"0x3\r\nabc\r\n",
            "an underscore": b"1_0\r\n",
            "a space before": b" 3\r\nabc\r\n",
            "a space after": b"3 \r\nabc\r\n",
            "a size without end": b"0" * 17 + b"3\r\nabc\r\n",
            "longer than it said": b"3\r\nabcd\r\n",
            "much longer than it said": b"3\r\nabc" + b"d" * 99,
            "shorter than it said": b"3\r\nab\r\n0\r\n\r\n",
            "a bare LF after the size": b"3\nabc\r\n0\r\n\r\n",
            "a bare LF after the chunk": b"3\r\nabc\n0\r\n\r\n",
            "a bare CR after the chunk": b"3\r\nabc\rx",
            "a control character in an extension": b"3;\x00\r\nabc\r\n",
            "a long extension": b"3;" + b"x" * 30 + b"\r\nabc",
            "a long extension without end": b"3;" + b"x" * 30,
            "a bare LF in an extension": b"3;a\nb\r\nabc\r\n",
            "a trailer without a colon": b"0\r\nGET / HTTP/1.1\r\n\r\n",
            "a folded trailer": b"0\r\nA: b\r\n c: d\r\n\r\n",
            "a space before a trailer's colon": b"0\r\nA : b\r\n\r\n",
            "a bare LF in a trailer": b"0\r\nA: b\nC: d\r\n\r\n",
        }.items():
            with self.subTest(name):
                self.assertEqual(self.refused(sent), 400)
                with self.assertRaises(Refusal):
                    fed(None, *[sent[at : at + 1] for at in range(len(sent))])

    def test_extensions_are_refused_as_by_twisted(self) -> None:
        for line in (b"1;a=\\\r\n", b"1 ;a=b\r\n", b"1\t;a=b\r\n"):
            self.assertEqual(self.refused(line), 400, line)

    def test_trailers_have_a_limit(self) -> None:
        self.assertEqual(self.refused(b"0\r\n" + b"A: b\r\n" * 20), 431)
        self.assertRaises(Refusal, fed, None, b"0\r\nA: " + b"b" * 200)

    def test_over_the_limit_nothing_is_kept_and_at_last_nothing_read(self) -> None:
        body, _ = fed(None, b"60\r\n" + b"x" * 0x60 + b"\r\n")
        self.assertEqual((len(body.data), body.too_large), (0x60, False))
        body.feed(b"5\r\nxxxxx\r\n")
        self.assertEqual((body.data, body.too_large), (b"", True))
        self.assertRaises(TooMuch, body.feed, b"99\r\n" + b"x" * 0x99)

    @few
    @given(st.lists(st.binary(min_size=1, max_size=20), max_size=5), st.data())
    def test_it_does_not_matter_how_it_comes(
        self, chunks: list[bytes], data: st.DataObject
    ) -> None:
        sent = b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in chunks) + b"0\r\n\r\n"
        places = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=6)))
        ends = [*places, len(sent)]
        pieces = [sent[a:b] for a, b in zip([0, *places], ends, strict=True)]
        body, rest = fed(None, *pieces)
        self.assertEqual((body.data, body.is_whole, rest), (b"".join(chunks), True, b""))
