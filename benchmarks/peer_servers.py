"""The servers that `benchmarks.peers` compares: which there are, and how each is started.

Each says the same text: whole, or cut into pieces for a stream. It must never start a peer in a way
that makes it do more than it is asked for.
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

import fakellm
from benchmarks.server_process import PeerProcess, Process, ServerProcess

HERE = Path(__file__).parent
RULES = HERE / "ten_rules.yml"
FAST, TWISTED, AIMOCK, NODE = "fakellm", "fakellm --http twisted", "aimock", "bare Node"
_AIMOCKS_CHUNK = 20
"""Characters, unless it is told otherwise."""


class Said(NamedTuple):
    """What a server is told to say.

    Attributes:
        text: the text.
        characters: whether a stream has an event for each of its characters, which are tokens.
    """

    text: str
    characters: bool = False


HELLO = Said("hello world")


def long(events: int) -> Said:
    """A text that is so many tokens of one character each, so that all cut it alike."""
    return Said(("A1B2C3D4E5" * (events // 10 + 1))[:events], characters=True)


class Server:
    """A server to compare.

    Attributes:
        name: what it is called.
        version: of it, and of what it runs on.
    """

    name: str
    version: str

    def pieces(self, said: Said) -> int:
        """How many events with text a stream of it has."""
        raise NotImplementedError

    @contextmanager
    def started(self, said: Said, core: int | None) -> Iterator[Process]:
        """Run it, pinned to a core, and end it."""
        raise NotImplementedError


class Fakellm(Server):
    """Ours, with its journal, metrics and ten rules.

    Args:
        http: its front.
    """

    def __init__(self, http: str) -> None:
        self.name = FAST if http == "fast" else TWISTED
        self.version = fakellm.__version__
        self._http = http

    def options(self, said: Said) -> list[str]:
        """Of its command line; the journal and the metrics are on without one."""
        return [f"--http={self._http}", f"--scenario={RULES}", f"--answer={said.text}"]

    def pieces(self, said: Said) -> int:
        """A token each."""
        return len(said.text) if said.characters else len(said.text.split())

    @contextmanager
    def started(self, said: Said, core: int | None) -> Iterator[Process]:
        """Run it."""
        with ServerProcess(self.options(said), core=core) as process:
            yield process


class Aimock(Server):
    """The npm package ``@copilotkit/aimock``.

    Args:
        command: its ``llmock``.
    """

    name = AIMOCK

    def __init__(self, command: Path) -> None:
        self._command = command
        about = command.resolve().parent.parent / "package.json"
        found = msgspec.json.decode(about.read_bytes()) if about.exists() else {}
        self.version = found.get("version", "of unknown version")

    def pieces(self, said: Said) -> int:
        """As its chunk size has it."""
        return len(said.text) if said.characters else -(-len(said.text) // _AIMOCKS_CHUNK)

    @contextmanager
    def started(self, said: Said, core: int | None) -> Iterator[Process]:
        """Run it."""
        fixture = {"fixtures": [{"match": {}, "response": {"content": said.text}}]}
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "said.json").write_bytes(msgspec.json.encode(fixture))
            argv = [str(self._command), "-p", "{port}", "-h", "127.0.0.1", "-f", folder]
            argv += ["--log-level", "silent", *(["-c", "1"] if said.characters else [])]
            with PeerProcess(argv, core) as process:
                yield process


class BareNode(Server):
    """A few lines on Node's HTTP server, which say a constant.

    Args:
        command: its ``node``.
    """

    name = NODE

    def __init__(self, command: str) -> None:
        self._command = command
        ran = subprocess.run([command, "--version"], capture_output=True, check=True, text=True)  # noqa: S603 -- what was found on the path
        self.version = ran.stdout.strip()

    def pieces(self, said: Said) -> int:
        """As fakellm does."""
        return len(self._pieces(said))

    def _pieces(self, said: Said) -> Sequence[str]:
        return said.text if said.characters else re.findall(r" ?\S+", said.text)

    @contextmanager
    def started(self, said: Said, core: int | None) -> Iterator[Process]:
        """Run it."""
        script = str(HERE / "bare_node.js")
        argv = [self._command, script, "{port}", *self._pieces(said)]
        with PeerProcess(argv, core) as process:
            yield process


def installed(aimock: str | None) -> tuple[list[Server], list[str]]:
    """The servers there are, and in so many words those that there are not.

    Args:
        aimock: where aimock's command ``llmock`` is, if not on the path.
    """
    servers: list[Server] = [Fakellm("fast"), Fakellm("twisted")]
    missing: list[str] = []
    command = shutil.which(aimock or "llmock")
    node = shutil.which("node")
    if command is None:
        missing.append(f"{AIMOCK} is left out: there is no {aimock or 'llmock on the path'}")
    else:
        servers.append(Aimock(Path(command)))
    if node is None:
        missing.append(f"{NODE} is left out: there is no node on the path")
    else:
        servers.append(BareNode(node))
    return servers, missing
