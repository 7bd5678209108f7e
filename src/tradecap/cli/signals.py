"""Ctrl-C and SIGTERM: the first asks for the end, the second takes it.

Rules: inside `interruptible` the first signal only sets a flag, so that a flow drains, flushes and writes its end record; the second raises
KeyboardInterrupt where the program stands. Outside of it both raise at once, so that files are closed and locks given free.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final

from tradecap.cli.output import Output

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
STOPPED: Final = 130
"""Exit code of a command that was stopped at once, as shells know it."""


class Stop:
    """Says whether somebody asked for the end; a flow calls it between two steps."""

    def __init__(self) -> None:
        self.asked = False

    def __call__(self) -> bool:
        return self.asked


@contextmanager
def interruptible(out: Output) -> Iterator[Stop]:
    """Let the work inside end by itself after the first signal."""
    stop = Stop()

    def ask(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 -- the signature of a signal handler
        if stop.asked:
            raise KeyboardInterrupt
        stop.asked = True
        if not out.quiet:
            _write(out.message("info", "stopping: finishing what was taken in (once more to stop at once)"))

    before = {number: signal.signal(number, ask) for number in SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def die_softly() -> None:
    """Make SIGTERM raise like Ctrl-C does, instead of ending Python without its `finally`s."""

    def interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 -- the signature of a signal handler
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


def _write(line: str) -> None:
    """Past the buffers of stderr: the signal may have come while one of them was half written."""
    with suppress(OSError, ValueError):
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, f"{line}\n".encode())
