"""Heads of requests: what is understood, and what is refused before anybody could misunderstand."""

from twisted.trial.unittest import SynchronousTestCase

from fakellm.web.front.heads import Head, Heads, _length
from fakellm.web.front.limits import Limits
from fakellm.web.front.refusal import Refusal

LIMITS = Limits(body=1000, drained=1000)
POST = b"POST /v1/chat/completions HTTP/1.1\r\n"
END = b"\r\n"


class HeadTestCase(SynchronousTestCase):
    def read(self, *fields: bytes, line: bytes = POST) -> Head:
        """The head of a request line and fields."""
        return Heads(LIMITS).read(line + b"".join(fields) + END)

    def refused(self, *fields: bytes, line: bytes = POST) -> tuple[int, str]:
        """The status and the text of a refusal."""
        refusal = self.assertRaises(Refusal, self.read, *fields, line=line)
        return refusal.status, str(refusal)


class LineTests(HeadTestCase):
    def test_the_parts_of_a_target(self) -> None:
        head = self.read(line=b"GET /a%20b/c?x=1&x=2&y=&z=%FF HTTP/1.0\r\n")
        self.assertEqual((head.method, head.uri), (b"GET", b"/a%20b/c?x=1&x=2&y=&z=%FF"))
        self.assertEqual((head.path, head.text_path), (b"/a%20b/c", "/a b/c"))
        self.assertEqual(head.args, {b"x": [b"1", b"2"], b"y": [b""], b"z": [b"\xff"]})
        self.assertEqual(head.text_query, {"x": "2", "y": "", "z": "\ufffd"})
        self.assertEqual((head.is_1_1, head.keeps, head.length), (False, False, 0))

    def test_any_token_is_a_method_and_any_text_without_spaces_a_target(self) -> None:
        for method in (b"get", b"BREW", b"M-SEARCH", b"CONNECT", b"!"):
            self.assertEqual(self.read(line=method + b" x:1 HTTP/1.1\r\n").method, method)

    def test_a_target_in_absolute_form_is_as_good_as_its_path(self) -> None:
        for target, path in {
            b"http://h/a?b": b"/a", b"HTTPS://h:1/a": b"/a", b"http://h": b"/", b"http://h?b": b"/",
            b"ftp://h/a": b"ftp://h/a",
        }.items():  # fmt: skip
            self.assertEqual(self.read(line=b"GET %b HTTP/1.1\r\n" % target).path, path)

    def test_what_is_no_request_line(self) -> None:
        for line in [
            b"", b"GET", b"GET /", b"GET  / HTTP/1.1", b"GET /  HTTP/1.1", b" GET / HTTP/1.1",
            b"GET / HTTP/1.1 ", b"GET / http/1.1", b"GET / HTTP/1.11", b"GET / HTTP/1,1",
            b"GET\t/\tHTTP/1.1", b"G(T / HTTP/1.1", b"GET /\xff HTTP/1.1", b"GET /\0 HTTP/1.1",
            b"GET /\x7f HTTP/1.1", b"GET /a b HTTP/1.1", b"GET / HTTP/1.1\r", b"GET /\x0b HTTP/1.1",
            b"hello", b"\x16\x03\x01\x02",
        ]:  # fmt: skip
            with self.subTest(line):
                self.assertEqual(
                    self.refused(line=line + END),
                    (400, "the first line is no request line of HTTP"),
                )

    def test_other_versions_are_named(self) -> None:
        for version in (b"0.9", b"1.2", b"2.0", b"9.9"):
            status, why = self.refused(line=b"GET / HTTP/%b\r\n" % version)
            self.assertEqual((status, why), (400, "only HTTP/1.1 and HTTP/1.0 are spoken here"))


