"""What a manifest says of a segment's records, counted in one way for the writer, the recovery after a crash, and
`rebuild`.

Rules: first and last are of the records that can be read; a segment has `ended` where its last record is the end of a
run. A manifest lists the intervals of a series' ids up to MAX_INTERVALS; beyond that it names only the first and the
last id.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from tradecap.log.folder.segment import Manifest, RecordId, Segment
from tradecap.market.batch import SeriesNote
from tradecap.market.records import Envelope, attested_run
from tradecap.market.trade_ids import TradeIds

MAX_INTERVALS: Final = 1000
SeriesKey = tuple[str, str, str]
"""Venue, symbol and channel."""


@dataclass(kw_only=True)
class SegmentFacts:
    """The records of a segment, so far."""

    records: int = 0
    size: int = 0
    first: Envelope | None = None
    last: Envelope | None = None
    recovered: list[str] = field(default_factory=list)

    def note(self, envelope: Envelope) -> None:
        """Take in what the next record is. It is counted by whoever knows its bytes."""
        self.first = self.first or envelope
        self.last = envelope
        if run := attested_run(envelope):
            self.recovered.append(run)

    def manifest(self, log_id: str, segment: Segment, previous: str, series: Sequence[SeriesNote]) -> Manifest:
        """The segment's manifest, without the sums of its bytes. previous: the sum of the segment before."""
        return Manifest(
            log=log_id,
            segment=segment.number,
            records=self.records,
            size=self.size,
            sha256="",
            previous=previous,
            first=_id(self.first),
            last=_id(self.last),
            ended=self.last is not None and self.last.event == "ended",
            recovered=self.recovered,
            series=list(series),
        )


def series_note(key: SeriesKey, trades: int, ids: TradeIds) -> SeriesNote:
    """What a manifest says of a series with these trades and ids."""
    intervals = ids.intervals()
    return SeriesNote(*key, trades, ids.first, ids.last, intervals if len(intervals) <= MAX_INTERVALS else None)


def _id(envelope: Envelope | None) -> RecordId | None:
    return RecordId(envelope.run, envelope.seq) if envelope else None
