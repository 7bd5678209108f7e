"""A lock file: one process holds it, and writes into it what others may know about the holder.

Rules: it is an flock, so the kernel releases it however its holder dies, and two locks of one process exclude each
other as well. The content only informs. It is read while the lock is held; what a holder that died left there counts
for nothing.
"""

import contextlib
import fcntl
import os
import time
from pathlib import Path
from typing import Final

ATTEMPTS: Final = 10
"""A reader that asks whether the lock is held takes it shared for a moment, so one failure proves nothing."""
ATTEMPT_DELAY_S: Final = 0.005


class LockFile:
    """A lock that this process holds until `release`."""

    def __init__(self, path: Path) -> None:
        """Take the lock. Raises BlockingIOError if another process holds it, another OSError if the file can't be
        opened."""
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        self.is_released = False
        for attempt in range(ATTEMPTS):
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                time.sleep(ATTEMPT_DELAY_S * attempt)
        os.close(self._fd)
        raise BlockingIOError(f"{path} is held by another process")

    def write(self, text: bytes) -> None:
        """Replace the content. It is one write, padded with blanks, so that a reader sees the old text or the new
        one."""
        size = os.fstat(self._fd).st_size
        os.pwrite(self._fd, text.ljust(size - 1) + b"\n", 0)

    def release(self) -> None:
        """Let another process take the lock."""
        if not self.is_released:
            self.is_released = True
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, 0)
            os.close(self._fd)


def is_held(path: Path) -> bool:
    """Whether a process holds the lock now."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