class FieldTests(HeadTestCase):
    def test_names_are_lower_case_and_values_of_one_name_joined(self) -> None:
        head = self.read(b"X-A:1\r\n", b"x-a: \t2 \t\r\n", b"B:\r\n", b"C: \xc3\xbc\xff\r\n")
        self.assertEqual(head.headers, {"x-a": "1, 2", "b": "", "c": "ü\ufffd"})
        self.assertEqual(head.fields[1], (b"x-a", b"2"))

    def test_the_host_without_its_port(self) -> None:
        for host, name in {
            b"h": b"h", b"h:80": b"h", b"[::1]:80": b"::1", b"h:": b"h:", b"": b"",
            b"a:b:c": b"a:b:c", b"\xff:1": b"\xff",
        }.items():  # fmt: skip
            self.assertEqual(self.read(b"Host: %b\r\n" % host).hostname, name)
        self.assertIsNone(self.read().hostname)
        self.assertEqual(self.read(b"Host: a\r\n", b"Host: b\r\n").hostname, b"b")

    def test_how_long_a_connection_lasts(self) -> None:
        for value, keeps in {
            b"close": False, b"Close": False, b"keep-alive, close": False, b"foo close": False,
            b"keep-alive": True, b"closed": True, b"": True,
        }.items():  # fmt: skip
            self.assertIs(self.read(b"Connection: %b\r\n" % value).keeps, keeps, value)
        two = self.read(b"Connection: keep-alive\r\n", b"Connection: close\r\n")
        self.assertFalse(two.keeps)
        self.assertFalse(self.read(line=b"GET / HTTP/1.0\r\n").keeps)

    def test_who_waits_for_leave(self) -> None:
        expect = b"Expect: 100-Continue\r\n"
        self.assertTrue(self.read(expect).waits)
        self.assertFalse(self.read(expect, line=b"POST / HTTP/1.0\r\n").waits)
        self.assertFalse(self.read(b"Expect: 200-ok\r\n").waits)

    def test_an_offer_to_change_the_protocol_is_passed_over(self) -> None:
        head = self.read(b"Connection: upgrade\r\n", b"Upgrade: h2c\r\n", b"Content-Length: 3\r\n")
        self.assertEqual((head.length, head.keeps), (3, True))

    def test_the_length_of_a_body(self) -> None:
        for field, length in {
            b"": 0, b"Content-Length: 0\r\n": 0, b"content-length:\t12 \r\n": 12,
            b"Content-Length: 007\r\n": 7, b"Content-Length: 9999999999999999\r\n": 10**16 - 1,
            b"Transfer-Encoding: Chunked\r\n": None, b"TRANSFER-ENCODING:chunked \r\n": None,
        }.items():  # fmt: skip
            self.assertEqual(self.read(field).length, length, field)

    def test_what_requests_are_smuggled_by_is_refused(self) -> None:
        length, chunked = b"Content-Length: 1\r\n", b"Transfer-Encoding: chunked\r\n"
        for name, fields in {
            "two lengths": length + b"Content-Length: 2\r\n",
            "the same length twice": length * 2,
            "lengths in a list": b"Content-Length: 1, 1\r\n",
            "a length and chunks": length + chunked,
            "chunks and a length": chunked + length,
            "a sign": b"Content-Length: +1\r\n",
            "a negative length": b"Content-Length: -1\r\n",
            "a hexadecimal length": b"Content-Length: 0x1\r\n",
            "an underscore": b"Content-Length: 1_0\r\n",
            "a length of two words": b"Content-Length: 1 0\r\n",
            "no length": b"Content-Length:\r\n",
            "other digits": b"Content-Length: \xd9\xa1\r\n",
            "a length that overflows": b"Content-Length: 18446744073709551617\r\n",
            "chunks twice": chunked * 2,
            "chunks twice in a list": b"Transfer-Encoding: chunked, chunked\r\n",
            "another coding": b"Transfer-Encoding: gzip\r\n",
            "another coding first": b"Transfer-Encoding: gzip, chunked\r\n",
            "another coding after": b"Transfer-Encoding: chunked, gzip\r\n",
            "identity": b"Transfer-Encoding: identity\r\n",
            "nearly chunked": b"Transfer-Encoding: xchunked\r\n",
            "a vertical tab": b"Transfer-Encoding:\x0bchunked\r\n",
            "quoted": b'Transfer-Encoding: "chunked"\r\n',
            "a parameter": b"Transfer-Encoding: chunked;x\r\n",
            "no coding": b"Transfer-Encoding:\r\n",
            "a space before the colon": b"Content-Length : 1\r\n",
            "a tab before the colon": b"Transfer-Encoding\t: chunked\r\n",
            "a folded line": b"X: y\r\n Content-Length: 1\r\n",
            "a line folded with a tab": b"X: y\r\n\tz\r\n",
            "a space before the first field": b" X: y\r\n",
            "a bare LF": b"X: y\nContent-Length: 1\r\n",
            "a bare LF at the end": b"X: y\n\r\n",
            "a bare CR": b"X: y\rContent-Length: 1\r\n",
            "two CRs": b"X: y\r\r\n",
            "NUL in a value": b"X: \0\r\n",
            "a control character in a value": b"X: \x01\r\n",
            "DEL in a value": b"X: \x7f\r\n",
            "NUL in a name": b"X\0: y\r\n",
            "a byte in a name that is no token": b"X\xff: y\r\n",
            "no name": b": y\r\n",
            "no colon": b"X\r\n",
        }.items():
            with self.subTest(name):
                self.assertEqual(self.refused(b"Host: h\r\n", fields)[0], 400)
                self.assertEqual(self.refused(fields, b"Host: h\r\n")[0], 400)

    def test_two_ends_are_refused_though_the_parser_let_them_pass(self) -> None:
        """It is not the only one that looks."""
        for lengths, codings in (
            ([b"1"], [b"chunked"]),
            ([b"1", b"1"], []),
            ([b"x"], []),
            ([b""], []),
            ([], [b"chunked", b"chunked"]),
        ):
            refusal = self.assertRaises(Refusal, _length, codings, lengths, is_1_1=True)
            self.assertEqual(refusal.status, 400)

    def test_HTTP_1_0_has_no_chunks(self) -> None:
        chunked = b"Transfer-Encoding: chunked\r\n"
        status, why = self.refused(chunked, line=b"POST / HTTP/1.0\r\n")
        self.assertEqual((status, why), (400, "HTTP/1.0 has no transfer codings"))


