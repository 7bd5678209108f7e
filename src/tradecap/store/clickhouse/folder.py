"""The folder of an embedded store, held by one process: the engine allows no second one, reading included (measured:
docs/clickhouse.md)."""

import errno
import os
import re
import shlex
import shutil
from pathlib import Path
from typing import Final

from tradecap.errors import Exit, TradecapError
from tradecap.locks import LockFile
from tradecap.store.clickhouse.plain_names import PlainNames

UNWRITABLE: Final = (errno.EACCES, errno.EPERM, errno.EROFS)


_UUID: Final = re.compile(r"UUID '([0-9a-f-]{36})'")


class Folder:
    """The folder, locked until `release`. Raises TradecapError naming the process that holds it (exit 3), or why it
    isn't a store (exit 2)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.names = PlainNames()
        try:
            path.mkdir(parents=True, exist_ok=True)
            stranger = next(
                (file.name for file in sorted(path.iterdir()) if not (path / "tradecap.lock").exists()), None
            )
            if stranger:
                raise TradecapError(
                    f"{path} is not a store: it holds {stranger}.",
                    "name a new folder or an empty one with --store chdb:PATH.",
                )
            if not all(os.access(each, os.W_OK) for each in (path, *path.iterdir())):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            self._lock = LockFile(path / "tradecap.lock")
        except BlockingIOError:
            raise self._in_use() from None
        except OSError as error:
            if error.errno in UNWRITABLE and path.is_dir() and os.access(path, os.R_OK | os.X_OK):
                raise _read_only(path, error.strerror) from error
            raise TradecapError(
                f"Store {path} can't be opened: {error.strerror}.", "check the path and its permissions."
            ) from error
        try:
            _refuse_followed_links(path)
        except TradecapError:
            self._lock.release()
            raise
        self._lock.write(b"%d" % os.getpid())

    def announce(self, url: str) -> None:
        """Note where this process answers for the store: another one that finds it locked names that URL."""
        self._lock.write(f"{os.getpid()}\n{url}".encode())

    def _in_use(self) -> TradecapError:
        holder, _, url = (self.path / "tradecap.lock").read_text(errors="replace").strip().partition("\n")
        hint = "an embedded store belongs to one process at a time: wait, or end that process."
        if url:
            hint = f"an embedded store belongs to one process at a time: ask that one at {url}, or end it."
        return TradecapError(f"Store {self.path} is in use by process {holder or 'unknown'}.", hint, Exit.UNREACHABLE)

    def release(self) -> None:
        """Let another process have it."""
        self.names.close()
        self._lock.release()


def _refuse_followed_links(path: Path) -> None:
    """A copy that followed links has a folder where ClickHouse keeps a link to the tables' definitions, and ClickHouse
    doesn't start on it."""
    for made in sorted((path / "metadata").glob("*.sql")):
        folder, uuid = made.with_suffix(""), _UUID.search(made.read_text(encoding="utf-8", errors="replace"))
        if uuid and folder.is_dir() and not folder.is_symlink():
            there = shlex.quote(str(folder))
            raise TradecapError(
                f"Store {path} was copied with its links followed: {folder} is a folder, and has to be a link.",
                f"copy it again with cp -a; or make it a link: rm -r {there} && ln -s "
                f"../store/{uuid[1][:3]}/{uuid[1]} {there}",
            )


def _read_only(path: Path, why: str | None) -> TradecapError:
    return TradecapError(
        f"Store {path} can't be written ({why}), and the embedded engine must write, also to read.",
        f"copy it while no process uses it: cp -a {shlex.quote(str(path))} copy && chmod -R u+rwX copy; then name "
        "the copy: --store chdb:copy",
    )


def remove(path: Path) -> None:
    """Delete the folder of an embedded store that no process holds."""
    Folder(path).release()
    shutil.rmtree(path)
