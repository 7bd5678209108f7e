"""The log in a folder: NDJSON segments, the active one plain, closed ones zstd with a manifest.

Rules: a folder is a log from the moment its log.json exists, and only an empty folder is made one. `segment` describes
each file, `reader` how they are read, `writer` how they are written.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from tradecap.durable import write_whole
from tradecap.errors import TradecapError
from tradecap.log.api import Damage, Part
from tradecap.log.folder.carrier import FileCarrier
from tradecap.log.folder.evidence import FolderSnapshot, noted_part, read_part
from tradecap.log.folder.lock import Lock, cannot_write, holder
from tradecap.log.folder.reader import Reader, raise_damage
from tradecap.log.folder.segment import Head, Manifest, Segment, durable_length, last_number, write_head
from tradecap.log.folder.writer import FileWriter
from tradecap.market.batch import BEGINNING, Batch, Positions, SeriesNote
from tradecap.market.records import new_run

FORMAT: Final = 2
"""2: segments may be trimmed. A log is of format 1 until then, so that older versions read it."""
UNTRIMMED: Final = 1
SEGMENT_BYTES: Final = 64_000_000
SEGMENT_AGE_S: Final = 600.0


class _Identity(msgspec.Struct, frozen=True):
    id: str
    format: int


class FileLog:
    """A log in a folder. `id` never changes, `url` is its name on the command line.

    A segment is closed at segment_bytes or segment_age_s. Raises TradecapError (exit 2) where path isn't a log, is one
    of a newer format, or (with create) can't be made one.
    """

    has_one_writer = True
    lag_unit = "bytes"

    def __init__(
        self, path: Path, *, create: bool, segment_bytes: int = SEGMENT_BYTES, segment_age_s: float = SEGMENT_AGE_S
    ) -> None:
        self.path = path
        self.url = f"file:{path}"
        self._segment_bytes = segment_bytes
        self._segment_age_s = segment_age_s
        if create and not (path / "log.json").exists():
            _create(path)
        self.id = _identify(path)

    def read(
        self,
        after: Positions = BEGINNING,
        *,
        follow: Callable[[], bool] | None = None,
        on_damage: Callable[[Damage], None] | None = None,
    ) -> Iterator[Batch]:
        """See `Log.read`."""
        return Reader(self.path, self.id, follow, on_damage or raise_damage).batches(after)

    def feed(
        self,
        reader: str,  # noqa: ARG002 -- a folder keeps nothing of its readers
        positions: Callable[[], Positions],
        *,
        follow: Callable[[], bool] | None = None,
        on_damage: Callable[[Damage], None],
        segment_files: int = 0,
    ) -> Iterator[Batch]:
        """See `Log.feed`. Each process reads the whole folder."""
        return Reader(self.path, self.id, follow, on_damage, segment_files=segment_files).batches(positions())

    def skim(self, on_damage: Callable[[Damage], None]) -> Iterator[Batch | Sequence[SeriesNote]]:
        """See `Log.skim`."""
        return Reader(self.path, self.id, None, on_damage, is_skimming=True).batches_or_notes(BEGINNING)

    def snapshot(self, newest: int | None = None) -> FolderSnapshot:  # noqa: ARG002 -- reading a folder from its beginning costs little
        """See `Log.snapshot`."""
        return FolderSnapshot(self.path, self.id)

    def again(self, part: Part) -> Part | None:
        """See `Log.again`."""
        held = read_part(Segment(self.path, int(part.part)), part.size)
        return held if held.size == part.size else None

    def glance(self, part: Part) -> Part | None:
        """See `Log.glance`. A closed segment must have the same manifest and file as then."""
        segment = Segment(self.path, int(part.part))
        manifest = segment.read_manifest(self.id)
        if isinstance(manifest, Manifest) and part.packed and noted_part(segment, manifest) == part:
            return part
        held = read_part(segment, None if part.is_closed else part.size)
        return held if part.is_closed or held.size == part.size else None

    def writer(self) -> FileWriter:
        """See `Log.writer`."""
        return FileWriter(self.path, self.id, segment_bytes=self._segment_bytes, segment_age_s=self._segment_age_s)

    def carrier(self) -> FileCarrier:
        """See `Log.carrier`."""
        return FileCarrier(self.writer())

    def open_runs(self, within_s: float = 60.0) -> frozenset[str]:  # noqa: ARG002 -- the lock tells
        """See `Log.open_runs`."""
        writer = holder(self.path)
        return frozenset({writer.run} if writer and writer.run else ())

    def behind(self, after: Positions) -> dict[int, int]:
        """See `Log.behind`: bytes before compression."""
        number, _, byte = after.get(0, "1:0").partition(":")
        left = -int(byte)
        for each in range(int(number), last_number(self.path) + 1):
            segment = Segment(self.path, each)
            manifest = segment.read_manifest(self.id)
            left += manifest.size if isinstance(manifest, Manifest) else durable_length(segment)
        return {0: max(left, 0)}

    def recent(self, within_s: float, after: Positions) -> Positions:
        """See `Log.recent`: whole segments, by when their files were written last."""
        first = last = last_number(self.path)
        newest_s = _written_s(Segment(self.path, last))
        least = int(after.get(0, "1:0").partition(":")[0])
        while first > least and _written_s(Segment(self.path, first - 1)) >= newest_s - within_s:
            first -= 1
        return {0: Segment(self.path, first).position(0)} if first > least else after

    def free_bytes(self) -> int:
        """See `Log.free_bytes`."""
        return shutil.disk_usage(self.path).free


def _written_s(segment: Segment) -> float:
    """When a segment was written last; the beginning of time where no file of it is there."""
    times = [file.stat().st_mtime for file in (segment.plain, segment.packed) if file.exists()]
    return max(times, default=0.0)


# --- being a log


def _create(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
        strangers = sorted(
            file.name for file in path.iterdir() if file.name not in ("lock", "head.json") and file.suffix != ".tmp"
        )
        if strangers and "log.json" not in strangers:
            raise _not_a_log(
                path,
                f"it holds {strangers[0]} but no log.json",
                "name a new folder or an empty one with --log file:PATH.",
            )
        lock = Lock(path)
        try:
            if not (path / "log.json").exists():
                _found(path)
        finally:
            lock.release()
    except FileExistsError as error:
        raise _not_a_log(path, "it is a file", "name a folder with --log file:PATH.") from error
    except NotADirectoryError as error:
        raise _not_a_log(path, "what it lies in is a file", "name a folder with --log file:PATH.") from error
    except OSError as error:
        raise cannot_write(path, error, "nothing was written") from error


def _found(path: Path) -> None:
    """log.json comes last: a folder is a log from then on, and a whole one."""
    write_head(path, Head(0, ""))
    identity = _Identity(new_run(time.time_ns() // 1_000_000, "", os.urandom(10)), UNTRIMMED)
    write_whole(path / "log.json", msgspec.json.encode(identity) + b"\n")


def allow_trimming(path: Path, log_id: str) -> None:
    """Before the first segment is trimmed: a version that doesn't know trimmed segments refuses the log from now on,
    instead of naming damage."""
    write_whole(path / "log.json", msgspec.json.encode(_Identity(log_id, FORMAT)) + b"\n")


def _identify(path: Path) -> str:
    try:
        identity = msgspec.json.decode((path / "log.json").read_bytes(), type=_Identity)
    except FileNotFoundError as error:
        if path.exists():
            raise _not_a_log(
                path, "it holds no log.json", "a log is the folder that 'tradecap stream' or 'tradecap replay' wrote."
            ) from error
        hint = "make one with 'tradecap stream' or 'tradecap replay', or name another with --log file:PATH."
        raise TradecapError(f"There is no log at {path}.", hint) from error
    except NotADirectoryError as error:
        raise _not_a_log(path, "it is a file", "name the folder of a log with --log file:PATH.") from error
    except msgspec.MsgspecError as error:
        raise _not_a_log(
            path, "its log.json is unreadable", "bring log.json back from a copy: it holds the log's id."
        ) from error
    except OSError as error:
        raise TradecapError(
            f"{path} can't be read: {error.strerror}.", "give yourself the right to read it."
        ) from error
    if identity.format > FORMAT:
        raise TradecapError(
            f"{path} was written by a newer tradecap (log format {identity.format}, this one knows {FORMAT}).",
            "upgrade: pip install -U tradecap",
        )
    return identity.id


def _not_a_log(path: Path, why: str, hint: str) -> TradecapError:
    return TradecapError(f"{path} isn't a log: {why}.", hint)
