"""Bytes that survive a crash.

Rules: a file that others may read is never half written (temporary name, fsync, rename, fsync of the folder); what returned is on the disk.
"""

import os
import sys
from pathlib import Path


def sync(fd: int) -> None:
    """Bytes on the disk, not in its cache: macOS needs more than fsync for that."""
    if sys.platform == "darwin":
        import fcntl

        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
    else:
        os.fsync(fd)


def sync_folder(folder: Path) -> None:
    """Make names created, renamed or removed in folder durable."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_all(fd: int, data: bytes) -> None:
    """Write all of data; a short write is gone on with, so that a full disk shows as the error it is."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def write_whole(path: Path, data: bytes) -> None:
    """Replace a small file: readers see the old one or the new one. Durable on return."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb", buffering=0) as file:
        write_all(file.fileno(), data)
        sync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)
