"""Which process may write a log's folder, and what to report if the folder can't be written.

Rule: the lock file informs others which process holds it, and which run that process writes (see `tradecap.locks`).
"""

import errno
import os
from pathlib import Path

import msgspec

from tradecap.errors import Exit, TradecapError
from tradecap.locks import LockFile, is_held


class Holder(msgspec.Struct, frozen=True):
    """What the lock file says: the holder's process id, and its run ('' until it has one)."""

    pid: int
    run: str


class Lock:
    """The right to write."""

    def __init__(self, folder: Path) -> None:
        """Take the lock. Raises TradecapError (exit 3) naming the holder."""
        try:
            self._file = LockFile(folder / "lock")
        except BlockingIOError:
            raise held_by(folder, read_holder(folder / "lock")) from None
        except OSError as error:
            raise cannot_write(folder, error, "the records of earlier runs are safe") from error
        self.name_run("")

    @property
    def is_free(self) -> bool:
        """Whether it was released."""
        return self._file.is_released

    def name_run(self, run: str) -> None:
        """Write which run this process writes."""
        self._file.write(msgspec.json.encode(Holder(os.getpid(), run)))

    def release(self) -> None:
        """Let another process write."""
        self._file.release()


def holder(folder: Path) -> Holder | None:
    """The process that holds the lock now; None if there is none."""
    lock = folder / "lock"
    return (read_holder(lock) or Holder(0, "")) if is_held(lock) else None


def read_holder(lock: Path) -> Holder | None:
    """What the lock file says, whether or not the lock is held."""
    try:
        return msgspec.json.decode(lock.read_bytes(), type=Holder)
    except (OSError, msgspec.MsgspecError):
        return None


def held_by(folder: Path, holder: Holder | None) -> TradecapError:
    writer = f"process {holder.pid}" if holder else "another process"
    return TradecapError(
        f"{folder} is being written by {writer}.",
        "a log has one writer at a time: wait for it, stop it, or name another log with --log file:PATH.",
        Exit.UNREACHABLE,
    )


def cannot_write(folder: Path, error: OSError, safe: str) -> TradecapError:
    """What to report if the folder can't be written. safe: what is not lost."""
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return TradecapError(
            f"{folder} can't be written: {error.strerror}.",
            "give yourself the right to write there, or name another log with --log.",
        )
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        what, hint = (
            "The disk is full",
            ("free some space (or name a log on another disk with --log) and begin a new run: what is safe is kept."),
        )
    else:
        what, hint = (
            (f"{folder} can't be written ({error.strerror})"),
            "look at the disk, then begin a new run: what is safe is kept.",
        )
    return TradecapError(f"{what}: {safe} in {folder}.", hint, Exit.UNDELIVERED)
