"""One pass over the log in a folder.

Rules: reading needs no lock and changes nothing; a writer may append, close a segment or begin the next one under its
feet. A position is `segment:byte`, byte counted in uncompressed bytes, so that it outlives the closing of its segment.
An active segment is read up to the length its writer published after fsync; a closed one is verified in full while it
is read. Damage is reported at its place and skipped: everything that can still be read is read. Trimmed segments
(another log has acknowledged their records) are skipped, and aren't damage.
"""

import hashlib
import re
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from tradecap.digits import number
from tradecap.errors import TradecapError
from tradecap.fast import is_fast
from tradecap.inflate import BrokenError, pieces_of, unzstd
from tradecap.log.api import Damage, DamageKind
from tradecap.log.folder.segment import (
    CHUNK,
    Manifest,
    Segment,
    durable_length,
    first_bytes,
    last_number,
    read_folded,
    read_head,
)
from tradecap.market.batch import BATCH_BYTES, Batch, Lines, Position, Positions, SegmentFiles, SeriesNote

POLL_S: Final = 0.02
"""How long a follower sleeps between looks at most: a durable line has to be seen within 100 ms."""
LEAST_POLL_S: Final = 0.001
_POSITION: Final = re.compile(r"(\d{6,}):(\d+)")


def raise_damage(damage: Damage) -> None:
    """Raise the error for damage that the caller didn't ask to be handed."""
    raise TradecapError(
        f"{damage.detail}.",
        "the records before that place are fine; run 'tradecap load' and then 'tradecap "
        "verify' to see what is missing.",
    )


def whole_lines(pieces: Iterable[bytes], size: int = BATCH_BYTES) -> Iterator[bytes]:
    """The same bytes cut after newlines into parts of about size; only the very last may lack its newline.

    When pieces break off with a BrokenError, the whole lines before come out first.
    """
    parts: list[bytes] = []
    held = 0
    try:
        for piece in pieces:
            parts.append(piece)
            held += len(piece)
            cut = piece.rfind(b"\n") + 1
            if held >= size and cut:
                parts[-1] = piece[:cut]
                yield b"".join(parts)
                parts, held = [piece[cut:]], len(piece) - cut
    except BrokenError:
        rest = b"".join(parts)
        if lines := _to_newline(rest):
            yield lines
        raise
    if rest := b"".join(parts):
        yield rest


