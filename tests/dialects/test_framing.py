"""Server-sent events and NDJSON: what is written, and what a client reads back."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fakellm.dialects.framing import SseEvent, SseParser, ndjson_line, sse_comment, sse_event

few = settings(deadline=None, derandomize=True, max_examples=150, database=None)

plain = st.text(st.characters(codec="utf-8"))
one_line = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"))
# data, event, id, retry
fields = st.tuples(plain, one_line, st.none() | one_line, st.none() | st.integers(0, 10**18 - 1))
# Bytes that reach every rule: line ends, colons, the field names, a BOM, broken UTF-8.
streams = st.lists(
    st.sampled_from((b"\r", b"\n", b"\r\n", b"\n\n", b":", b" ", b"x", b"\0", b"data", b"data: "))
    | st.sampled_from((b"event: e", b"id: 1", b"id: \0", b"retry: 7"))
    | st.sampled_from((b"\xef\xbb\xbf", b"\xef", b"\xc3\xa9", b"\xff")),
    max_size=40,
).map(b"".join)
cuts = st.lists(st.integers(1, 12), max_size=60)


def feed_cut(stream: bytes, sizes: list[int]) -> list[SseEvent]:
    """Feed the stream in pieces of these sizes, and then the rest."""
    parser, events, start = SseParser(), [], 0
    for size in sizes:
        events += parser.feed(stream[start : start + size])
        start += size
    return events + parser.feed(stream[start:])


class WritingTests(SynchronousTestCase):
    """The frames, byte by byte."""

    def test_the_plain_event(self) -> None:
        self.assertEqual(sse_event(b"[DONE]"), b"data: [DONE]\n\n")

    def test_an_event_without_data_still_has_its_field(self) -> None:
        self.assertEqual(sse_event(b""), b"data: \n\n")

    def test_every_line_of_the_data_is_a_field(self) -> None:
        self.assertEqual(
            sse_event(b"a\r\nb\rc\nd\n"), b"data: a\ndata: b\ndata: c\ndata: d\ndata: \n\n"
        )

    def test_all_fields(self) -> None:
        self.assertEqual(
            sse_event(b"{}\n", event=b"ping", id=b"7", retry=3000),
            b"event: ping\nid: 7\nretry: 3000\ndata: {}\ndata: \n\n",
        )

    def test_an_empty_id_is_a_field_and_no_id_is_none(self) -> None:
        self.assertEqual(sse_event(b"x", id=b""), b"id: \ndata: x\n\n")
        self.assertEqual(sse_event(b"x", retry=0), b"retry: 0\ndata: x\n\n")

    def test_a_type_or_id_with_a_line_end_or_nul_is_refused(self) -> None:
        for bad in (b"a\nb", b"a\rb", b"a\0b"):
            error = self.assertRaises(ValueError, sse_event, b"", event=bad)
            self.assertIn("an event's type", str(error))
            error = self.assertRaises(ValueError, sse_event, b"", id=bad)
            self.assertIn("an event's id", str(error))

    def test_a_retry_that_no_client_would_take_is_refused(self) -> None:
        for bad in (-1, 10**18):
            error = self.assertRaises(ValueError, sse_event, b"", retry=bad)
            self.assertIn("an event's retry", str(error))

    def test_comments(self) -> None:
        self.assertEqual(sse_comment(), b": \n\n")
        self.assertEqual(sse_comment(b"PROCESSING"), b": PROCESSING\n\n")

    def test_a_comment_cannot_forge_a_field(self) -> None:
        self.assertEqual(sse_comment(b"a\ndata: b"), b": a\n: data: b\n\n")

    def test_a_line_of_ndjson(self) -> None:
        self.assertEqual(ndjson_line(b'{"a":1}'), b'{"a":1}\n')

    def test_two_lines_are_not_a_line_of_ndjson(self) -> None:
        for bad in (b"{\n}", b"{\r}"):
            error = self.assertRaises(ValueError, ndjson_line, bad)
            self.assertIn("may not hold a line end", str(error))


class ReadingTests(SynchronousTestCase):
    """The standard's parsing rules, and its own examples."""

    def assert_reads(self, stream: bytes, *events: SseEvent) -> None:
        """Assert what a whole stream dispatches."""
        self.assertEqual(SseParser().feed(stream), list(events))

    def test_lines_of_data_are_joined_by_lf(self) -> None:
        self.assert_reads(
            b"data: YHOO\ndata: +2\ndata: 10\n\n",
            SseEvent(data="YHOO\n+2\n10"),
        )

    def test_comments_ids_and_the_space_after_the_colon(self) -> None:
        """The standard's second example: the third event has no id left and keeps one space."""
        self.assert_reads(
            b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\n"
            b"data:  third event\n\n",
            SseEvent(data="first event", id="1"),
            SseEvent(data="second event"),
            SseEvent(data=" third event"),
        )

    def test_empty_data_is_an_event_and_no_data_is_none(self) -> None:
        """The standard's third example; the last block lacks its blank line."""
        self.assert_reads(
            b"data\n\ndata\ndata\n\ndata:",
            SseEvent(data=""),
            SseEvent(data="\n"),
        )

    def test_a_type_holds_for_its_event_only_even_without_data(self) -> None:
        self.assert_reads(
            b"event: a\ndata: 1\n\nevent: b\n\ndata: 2\n\n",
            SseEvent(data="1", event="a"),
            SseEvent(data="2"),
        )

    def test_an_id_outlives_its_event(self) -> None:
        self.assert_reads(
            b"id: 1\ndata: a\n\ndata: b\n\n",
            SseEvent(data="a", id="1"),
            SseEvent(data="b", id="1"),
        )

    def test_an_id_with_nul_is_ignored(self) -> None:
        self.assert_reads(
            b"id: 1\nid: 2\0\ndata: a\n\n",
            SseEvent(data="a", id="1"),
        )

    def test_the_last_event_id_changes_at_the_blank_line(self) -> None:
        parser = SseParser()
        parser.feed(b"id: 1\n")
        self.assertEqual(parser.last_event_id, "")
        parser.feed(b"\n")
        self.assertEqual(parser.last_event_id, "1")

    def test_retry_is_digits_only(self) -> None:
        too_long = b"9" * 5000
        for bad in (b"", b"-1", b"1.5", b"1s", "\u0661".encode(), too_long):
            self.assert_reads(b"retry: " + bad + b"\ndata: a\n\n", SseEvent(data="a"))
        self.assert_reads(b"retry: 0250\ndata: a\n\n", SseEvent(data="a", retry=250))

    def test_the_reconnection_time_holds_without_an_event(self) -> None:
        parser = SseParser()
        self.assertEqual(parser.feed(b"retry: 3000\n\n"), [])
        self.assertEqual(parser.retry, 3000)
        self.assertEqual(parser.feed(b"data: a\n\n"), [SseEvent(data="a")])

    def test_unknown_fields_are_ignored_and_names_are_exact(self) -> None:
        self.assert_reads(b"Data: a\n data: b\nfoo: c\ndata : d\ndata: e\n\n", SseEvent(data="e"))

    def test_only_a_bom_at_the_start_is_dropped(self) -> None:
        bom = b"\xef\xbb\xbf"
        self.assert_reads(bom + b"data: a\n\n" + bom + b"data: b\n\n", SseEvent(data="a"))
        self.assert_reads(bom + bom + b"data: a\n\n")

    def test_a_cr_and_an_lf_in_two_feeds_are_one_line_end(self) -> None:
        parser = SseParser()
        self.assertEqual(parser.feed(b"data: a\r"), [])
        self.assertEqual(parser.feed(b""), [])
        self.assertEqual(parser.feed(b"\n"), [])
        self.assertEqual(parser.feed(b"\r"), [SseEvent(data="a")])
        self.assertEqual(parser.feed(b"\ndata: b\r\r"), [SseEvent(data="b")])

    def test_broken_utf8_becomes_replacement_characters(self) -> None:
        self.assert_reads(b"data: \xf0\x9f\n\n", SseEvent(data="\ufffd"))

    @few
    @given(st.lists(fields, max_size=6), st.booleans(), cuts)
    def test_what_is_written_is_read_however_it_is_cut(
        self,
        written: list[tuple[str, str, str | None, int | None]],
        comments: bool,
        sizes: list[int],
    ) -> None:
        stream, expected, last_id = b"", [], ""
        for data, event, new_id, retry in written:
            new_bytes = None if new_id is None else new_id.encode()
            stream += sse_event(data.encode(), event=event.encode(), id=new_bytes, retry=retry)
            stream += sse_comment(data.encode()) if comments else b""
            last_id = last_id if new_id is None else new_id
            lines = re.sub("\r\n?", "\n", data)
            expected.append(SseEvent(data=lines, event=event or "message", id=last_id, retry=retry))
        self.assertEqual(feed_cut(stream, sizes), expected)

    @few
    @given(streams)
    def test_any_bytes_fed_one_by_one_are_the_same_as_fed_whole(self, stream: bytes) -> None:
        self.assertEqual(feed_cut(stream, [1] * len(stream)), SseParser().feed(stream))
