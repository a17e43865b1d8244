"""Many streams at once, from one process that spends as little as it can on each event.

While it runs it only notes which bytes came when: a time after each ``recv``, which counts for all
that came in it. What the bytes say is looked at afterwards. It measures its own lag, so that what
it is late itself is not taken for the server's lateness.
"""

import gc
import os
import re
import select
import socket
from collections.abc import Callable, Sequence
from time import perf_counter, process_time

_END = re.compile(rb"\r\n0\r\n(?:[!-~]+: [^\r\n]*\r\n)*\r\n\Z")
"""The last chunk, and the fields that may come behind it."""

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_END_AT_MOST = 200
_RECV = 1 << 16
_PORTS_OF_AN_ADDRESS = 20_000


class Answer:
    """The answer to one request.

    Attributes:
        sent: when the request was, in seconds of `time.perf_counter`.
        times: when each of the ``pieces`` had been received.
        ended: whether it seems to have come whole; a refusal, and a connection lost, has not.
    """

    __slots__ = ("ended", "pieces", "sent", "times")

    def __init__(self, sent: float) -> None:
        self.sent = sent
        self.times: list[float] = []
        self.pieces: list[bytes] = []
        self.ended = False


class Lag:
    """How much of what was measured the client itself may have spoiled, in seconds and shares.

    Attributes:
        p99: of its turns, from the wake of epoll to the end of their handling, weighed by the
            number of sockets that had something to read in them.
        longest: the longest turn.
        busy: the share of the time that it was not waiting.
        cpu: the share of the time that the processor worked for it.
    """

    def __init__(self, turns: list[tuple[float, int]], busy: float, cpu: float) -> None:
        self.longest = max((turn for turn, _ in turns), default=0.0)
        self.busy = busy
        self.cpu = cpu
        left = sum(ready for _, ready in turns) / 100
        self.p99 = self.longest
        for turn, ready in sorted(turns, reverse=True):
            self.p99 = turn
            left -= ready
            if left <= 0:
                break

    def __str__(self) -> str:
        return (
            f"client: busy {self.busy:.0%} (cpu {self.cpu:.0%}), "
            f"turns p99 {self.p99 * 1e3:.2f} ms, longest {self.longest * 1e3:.2f} ms"
        )


class _Stream:
    __slots__ = ("answer", "request", "sock", "tail")

    def __init__(self, sock: socket.socket, request: bytes) -> None:
        self.sock = sock
        self.request = request
        self.answer: Answer | None = None
        self.tail = b""


def drive(
    address: tuple[str, int],
    starts: Sequence[tuple[float, Callable[[float], bytes]]],
    *,
    lasts: float,
    again_for: float = 0.0,
    again: Callable[[], bytes] | None = None,
    whole: bool = False,
    ticks: Sequence[tuple[float, Callable[[], None]]] = (),
) -> tuple[list[Answer], Lag]:
    """Ask, and gather what comes.

    Args:
        address: of the server.
        starts: when each stream connects and asks, in seconds from now, in order, and what makes
            its request, handed how long after the beginning that is.
        lasts: seconds after which it is given up.
        again_for: in the first so many seconds each stream asks anew when its answer has come, on
            the same connection.
        again: makes each request after the first; without it they are all like the first.
        whole: the answers are no streams, and their length may be in the head.
        ticks: what else to call, and when, in order.

    Returns:
        All answers in the order of their requests, also those that did not come whole.
    """
    gc.collect()
    gc.disable()
    load = _Load(address, lasts, again_for, again, whole=whole)
    try:
        return load.run(starts, list(ticks))
    finally:
        gc.enable()
        load.close()


def is_whole(raw: bytes) -> bool:
    """Whether a response is all there, by the length in its head or by its last chunk."""
    head = raw.find(b"\r\n\r\n")
    if head < 0:
        return False
    found = _LENGTH.search(raw, 0, head + 2)
    if found is not None:
        return len(raw) >= head + 4 + int(found[1])
    return bool(_END.search(raw, max(head + 2, len(raw) - _END_AT_MOST)))


