"""Who may write a log's folder, and what to say when it can't be written.

Rules: an flock, so the kernel gives it free however its holder dies, and two logs of one process exclude each other as well. The file's content
only informs: it says who holds the lock, and is read by others only while the lock is held.
"""

import contextlib
import errno
import fcntl
import os
import time
from pathlib import Path
from typing import Final

import msgspec

from tradecap.errors import Exit, TradecapError

_SIZE: Final = 80
"""Bytes of the lock file: a fixed width, so that one write replaces the content whole."""


class Holder(msgspec.Struct, frozen=True):
    """What the lock file says: the holder's process id, and its run ('' until it has one)."""

    pid: int
    run: str


class Lock:
    """The right to write."""

    def __init__(self, folder: Path) -> None:
        """Take the lock. Raises TradecapError (exit 3) naming the holder."""
        self._fd = _open_lock(folder)
        self.is_free = False
        # readers that ask who writes hold the lock shared for a moment
        for attempt in range(10):
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.005 * attempt)
        else:
            os.close(self._fd)
            raise held_by(folder, read_holder(folder / "lock"))
        self.name_run("")

    def name_run(self, run: str) -> None:
        """Let others know who writes which run."""
        text = msgspec.json.encode(Holder(os.getpid(), run))
        os.pwrite(self._fd, text.ljust(_SIZE - 1) + b"\n", 0)

    def release(self) -> None:
        """Give the log free."""
        if not self.is_free:
            self.is_free = True
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, 0)
            os.close(self._fd)


def _open_lock(folder: Path) -> int:
    try:
        return os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise cannot_write(folder, error, "the records of earlier runs are safe") from error


def holder(folder: Path) -> Holder | None:
    """Who holds the lock now; None when nobody does."""
    try:
        fd = os.open(folder / "lock", os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return read_holder(folder / "lock") or Holder(0, "")
    finally:
        os.close(fd)
    return None


def read_holder(lock: Path) -> Holder | None:
    try:
        return msgspec.json.decode(lock.read_bytes(), type=Holder)
    except (OSError, msgspec.MsgspecError):
        return None


def held_by(folder: Path, holder: Holder | None) -> TradecapError:
    who = f"process {holder.pid}" if holder else "another process"
    return TradecapError(
        f"{folder} is being written by {who}.",
        "a log has one writer at a time: wait for it, stop it, or name another log with --log file:PATH.",
        Exit.UNREACHABLE,
    )


def cannot_write(folder: Path, error: OSError, safe: str) -> TradecapError:
    """What to tell when folder can't be written; safe says what is not lost."""
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return TradecapError(
            f"{folder} can't be written: {error.strerror}.", "give yourself the right to write there, or name another log with --log."
        )
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        what, hint = "The disk is full", "free some space (or name a log on another disk with --log) and begin a new run: what is safe is kept."
    else:
        what, hint = f"{folder} can't be written ({error.strerror})", "look at the disk, then begin a new run: what is safe is kept."
    return TradecapError(f"{what}: {safe} in {folder}.", hint, Exit.UNDELIVERED)