class LimitTests(HeadTestCase):
    def test_a_request_line(self) -> None:
        room = LIMITS.line - len(b"GET / HTTP/1.1")
        self.read(line=b"GET /" + b"x" * room + b" HTTP/1.1\r\n")
        status, why = self.refused(line=b"GET /" + b"x" * (room + 1) + b" HTTP/1.1\r\n")
        self.assertEqual((status, why), (414, "the request line is longer than 16384 bytes"))

    def test_all_fields(self) -> None:
        room = LIMITS.head - len(b"X: \r\n\r\n")
        self.read(b"X: " + b"y" * room + END)
        status, why = self.refused(b"X: " + b"y" * (room + 1) + END)
        self.assertEqual((status, why), (431, "the head is longer than 16384 bytes"))

    def test_how_many_fields(self) -> None:
        self.read(b"X: y\r\n" * LIMITS.fields)
        status, why = self.refused(b"X: y\r\n" * (LIMITS.fields + 1))
        self.assertEqual((status, why), (431, "the head has more than 500 fields"))


class BegunTests(HeadTestCase):
    def test_what_may_become_a_head_is_waited_for(self) -> None:
        heads = Heads(LIMITS)
        whole = POST + b"Host: h\r\nX: y\r\n"
        for end in range(1, len(whole)):
            heads.check_begun(whole[:end])

    def test_what_cannot_is_refused_at_once(self) -> None:
        for begun, status in [
            (b"hello\r\n", 400), (b"GET / HTTP/1.1\n", 400), (POST + b"X: y\n", 400), (b"\n", 400),
            (b"x" * (LIMITS.line + 1), 414), (POST + b"x" * (LIMITS.head + 1), 431),
        ]:  # fmt: skip
            refusal = self.assertRaises(Refusal, Heads(LIMITS).check_begun, begun)
            self.assertEqual(refusal.status, status)


class MemoryTests(HeadTestCase):
    def test_the_same_bytes_are_the_same_head_and_no_other_bytes_are(self) -> None:
        heads = Heads(LIMITS)
        first = heads.read(POST + b"X: y\r\n\r\n")
        self.assertIs(heads.read(POST + b"X: y\r\n\r\n"), first)
        self.assertIsNot(heads.read(POST + b"X: z\r\n\r\n"), first)

    def test_it_does_not_grow_without_end(self) -> None:
        heads = Heads(LIMITS)
        for number in range(5000):
            heads.read(POST + b"X: %d\r\n\r\n" % number)
        heads.read(POST + b"X: " + b"y" * 5000 + b"\r\n\r\n")
        self.assertLessEqual(len(heads._known), 1024)
        self.assertLess(max(map(len, heads._known)), 2100)
