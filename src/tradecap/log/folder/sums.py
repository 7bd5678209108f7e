"""What the segments of a log hold, as sums that can be written down and held against the log later.

Rules: a sum is of bytes that were read and proven: a closed segment's manifest speaks for it only where a whole pass over the log has found nothing
wrong with either; all others are read here. Of a segment that is still written, the bytes that were durable before the pass count, so that nothing
is summed that the pass hasn't seen. Logs without segments have no sums.
"""

import hashlib
from collections.abc import Collection, Iterator
from typing import NamedTuple

from tradecap.inflate import BrokenError, pieces_of, unzstd
from tradecap.log.api import Damage, Log
from tradecap.log.folder.log import FileLog
from tradecap.log.folder.segment import CHUNK, Manifest, Segment, durable_length, first_bytes, segment_numbers


class Mark(NamedTuple):
    """A segment as it stood at some time; size: its durable bytes while it was written, None when it was closed."""

    segment: int
    size: int | None


class Sum(NamedTuple):
    """What a segment holds: lines, uncompressed bytes and their sha256. problem: why it can't be read further, '' when it is whole."""

    segment: int
    records: int
    size: int
    sha256: str
    is_closed: bool
    problem: str = ""


def marks(log: Log) -> list[Mark]:
    """The segments there are now."""
    if not isinstance(log, FileLog):
        return []
    found = (Segment(log.path, number) for number in segment_numbers(log.path))
    return [Mark(segment.number, None if segment.is_closed() or not segment.plain.exists() else durable_length(segment)) for segment in found]


def sums(log: Log, of: Collection[Mark], damage: Collection[Damage]) -> list[Sum]:
    """The sums of segments. damage: what a pass over the log, begun after they were marked, has found."""
    if not isinstance(log, FileLog):
        return []
    damaged = {place.segment.partition(".")[0] for place in damage}
    return [_sum(Segment(log.path, mark.segment), mark, log.id, f"{mark.segment:06d}" in damaged) for mark in of]


def prefix_sha256(log: Log, number: int, size: int) -> str:
    """The sha256 of the first bytes of a segment; '' where it holds fewer."""
    if not isinstance(log, FileLog):
        return ""
    held = _read(Segment(log.path, number), size)
    return held.sha256 if held.size == size else ""


def _sum(segment: Segment, mark: Mark, log_id: str, is_damaged: bool) -> Sum:
    manifest = segment.read_manifest(log_id)
    if isinstance(manifest, Manifest) and mark.size is None and not is_damaged:
        return Sum(segment.number, manifest.records, manifest.size, manifest.sha256, True)
    return _read(segment, mark.size)


def _read(segment: Segment, size: int | None) -> Sum:
    """Of a segment's first bytes, or of all."""
    digest, records, held, problem = hashlib.sha256(), 0, 0, ""
    pieces = contents(segment)
    try:
        for piece in pieces if size is None else first_bytes(pieces, size):
            digest.update(piece)
            records += piece.count(b"\n")
            held += len(piece)
    except BrokenError as error:
        problem = error.problem
    except FileNotFoundError:
        problem = "it is missing"
    return Sum(segment.number, records, held, digest.hexdigest(), size is None, problem)


def contents(segment: Segment) -> Iterator[bytes]:
    """Its uncompressed bytes, from whichever file holds them. Raises BrokenError where they can't be read on, FileNotFoundError where none does."""
    if segment.packed.exists():
        with segment.packed.open("rb") as packed:
            yield from unzstd(pieces_of(packed))
    else:
        with segment.plain.open("rb") as plain:
            yield from pieces_of(plain, CHUNK)
