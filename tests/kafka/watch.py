"""Ends a broker when nobody uses it any more, even if its users were killed.

Every user holds a shared lock on one file, so an exclusive lock is granted when the last user is gone. Run as a script
with the lock's path, the broker's process group, and optionally a folder to remove afterwards.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import sys
from pathlib import Path


def wait_and_end(users: Path, group: int, folder: Path | None) -> None:
    with users.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    path, group, *folders = sys.argv[1:]
    wait_and_end(Path(path), int(group), Path(folders[0]) if folders else None)
