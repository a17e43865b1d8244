"""Runs the server under cProfile from a signal on, so that its start is no part of the profile.

    python -m benchmarks.profiled FILE -m fakellm --port 0

SIGUSR1 begins it, and the end of the server writes FILE. `benchmarks.profile` does both.
"""

import cProfile
import runpy
import signal
import sys


def main() -> None:
    """Run the command line behind the name of the file."""
    path, _, module, *options = sys.argv[1:]
    profile = cProfile.Profile()
    signal.signal(signal.SIGUSR1, lambda *_: profile.enable())
    sys.argv = [module, *options]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        profile.disable()
        profile.dump_stats(path)


if __name__ == "__main__":
    main()
