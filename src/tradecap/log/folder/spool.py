"""A log in a folder that is copied to other logs: how far each of them has acknowledged it, and which one it is the
spool of.

    shipped.json         positions by the id of the log that acknowledged, the log that this is the spool of, segments
                         with damage
    shipping             its lock: one process copies at a time

Rules: a position is noted after everything before it is durable elsewhere, so a crash repeats records and loses none.
Only the spool of a log is trimmed, up to what that log has acknowledged; a segment with damage stays.
"""

import fcntl
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from tradecap.durable import write_whole
from tradecap.errors import Exit, TradecapError
from tradecap.inflate import BrokenError, pieces_of
from tradecap.log.api import Read
from tradecap.log.folder.evidence import contents
from tradecap.log.folder.log import FileLog
from tradecap.log.folder.segment import CHUNK, Manifest, Segment, durable_length, first_bytes, segment_numbers
from tradecap.log.folder.trimming import trim
from tradecap.market.batch import Position, Positions

FILE: Final = "shipped.json"


class Target(msgspec.Struct, frozen=True):
    """The log that a spool is for."""

    id: str
    url: str


class _ShippedFile(msgspec.Struct):
    target: Target | None = None
    positions: dict[str, str] = msgspec.field(default_factory=dict)
    damaged: list[int] = msgspec.field(default_factory=list)


class Spool:
    """What `log` knows of the logs it is copied to. Raises TradecapError (exit 2) where its shipped.json can't be
    read."""

    def __init__(self, log: FileLog) -> None:
        self.log = log
        self._file = log.path / FILE
        self._shipped = self._read()
        self._sizes: dict[int, int] = {}

    @property
    def target(self) -> Target | None:
        """The log that this is the spool of; None while it is the spool of none."""
        return self._shipped.target

    def belong_to(self, target: Target) -> None:
        """Be the spool of a log from now on. Raises TradecapError (exit 2) for the spool of another."""
        mine = self._shipped.target
        if mine and mine.id != target.id:
            again = " (a topic made again is another log)" if mine.url == target.url else ""
            raise TradecapError(
                f"{self.log.path} is the spool of {mine.url}, log {mine.id}; {target.url} is log {target.id}{again}.",
                f"name another folder with --spool; to copy what is in this one: "
                f"tradecap ship {shlex.quote(str(self.log.path))} --log {shlex.quote(target.url)}",
            )
        if mine != target:
            self._shipped.target = target
            self._write()

    def position(self, target_id: str) -> Positions:
        """How far a log has acknowledged this one."""
        at = self._shipped.positions.get(target_id)
        return {0: at} if at else {}

    def note(self, target_id: str, position: Position) -> None:
        """A log has acknowledged everything before the position. Durable on return."""
        self._shipped.positions[target_id] = position.at
        self._write()

    def keep(self, segment: int) -> None:
        """Never trim a segment: something in it couldn't be copied."""
        if segment not in self._shipped.damaged:
            self._shipped.damaged.append(segment)
            self._write()

    def trim(self, read: Read) -> int:
        """Remove the records that the log of this spool has acknowledged, by whole segments; how many. Only for whoever
        holds the log's lock."""
        target = self._shipped.target
        at = self._shipped.positions.get(target.id, "") if target else ""
        before = int(at.partition(":")[0]) if at else 0
        try:
            return trim(self.log.path, self.log.id, before, self._shipped.damaged, read)
        except OSError as error:
            what = f"What is acknowledged can't be removed from {self.log.path} ({error.strerror})"
            raise TradecapError(
                f"{what}.", "make room, or give yourself the right to write there.", Exit.UNDELIVERED
            ) from error

    def size(self) -> int:
        """Bytes of the folder's files."""
        sizes = 0
        with os.scandir(self.log.path) as files:
            for file in files:
                try:
                    sizes += file.stat().st_size
                except FileNotFoundError:  # closed or trimmed just now
                    continue
        return sizes

    def waiting(self, after: Positions) -> int:
        """The durable records after a position. Reads the segment that the position is in, and of all others only their
        manifests."""
        segment, byte = _place(after)
        numbers = [number for number in segment_numbers(self.log.path) if number >= segment]
        return sum(
            self._records(Segment(self.log.path, number), byte if number == segment else 0) for number in numbers
        )

    def waiting_bytes(self, after: Positions) -> int:
        """The uncompressed bytes of these records. Cheap: a closed segment is looked at once."""
        segment, byte = _place(after)
        numbers = [number for number in segment_numbers(self.log.path) if number >= segment]
        sizes = {number: self._bytes(Segment(self.log.path, number)) for number in numbers}
        return max(0, sum(sizes.values()) - (byte if segment in sizes else 0))

    def _records(self, segment: Segment, byte: int) -> int:
        manifest = segment.read_manifest(self.log.id)
        if isinstance(manifest, Manifest) and (manifest.trimmed or byte >= manifest.size):
            return 0
        if isinstance(manifest, Manifest) and not byte:
            return manifest.records
        try:
            return _counted(segment, byte)
        except (FileNotFoundError, BrokenError):
            return 0

    def _bytes(self, segment: Segment) -> int:
        if segment.number in self._sizes:
            return self._sizes[segment.number]
        manifest = segment.read_manifest(self.log.id)
        if isinstance(manifest, str):
            return durable_length(segment)
        self._sizes[segment.number] = manifest.size
        return manifest.size

    # ---- the files

    def _read(self) -> _ShippedFile:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=_ShippedFile)
        except FileNotFoundError:
            return _ShippedFile()
        except msgspec.MsgspecError as error:
            raise TradecapError(
                f"{self._file} is unreadable: it holds how far the log was copied.",
                "bring it back from a copy, or remove it: then everything is copied again, which is harmless.",
            ) from error

    def _write(self) -> None:
        try:
            write_whole(self._file, msgspec.json.encode(self._shipped) + b"\n")
        except OSError as error:
            what = (
                f"{self._file} can't be written ({error.strerror}), so how far {self.log.path} was copied can't be kept"
            )
            raise TradecapError(
                f"{what}.", "make room, or give yourself the right to write there.", Exit.UNDELIVERED
            ) from error

    @contextmanager
    def shipping(self) -> Iterator[None]:
        """Be the only one that copies this log. Raises TradecapError (exit 3) where another process does."""
        try:
            fd = os.open(self.log.path / "shipping", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise TradecapError(
                f"{self.log.path} can't be written ({error.strerror}), and how far it was copied is kept there.",
                "give yourself the right to write there.",
            ) from error
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise TradecapError(
                    f"{self.log.path} is being shipped by another process.",
                    "a capture ships its own spool; wait for it, or stop it.",
                    Exit.UNREACHABLE,
                ) from error
            self._shipped = self._read()
            yield
        finally:
            os.close(fd)


def _place(after: Positions) -> tuple[int, int]:
    """Segment and byte of a position."""
    segment, _, byte = after.get(0, "0:0").partition(":")
    return int(segment), int(byte)


def _counted(segment: Segment, byte: int) -> int:
    """The durable records after `byte` uncompressed bytes of a segment."""
    if segment.plain.exists() and not segment.manifest.exists():
        with segment.plain.open("rb") as plain:
            plain.seek(byte)
            return sum(
                piece.count(b"\n")
                for piece in first_bytes(pieces_of(plain, CHUNK), max(0, durable_length(segment) - byte))
            )
    records = passed = 0
    for piece in contents(segment):
        records += piece[max(0, byte - passed) :].count(b"\n")
        passed += len(piece)
    return records
