"""Ctrl-C, SIGTERM and SIGHUP: the first asks for the end, the second takes it.

Rules: inside `interruptible` the first signal only sets a flag, so that a flow drains, flushes and writes its end
record; the second raises KeyboardInterrupt where the program is. Outside of it both raise at once, so that files are
closed and locks given free. SIGHUP, which a terminal sends when it closes, stays ignored where it was ignored at the
start: nohup does that.
"""

import io
import os
import select
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import BinaryIO, Final

from tradecap.cli.output import Output
from tradecap.errors import TradecapError
from tradecap.flows.stop import Stop

SIGNALS: Final = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Windows has no SIGHUP; there this module is only imported."""
STOPPING: Final = "stopping: finishing what was taken in (once more to stop at once)"
STOPPED: Final = 130
"""Exit code of a command that was stopped at once, as shells know it."""
LOOK_S: Final = 0.05
"""How often a read that waits looks whether somebody asked for the end."""


class StoppableInput(io.FileIO):
    """Standard input that ends when stop() is true: a read that waits for more would otherwise keep a command from
    draining."""

    stop: Callable[[], bool] = staticmethod(lambda: False)

    def read(self, size: int | None = -1, /) -> bytes:
        """What is there, at most size bytes; b"" at the end."""
        while not self.stop():
            if select.select([self], [], [], LOOK_S)[0]:
                return super().read(size) or b""
        return b""


def standard_input() -> BinaryIO:
    """Standard input, as bytes. Raises TradecapError where there is none."""
    if sys.stdin is None or sys.stdin.closed:
        raise TradecapError("There is no standard input to read.", "name a file instead of '-'.")
    try:
        return StoppableInput(sys.stdin.fileno(), closefd=False)
    except io.UnsupportedOperation:
        return sys.stdin.buffer


@contextmanager
def interruptible(out: Output) -> Iterator[Stop]:
    """Let the work inside end by itself after the first signal."""
    stop = Stop()

    def ask(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 -- the signature of a signal handler
        if stop():
            if number == signal.SIGHUP:  # a terminal that closes sends it twice: the kernel does, and the shell
                return
            raise KeyboardInterrupt
        stop.ask()
        if not out.quiet and not out.is_drawing:
            _write(out.message("info", STOPPING))

    before = {number: signal.signal(number, ask) for number in SIGNALS if _is_heeded(number)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def die_softly() -> None:
    """Make SIGTERM and SIGHUP raise like Ctrl-C does, instead of ending Python without its `finally`s."""

    def interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 -- the signature of a signal handler
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        if _is_heeded(number):
            signal.signal(number, interrupt)


def _is_heeded(number: int) -> bool:
    return number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN


def end_in_peace() -> None:
    """Everything is done: a signal that comes while Python clears up must not turn the exit code into that of a killed
    program."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _write(line: str) -> None:
    """Past the buffers of stderr: the signal may have come while one of them was half written."""
    with suppress(OSError, ValueError):
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, f"{line}\n".encode())
