"""The folder as it was at one moment, and the sums that a certificate records of it.

Rules: a sum is of bytes that were read and proven. A closed segment's manifest speaks for it only where a whole pass
over the log has found nothing wrong with either; all others are read here. If a segment was still being written, the
bytes that were durable at that moment count, so that nothing is summed that the pass hasn't seen.
"""

import hashlib
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from tradecap.inflate import BrokenError, pieces_of, unzstd
from tradecap.log.api import Damage, Part
from tradecap.log.folder.reader import Reader, position, raise_damage
from tradecap.log.folder.segment import CHUNK, Manifest, Segment, durable_length, first_bytes, segment_numbers
from tradecap.market.batch import BEGINNING, Batch, Lines, Positions

_WHOLE: Final = (1 << 40) - 1


class _SegmentMark(NamedTuple):
    """A segment at some time; size: its durable bytes while it was being written, None when it was closed."""

    segment: int
    size: int | None


class FolderSnapshot:
    """See `Snapshot`."""

    shortened: frozenset[int] = frozenset()  # a folder has no retention
    newest_run = ""

    def __init__(self, folder: Path, log_id: str) -> None:
        self.id = log_id
        self._folder = folder
        segments = [Segment(folder, number) for number in segment_numbers(folder)]
        # nothing can be witnessed of trimmed ones: their bytes are gone
        self._marks = [_mark(segment) for segment in segments if not segment.is_trimmed()]

    def read(
        self, after: Positions = BEGINNING, *, on_damage: Callable[[Damage], None] | None = None
    ) -> Iterator[Batch]:
        """See `Snapshot.read`. A batch that reaches beyond the moment is cut there."""
        last = self._marks[-1] if self._marks else _SegmentMark(0, None)
        end = position(Segment(self._folder, last.segment), _WHOLE if last.size is None else last.size)
        for batch in Reader(self._folder, self.id, None, on_damage or raise_damage).batches(after):
            if (beyond := batch.end.order - end.order) <= 0:
                yield batch
                continue
            assert isinstance(batch.content, Lines)
            if text := batch.content.text[: -min(beyond, len(batch.content.text))]:
                yield Batch(Lines(text), text.count(b"\n"), end)
            return

    def read_on(self, after: Positions, *, on_damage: Callable[[Damage], None]) -> Iterator[Batch]:
        """See `Snapshot.read_on`. The manifests speak for the segments before."""
        return self.read(after, on_damage=on_damage)

    def evidence(self, damage: Collection[Damage]) -> list[Part]:
        """See `Snapshot.evidence`."""
        damaged = {each.place.partition(".")[0] for each in damage}
        return [self._part(mark, is_damaged=f"{mark.segment:06d}" in damaged) for mark in self._marks]

    def _part(self, mark: _SegmentMark, *, is_damaged: bool) -> Part:
        segment = Segment(self._folder, mark.segment)
        manifest = segment.read_manifest(self.id)
        if isinstance(manifest, Manifest) and mark.size is None and not is_damaged:
            return noted_part(segment, manifest)
        return read_part(segment, mark.size)


def _mark(segment: Segment) -> _SegmentMark:
    return _SegmentMark(
        segment.number, None if segment.is_closed() or not segment.plain.exists() else durable_length(segment)
    )


def noted_part(segment: Segment, manifest: Manifest) -> Part:
    """A closed segment as its manifest says, and the sum of its file."""
    return Part(
        f"{segment.number:06d}",
        manifest.records,
        manifest.size,
        manifest.sha256,
        is_closed=True,
        packed=_sum_of_file(segment),
    )


def _sum_of_file(segment: Segment) -> str:
    try:
        with segment.packed.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return ""


def read_part(segment: Segment, size: int | None) -> Part:
    """The sum of a segment's first `size` bytes, or of all of them."""
    digest, records, held, problem, is_lost = hashlib.sha256(), 0, 0, "", False
    pieces = contents(segment)
    try:
        for piece in pieces if size is None else first_bytes(pieces, size):
            digest.update(piece)
            records += piece.count(b"\n")
            held += len(piece)
    except BrokenError as error:
        problem = error.problem
    except FileNotFoundError:
        problem, is_lost = "it is missing", True
    packed = _sum_of_file(segment) if size is None else ""
    return Part(
        f"{segment.number:06d}", records, held, digest.hexdigest(), size is None, problem, is_lost, packed=packed
    )


def contents(segment: Segment) -> Iterator[bytes]:
    """Its uncompressed bytes, from whichever file holds them. Raises BrokenError where they can't be read on,
    FileNotFoundError where none does."""
    if segment.packed.exists():
        with segment.packed.open("rb") as packed:
            yield from unzstd(pieces_of(packed))
    else:
        with segment.plain.open("rb") as plain:
            yield from pieces_of(plain, CHUNK)
