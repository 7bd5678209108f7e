"""Signals that end a program, taken back from the embedded engine.

Rule: a crash ends the process, so that whatever looks after it can start it again; no record is lost by that. The
engine installs handlers of its own each time it starts, and with them a crash ends nothing (measured: chdb-core 26.9).
In one of its threads the process goes on and every statement fails with code 236. In the main thread it hangs. Ctrl-Z
does nothing.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

ENDING: Final = tuple(
    getattr(signal, name)
    for name in ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSYS", "SIGTRAP", "SIGTSTP")
    if hasattr(signal, name)  # not every system has all of them
)


@contextmanager
def signals_kept() -> Iterator[None]:
    """Python's handlers of these signals, or the system's, are in force again afterwards. Python allows that in the
    main thread only."""
    before = {number: signal.getsignal(number) for number in ENDING}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                # None: a handler that Python didn't install, so the engine's
                signal.signal(number, handler or signal.SIG_DFL)