class Reader:
    """One pass over the log in folder. on_damage is called with damage before the records after it are handed over."""

    def __init__(
        self,
        folder: Path,
        log_id: str,
        follow: Callable[[], bool] | None,
        on_damage: Callable[[Damage], None],
        *,
        segment_files: int = 0,
        is_skimming: bool = False,
    ) -> None:
        self._folder = folder
        self._log_id = log_id
        self._follow = follow
        self._on_damage = on_damage
        self._segment_files = segment_files
        self._group: list[Batch] = []
        self._group_size = 1
        self._is_skimming = is_skimming
        self._came_s = 0.0
        """When something came last (monotonic)."""
        self._byte = 0
        self._previous = ""
        self._is_at_end = False

    def batches(self, after: Positions) -> Iterator[Batch]:
        """The batches after a position. Raises TradecapError (exit 2) for a position that isn't one of this log, or a
        folder that can't be read."""
        for batch in self.batches_or_notes(after):
            assert isinstance(batch, Batch)  # notes come only when skimming
            yield batch

    def batches_or_notes(self, after: Positions) -> Iterator[Batch | Sequence[SeriesNote]]:
        """As `batches`; when skimming, the notes of a closed segment instead of its records."""
        try:
            segment = self._start(after.get(0, ""))
            yield from self._folded_notes(segment)
            while not self._is_at_end and self._is_begun(segment):
                for each in self._segment(segment):
                    if isinstance(each, Batch) and isinstance(each.content, SegmentFiles):
                        self._group.append(each)
                    else:
                        yield from self._grouped()
                        yield each
                segment, self._byte = segment.next, 0
                if len(self._group) >= self._group_size or not segment.is_closed():
                    yield from self._grouped()
        except OSError as error:
            raise TradecapError(
                f"{self._folder} can't be read: {error.strerror}.", "look at the rights of the folder and at the disk."
            ) from error

    def _grouped(self) -> Iterator[Batch]:
        """The files that were held back, as one batch. The first groups are small, so that progress shows soon."""
        if self._group:
            paths = tuple(
                path for batch in self._group if isinstance(batch.content, SegmentFiles) for path in batch.content.paths
            )
            yield Batch(SegmentFiles(paths), sum(batch.records for batch in self._group), self._group[-1].end)
            self._group = []
            self._group_size = min(2 * self._group_size, self._segment_files)

    def _start(self, after: str) -> Segment:
        if read_head(self._folder) is None:
            self._on_damage(
                Damage(
                    DamageKind.LOST_NOTE,
                    "head.json",
                    "head.json is missing or unreadable, so a deleted end of the log can't be noticed",
                )
            )
        folded = read_folded(self._folder)
        if not after:
            self._previous = folded.sha256 if folded else ""
            return Segment(self._folder, folded.segment + 1 if folded else 1)
        match = _POSITION.fullmatch(after)
        if match is None:
            raise TradecapError(
                f"{after!r} isn't a position in the log {self._folder}.",
                "reading goes on only from a position that this log gave.",
            )
        segment, self._byte = Segment(self._folder, int(match[1])), int(match[2])
        if segment.number > last_number(self._folder):
            raise self._beyond(segment)
        return segment

    def _folded_notes(self, start: Segment) -> Iterator[Sequence[SeriesNote]]:
        """When skimming, what is known of the segments before the first one that is left."""
        folded = read_folded(self._folder)
        if self._is_skimming and folded and start.number == folded.segment + 1:
            yield folded.series

    def _beyond(self, segment: Segment) -> TradecapError:
        return TradecapError(
            f"The log {self._folder} ends before the position {segment.position(self._byte)}.",
            "was an older copy of it put in its place? a new store reads it from the beginning.",
        )

    def _is_followed(self) -> bool:
        return self._follow is not None and self._follow()

    def _rest_s(self) -> float:
        """An eighth of the silence so far: what a busy log brings is seen at once, and a quiet log costs few looks."""
        return min(max((time.monotonic() - self._came_s) / 8, LEAST_POLL_S), POLL_S)

    def _is_begun(self, segment: Segment) -> bool:
        """Wait for a segment to begin, when following; False at the end of the log."""
        while True:
            # asked before looking, so that what was durable when it turned False is still seen
            is_followed = self._is_followed()
            if segment.is_begun():
                return True
            if not is_followed:
                # looks at every name in the folder, so it is left for the end
                return segment.number <= last_number(self._folder)
            time.sleep(self._rest_s())

    def _segment(self, segment: Segment) -> Iterator[Batch | Sequence[SeriesNote]]:
        """The rest of a segment, which its writer may close at any moment: once the plain one is gone, the closed pair
        exists."""
        if not segment.is_closed():
            try:
                plain = segment.plain.open("rb")
            except FileNotFoundError:
                pass
            else:
                with plain:
                    is_finished = yield from self._active(segment, plain)
                if is_finished:
                    return
        yield from self._closed(segment)

    # --- an active segment

    def _active(self, segment: Segment, plain: BinaryIO) -> Generator[Batch, None, bool]:
        """Read on in a segment that was active when it was opened, also after it has been closed and its name is gone.

        True when it is read to its end; False when only the closed pair can tell what is right.
        """
        while True:
            is_followed = self._is_followed()
            # the length first: its file is removed once the manifest exists
            durable = durable_length(segment)
            manifest = segment.read_manifest(self._log_id) if segment.is_closed() else None
            if isinstance(manifest, str) or (manifest and self._byte > manifest.size):
                return False
            limit = manifest.size if manifest else durable
            if self._byte < limit:
                self._came_s = time.monotonic()
                yield from self._plain_lines(segment, plain, limit, is_active=manifest is None)
            elif manifest:
                self._previous = manifest.sha256
                return True
            elif not is_followed:
                self._is_at_end = True
            else:
                time.sleep(self._rest_s())
            if self._is_at_end:
                return True

    def _plain_lines(self, segment: Segment, plain: BinaryIO, limit: int, *, is_active: bool) -> Iterator[Batch]:
        start = max(self._byte - 1, 0)
        plain.seek(start)
        if self._byte and plain.read(1) != b"\n":
            raise self._between_lines(segment)
        for part in whole_lines(first_bytes(pieces_of(plain, CHUNK), limit - self._byte)):
            if lines := _to_newline(part):
                self._byte += len(lines)
                is_newest = is_active and self._byte == limit
                yield Batch(Lines(lines), lines.count(b"\n"), position(segment, self._byte), is_newest=is_newest)
        if self._byte < limit:
            plain.seek(0)
            line = sum(piece.count(b"\n") for piece in pieces_of(plain, CHUNK))
            self._is_at_end = True
            self._on_damage(_broken(segment.plain.name, line, f"it ends before byte {limit}, which was durable"))

    def _between_lines(self, segment: Segment) -> TradecapError:
        return TradecapError(
            f"The position {segment.position(self._byte)} isn't at the end of a line of the log {self._folder}.",
            "reading continues only from a position that this log gave.",
        )

    # --- a closed segment

    def _closed(self, segment: Segment) -> Iterator[Batch | Sequence[SeriesNote]]:
        if segment.is_trimmed():
            yield from self._trimmed(segment)
            return
        manifest = self._checked_manifest(segment)
        if not segment.packed.exists():
            # without either file the segment as a whole is missing, which is one damage, not two
            self._on_damage(
                Damage(DamageKind.LOST_PART, segment.packed.name, f"Segment {segment.packed.name} is missing")
            )
            return
        if manifest and self._byte > manifest.size:
            raise self._beyond(segment)
        if manifest and self._byte == manifest.size:
            return
        if (
            manifest
            and self._is_skimming
            and not manifest.rebuilt
            and all(note.ids is not None for note in manifest.series)
        ):
            yield manifest.series
            return
        if manifest and self._segment_files and self._byte == 0 and _is_sound(segment.packed, manifest):
            yield Batch(SegmentFiles((str(segment.packed),)), manifest.records, position(segment, manifest.size))
            return
        yield from self._packed_lines(segment, manifest)

    def _trimmed(self, segment: Segment) -> Iterator[Sequence[SeriesNote]]:
        manifest = self._checked_manifest(segment) if segment.manifest.exists() else None
        if self._is_skimming and manifest:
            yield manifest.series

    def _checked_manifest(self, segment: Segment) -> Manifest | None:
        manifest = segment.read_manifest(self._log_id)
        expected, self._previous = self._previous, ""
        if isinstance(manifest, str):
            if segment.packed.exists() or segment.manifest.exists():
                self._on_damage(
                    Damage(DamageKind.LOST_NOTE, segment.manifest.name, f"{segment.manifest.name}: {manifest}")
                )
            return None
        if expected and manifest.previous and manifest.previous != expected:
            self._on_damage(_unconnected(segment.manifest.name))
        self._previous = manifest.sha256
        return manifest

    def _packed_lines(self, segment: Segment, manifest: Manifest | None) -> Iterator[Batch]:
        digest, of_packed, size, records, problem = hashlib.sha256(), hashlib.sha256(), 0, 0, ""
        with segment.packed.open("rb") as packed:
            parts = whole_lines(unzstd(_hashed(pieces_of(packed), of_packed.update)))
            while True:
                try:
                    lines = next(parts, b"")
                except BrokenError as error:
                    problem = error.problem
                    break
                if not lines:
                    break
                digest.update(lines)
                begin, size = size, size + len(lines)
                records += lines.count(b"\n")
                if not lines.endswith(b"\n"):
                    problem = "its last line has no newline"
                    lines = _to_newline(lines)
                yield from self._after_position(segment, lines, begin)
        problem = problem or _difference(manifest, digest.hexdigest(), size, records)
        if problem:
            self._on_damage(_broken(segment.packed.name, records, problem))
        elif manifest and manifest.packed and manifest.packed != of_packed.hexdigest():
            why = (
                f"{segment.manifest.name}: its sha256 of {segment.packed.name} isn't that of the file, which "
                "holds the right lines"
            )
            self._on_damage(Damage(DamageKind.LOST_NOTE, segment.manifest.name, why))

    def _after_position(self, segment: Segment, lines: bytes, begin: int) -> Iterator[Batch]:
        """The part of lines, which begin at byte `begin` of their segment, that comes after the position."""
        skipped = max(self._byte - begin, 0)
        if skipped >= len(lines):
            return
        if skipped and lines[skipped - 1 : skipped] != b"\n":
            raise self._between_lines(segment)
        rest = lines[skipped:] if skipped else lines
        yield Batch(Lines(rest), rest.count(b"\n"), position(segment, begin + len(lines)))


