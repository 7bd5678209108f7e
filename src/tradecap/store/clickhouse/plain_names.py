"""Names for paths that ClickHouse takes literally.

ClickHouse expands `*`, `?`, `{}` and more in the path of `file()` and has no escape for them, and chdb takes what
follows a `?` in its path for options. So a path with any other sign than letters, digits and `_-./` is passed as a
symbolic link in a private temporary folder. The link works on Linux and macOS alike, and costs nothing when the file is
read.
"""

import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from tradecap.errors import TradecapError

_PLAIN: Final = re.compile(r"[A-Za-z0-9_./-]+")


class PlainNames:
    """Gives paths plain names, which hold until `close`."""

    def __init__(self) -> None:
        self._folder = ""
        self._links: dict[str, str] = {}

    def of(self, path: Path) -> str:
        """A plain absolute name of a file or folder. Raises TradecapError where no folder with a plain name can hold a
        link."""
        real = os.path.realpath(path)
        if is_plain(real):
            return real
        folder, name = os.path.split(real)
        # the name of a file is kept where it can be: ClickHouse tells by .zst how it is packed
        return f"{self._link(folder)}/{name}" if is_plain(name) else self._link(real)

    def close(self) -> None:
        """Remove the links."""
        with suppress(OSError):
            for link in self._links.values():
                Path(link).unlink()
            if self._folder:
                Path(self._folder).rmdir()
        self._folder, self._links = "", {}

    def _link(self, target: str) -> str:
        if target not in self._links:
            self._folder = self._folder or _private_folder(target)
            link = f"{self._folder}/{len(self._links)}"
            Path(link).symlink_to(target)
            self._links[target] = link
        return self._links[target]


def is_plain(name: str) -> bool:
    """Whether no sign of a name means anything to ClickHouse."""
    return _PLAIN.fullmatch(name) is not None


def _private_folder(target: str) -> str:
    for place in (tempfile.gettempdir(), "/tmp", "/var/tmp"):
        with suppress(OSError):
            if is_plain(real := os.path.realpath(place)):
                return tempfile.mkdtemp(prefix="tradecap-", dir=real)
    raise TradecapError(
        f"{target} has signs in its name that the database would misread, and there is no temporary folder for a "
        "link to it.",
        "set TMPDIR to a writable folder whose path has only letters, digits and _-./ in it.",
    )
