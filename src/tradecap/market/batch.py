"""Records on their way from a log to a store: what the one hands out and the other takes.

Rules: a batch is of one partition and in its order; it ends at a position that only its log understands. A store writes
the position after the rows, so a crash repeats records and never loses one.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

import msgspec

BATCH_BYTES: Final = 8 * 1024 * 1024
"""About how many bytes of records a log hands out in one batch; a single longer record is one batch."""


class SeriesNote(msgspec.Struct, frozen=True):
    """What a part of a log holds of one series: valid records (repeats included) and their ids as closed intervals.

    ids is None where there are too many intervals. In a rebuilt manifest the ids are unknown (all None) and `trades`
    counts the records that name the series, valid or not.
    """

    venue: str
    symbol: str
    channel: str
    trades: int
    first_id: int | None
    last_id: int | None
    ids: list[tuple[int, int]] | None


class Position(NamedTuple):
    """How far a partition has been read. `at` is a text that only the log understands; `order` grows with it and fits
    in 64 bits."""

    partition: int
    at: str
    order: int


Positions = Mapping[int, str]
"""By partition, the `at` of a position; a partition that isn't in it is read from its beginning."""
BEGINNING: Final[Positions] = MappingProxyType({})


class Lines(NamedTuple):
    """Whole lines, each a record, with their newlines."""

    text: bytes


class Values(NamedTuple):
    """Values of one partition, each with its offset. Offsets rise, with holes; a value needn't be a record, and may
    contain newlines.

    venue: of messages that no tradecap wrote; '' where their shape decides.
    """

    values: Sequence[bytes]
    offsets: Sequence[int]
    venue: str = ""


class SegmentFiles(NamedTuple):
    """Files of whole lines (NDJSON in zstd) that the log has checked, all in one folder, for a store that reads files
    by itself."""

    paths: tuple[str, ...]


class Batch(NamedTuple):
    """Records of one partition, in order, and the position after them. is_newest: nothing durable was behind it when it
    was read."""

    content: Lines | Values | SegmentFiles
    records: int
    end: Position
    is_newest: bool = False


class Portion(NamedTuple):
    """A batch, and the position behind which it begins (None: the beginning of its partition)."""

    batch: Batch
    since: Position | None


def position_text(positions: Positions) -> str:
    """Positions for people and for JSON: that of the only partition as it is, several as `0:AT 1:AT`."""
    if set(positions) <= {0}:
        return positions.get(0, "")
    return " ".join(f"{partition}:{at}" for partition, at in sorted(positions.items()))
