"""One server for the workers of a run: the first that needs it starts it."""

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path

from fakellm.testing.processes import ServerProcess


def shared_url(folder: Path, options: Sequence[str], cwd: Path) -> str:
    """The URL of the run's server, which is started if it is not yet there.

    It ends when nobody holds the named pipe ``lifeline`` open for writing any more.

    Args:
        folder: the run's, with that pipe.
        options: of the server.
        cwd: the folder that paths among them are relative to.

    Raises:
        NotStarted: it did not come to listen; the text has what it said.
    """
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        place = folder / "url"
        if not place.exists():
            place.write_text(_started(folder, options, cwd))
        return place.read_text()


def _started(folder: Path, options: Sequence[str], cwd: Path) -> str:
    log = (folder / "log").open("w+b")
    lifeline = os.open(folder / "lifeline", os.O_RDONLY | os.O_NONBLOCK)
    process = ServerProcess(lifeline=lifeline, log=log, options=options, cwd=cwd)
    try:
        url = process.url()
    except BaseException:
        process.stop()
        raise
    process.disown()
    return url
