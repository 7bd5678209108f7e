"""File locks between test processes. The kernel releases a lock when its holder ends, however it ends."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


def hold_shared(path: Path) -> IO[bytes]:
    """Be one of the users of `path` until the returned file is closed."""
    file = path.open("ab")
    fcntl.flock(file, fcntl.LOCK_SH)
    return file


@contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Let one process at a time into the block."""
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