def position(segment: Segment, byte: int) -> Position:
    """The position after `byte` uncompressed bytes of a segment. One is far shorter than 2^40 bytes, so both fit in one
    rising number."""
    return Position(0, segment.position(byte), segment.number << 40 | byte)


def _broken(name: str, line: int, problem: str) -> Damage:
    """The damage of a file that reads well up to a line."""
    where = f"after line {number(line)}" if line else "at its beginning"
    return Damage(DamageKind.BROKEN_PART, f"{name}:{line}", f"Segment {name} is damaged {where} ({problem})")


def _unconnected(name: str) -> Damage:
    return Damage(DamageKind.BROKEN_PART, name, f"{name} doesn't follow the segment before it")


def _hashed(pieces: Iterable[bytes], update: Callable[[bytes], None]) -> Iterator[bytes]:
    """The same pieces, each also handed to update."""
    for piece in pieces:
        update(piece)
        yield piece


def _is_sound(packed: Path, manifest: Manifest) -> bool:
    """Whether a packed segment is the file that its manifest says.

    Where an older manifest doesn't say: whether it decompresses to its end, checksum included, and to as many lines.
    ClickHouse reads a truncated file without an error.
    """
    try:
        with packed.open("rb") as file:
            if manifest.packed and is_fast():
                return hashlib.file_digest(file, "sha256").hexdigest() == manifest.packed
            return sum(piece.count(b"\n") for piece in unzstd(pieces_of(file))) == manifest.records
    except BrokenError:
        return False


def _to_newline(lines: bytes) -> bytes:
    return lines if lines.endswith(b"\n") else lines[: lines.rfind(b"\n") + 1]


def _difference(manifest: Manifest | None, digest: str, size: int, records: int) -> str:
    """What of a segment isn't as its manifest says; '' when all is."""
    if manifest is None:
        return ""
    if size != manifest.size:
        return f"it holds {size} bytes, its manifest says {manifest.size}"
    if records != manifest.records:
        return f"it holds {records} lines, its manifest says {manifest.records}"
    return "" if digest == manifest.sha256 else "its sha256 isn't that of the manifest"