class _Load:
    def __init__(
        self,
        address: tuple[str, int],
        lasts: float,
        again_for: float,
        again: Callable[[], bytes] | None,
        *,
        whole: bool,
    ) -> None:
        self._address = address
        self._lasts = lasts
        self._again_for = again_for
        self._again = again
        self._whole = whole
        self._epoll = select.epoll()
        self._streams: dict[int, _Stream] = {}
        self._answers: list[Answer] = []
        self._open = 0
        self._opened = 0

    def run(
        self,
        starts: Sequence[tuple[float, Callable[[float], bytes]]],
        ticks: list[tuple[float, Callable[[], None]]],
    ) -> tuple[list[Answer], Lag]:
        turns: list[tuple[float, int]] = []
        poll, streams = self._epoll.poll, self._streams
        handle = self._handle
        used = process_time()
        begun = perf_counter()
        idle = 0.0
        started = 0
        self._again_until = begun + self._again_for
        self._open = len(starts)
        ticks.reverse()
        woken = begun
        while self._open or ticks:
            before = woken - begun
            if before > self._lasts:
                break
            while started < len(starts) and starts[started][0] <= before:
                self._connect(starts[started][1](before))
                started += 1
            while ticks and ticks[-1][0] <= before:
                ticks.pop()[1]()
            nexts = [self._lasts]
            if started < len(starts):
                nexts.append(starts[started][0])
            if ticks:
                nexts.append(ticks[-1][0])
            asleep = perf_counter()
            ready = poll(max(min(nexts) - (asleep - begun), 0.0), 1024)
            woken = perf_counter()
            idle += woken - asleep
            for fd, _ in ready:
                handle(streams[fd])
            if ready:
                turns.append((perf_counter() - woken, len(ready)))
        took = perf_counter() - begun
        return self._answers, Lag(turns, 1 - idle / took, (process_time() - used) / took)

    def close(self) -> None:
        for stream in self._streams.values():
            stream.sock.close()
        self._epoll.close()

    def _connect(self, request: bytes) -> None:
        sock = socket.socket()
        if self._address[0] == "127.0.0.1":  # one source address has not ports enough
            sock.bind((f"127.0.0.{2 + self._opened // _PORTS_OF_AN_ADDRESS}", 0))
        self._opened += 1
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.connect_ex(self._address)
        self._streams[sock.fileno()] = _Stream(sock, request)
        self._epoll.register(sock, select.EPOLLOUT)

    def _handle(self, stream: _Stream) -> None:
        answer = stream.answer
        if answer is None:
            self._ask(stream)
            if stream.answer is not None:
                self._epoll.modify(stream.sock, select.EPOLLIN)
            return
        try:
            data = stream.sock.recv(_RECV)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        answer.times.append(perf_counter())
        answer.pieces.append(data)
        if self._whole:
            ends = is_whole(data if len(answer.pieces) == 1 else b"".join(answer.pieces))
        elif len(data) < _END_AT_MOST:
            stream.tail = (stream.tail + data)[-_END_AT_MOST:]
            ends = stream.tail.endswith(b"\r\n\r\n") and bool(_END.search(stream.tail))
        else:
            stream.tail = data[-_END_AT_MOST:]
            ends = stream.tail.endswith(b"\r\n\r\n") and bool(_END.search(stream.tail))
        if ends:
            answer.ended = True
            if answer.times[-1] < self._again_until:
                if self._again is not None:
                    stream.request = self._again()
                self._ask(stream)
                return
        elif data and (len(answer.pieces) > 1 or data.startswith(b"HTTP/1.1 200")):
            return
        self._close(stream)

    def _ask(self, stream: _Stream) -> None:
        answer = Answer(perf_counter())
        self._answers.append(answer)
        stream.tail = b""
        try:
            sent = stream.sock.send(stream.request)
        except OSError as error:
            answer.pieces.append(os.strerror(error.errno or 0).encode())
            self._close(stream)
            return
        if sent < len(stream.request):
            raise RuntimeError("a request is too long to be sent at once")
        stream.answer = answer

    def _close(self, stream: _Stream) -> None:
        del self._streams[stream.sock.fileno()]
        stream.sock.close()
        self._open -= 1
