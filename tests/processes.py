"""Runs the server, and other programs, as processes of their own, and always ends them."""

import contextlib
import http.client
import os
import queue
import re
import select
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import IO, NamedTuple, Self
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import fakellm
from tests import fronts

ROOT = Path(fakellm.__file__).resolve().parents[1]
TIMEOUT = 60.0
"""Seconds after which a process is taken to hang; a whole run takes about one."""
FAKELLM = (sys.executable, "-m", "fakellm")
# As the script twistd does; it need not be on the path, nor twistd's package in the same place.
TWISTD = (sys.executable, "-c", "from twisted.scripts.twistd import run; run()")
LISTENING = re.compile(r"fakellm is listening on (\S+)(?: and (\S+))?")


def environment(**more: str) -> dict[str, str]:
    """Make the environment of a process: this one's, without what configures fakellm."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("FAKELLM_", "PYTHON")) and name != "PORT"
    }
    return {**kept, **fronts.ENVIRONMENT, "PYTHONPATH": str(ROOT), **more}


class Ended(NamedTuple):
    """What became of a process: its status (negative: the signal that ended it), its output."""

    status: int
    out: str
    err: str


class Process:
    """A running process; a context manager that kills what still runs at its end.

    Args:
        argv: its command line.
        env: its environment, that of `environment` by default.
        cwd: the folder it runs in.
        deaf_after: nobody reads its standard output any more after a line that holds this.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        deaf_after: re.Pattern[str] | None = None,
    ) -> None:
        self._deaf_after = deaf_after
        self._process = subprocess.Popen(
            argv,
            env=environment() if env is None else env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._out: list[str] = []
        self._err: list[str] = []
        self._readers = [
            threading.Thread(target=self._read_out, args=(self._process.stdout,), daemon=True),
            threading.Thread(target=self._read_err, args=(self._process.stderr,), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def _read_out(self, stream: IO[str]) -> None:
        for line in stream:
            self._out.append(line)
            if self._deaf_after is not None and self._deaf_after.search(line):
                stream.close()
            self._lines.put(line)
            if stream.closed:
                break
        self._lines.put(None)

    def _read_err(self, stream: IO[str]) -> None:
        self._err.extend(stream)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(TIMEOUT)
        for reader in self._readers:
            reader.join(TIMEOUT)
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    def line(self, pattern: re.Pattern[str]) -> re.Match[str]:
        """Wait for the next line of standard output that holds the pattern."""
        while True:
            try:
                line = self._lines.get(timeout=TIMEOUT)
            except queue.Empty:
                line = None
            if line is None:
                raise AssertionError(f"no {pattern.pattern!r} in {self._out} (stderr {self._err})")
            if match := pattern.search(line):
                return match

    def url(self) -> str:
        """Wait for the server to listen and return its first base URL."""
        return self.line(LISTENING)[1]

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def wait(self) -> Ended:
        """Wait for the end."""
        status = self._process.wait(TIMEOUT)
        for reader in self._readers:
            reader.join(TIMEOUT)
        return Ended(status, "".join(self._out), "".join(self._err))

    def stop(self) -> Ended:
        """Ask it to end, as a supervisor does, and wait for that."""
        self.send(signal.SIGTERM)
        return self.wait()


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: str | None = None,
    pass_fds: Sequence[int] = (),
) -> Ended:
    """Run a process that ends by itself."""
    done = subprocess.run(
        argv,
        env=environment() if env is None else env,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=TIMEOUT,
        check=False,
        pass_fds=pass_fds,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


@contextlib.contextmanager
def lifeline() -> Iterator[tuple[int, Callable[[], None]]]:
    """Learn of the end of a process that is not our child, such as a daemon.

    Yields:
        A file descriptor to hand to the process (``pass_fds``), and a function that waits until
        nobody holds it any more.
    """
    reading, writing = os.pipe()

    def wait() -> None:
        os.close(held.pop())
        if not select.select([reading], [], [], TIMEOUT)[0]:
            raise AssertionError("the process still runs")

    held = [writing]
    try:
        yield writing, wait
    finally:
        for descriptor in (reading, *held):
            os.close(descriptor)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self._path)


def get(url: str, path: str = "/health", *, certificate: str | None = None) -> tuple[int, bytes]:
    """Get a path of a server: the status and the body.

    Args:
        url: a base URL as the server gives it, ``unix:/path`` too.
        path: what to ask for.
        certificate: the file of the certificate to trust.
    """
    parts = urlsplit(url)
    connection: http.client.HTTPConnection
    if parts.scheme == "unix":
        connection = _UnixConnection(parts.path)
    elif parts.scheme == "https":
        context = ssl.create_default_context(cafile=certificate)
        connection = http.client.HTTPSConnection(parts.netloc, timeout=TIMEOUT, context=context)
    else:
        connection = http.client.HTTPConnection(parts.netloc, timeout=TIMEOUT)
    with contextlib.closing(connection):
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()


@contextlib.contextmanager
def taken_port() -> Iterator[int]:
    """Hold a TCP port of 127.0.0.1, so that nobody else can listen on it."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]


def has_ipv6() -> bool:
    """Say whether this machine has the loopback address ::1."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def make_certificate(folder: str) -> tuple[str, str]:
    """Write a key and a certificate for 127.0.0.1, signed by itself.

    Returns:
        The paths of ``key.pem`` and ``cert.pem`` in the folder.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fakellm test")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    key_file, certificate_file = Path(folder, "key.pem"), Path(folder, "cert.pem")
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return str(key_file), str(certificate_file)
