"""Bytes that survive a crash.

Rules: a file that others may read is never half written (temporary name, fsync, rename, fsync of the folder); what
returned is on the disk.
"""

import errno
import os
import re
import stat
import sys
from pathlib import Path
from typing import Final

_DESCRIPTOR: Final = re.compile(r"/dev/(stdout|stderr)|/(?:dev|proc/self)/fd/(\d+)", re.ASCII)
_STANDARD: Final = {"stdout": 1, "stderr": 2}


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


def write_through(path: Path, data: bytes) -> None:
    """Write a file that a user named, which stays what it is: a link leads where it led, a pipe or device is written
    to, a mode is kept.

    A regular file is replaced whole. Raises OSError; a file that may not be written is one, though its folder would
    allow replacing it.
    """
    descriptor = _DESCRIPTOR.fullmatch(str(path))
    if descriptor:  # opening it again would truncate the file it was redirected to
        sys.stdout.flush()
        write_all(_STANDARD.get(descriptor[1]) or int(descriptor[2]), data)
        return
    target = path.resolve() if path.is_symlink() and (path.is_file() or not path.exists()) else path
    mode = target.stat().st_mode if target.exists() else None
    if mode is not None and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    if mode is None or (stat.S_ISREG(mode) and os.access(target.parent, os.W_OK)):
        write_whole(target, data)
        if mode is not None:
            target.chmod(stat.S_IMODE(mode))
        return
    with target.open("wb", buffering=0) as file:
        write_all(file.fileno(), data)
