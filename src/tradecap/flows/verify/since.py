"""What `verify --since` takes from an earlier certificate instead of counting it again. The rules: proof/since.py."""

from dataclasses import dataclass

from tradecap.errors import TradecapError
from tradecap.log.api import Log, Part
from tradecap.proof.certificate import Certificate, SegmentRow, SinceRow, sealed_as
from tradecap.proof.checks import Check
from tradecap.proof.counted import Counted
from tradecap.proof.since import FRESH, changes, extended, unusable


@dataclass(frozen=True)
class Foundation:
    """A certificate that may be continued.

    changed: what of its segments is different now; then nothing is taken from it. expired: parts of a topic of which
    retention has removed something since. read: closed segments that had to be read, as they don't look as certified.
    """

    then: Certificate
    changed: list[str]
    expired: list[str]
    read: list[str]

    @property
    def counted(self) -> Counted | None:
        """What was counted then; None where the whole log has to be counted."""
        return None if self.changed else self.then.counted

    @property
    def segments(self) -> list[SegmentRow]:
        """The segments that aren't read again."""
        return [] if self.changed else self.then.segments

    def row(self) -> SinceRow | None:
        """How the next certificate names it."""
        return None if self.counted is None else SinceRow(sealed_as(self.then), self.then.made_at, self.counted.records)

    def check(self, records: int) -> Check:
        """Whether it holds. records: of the whole log."""
        return extended(self.then, self.changed, self.expired, self.read, records)


def foundation(log: Log, then: Certificate, name: str) -> Foundation:
    """Look at what a certificate would vouch for. name: its file.

    Raises TradecapError (exit 2) for a certificate that can't be continued.
    """
    if why := unusable(then, log.id):
        hint = "name the log of the certificate with --log." if then.log.id != log.id else f"{FRESH}."
        raise TradecapError(f"{name} can't be continued: {why}.", hint)
    noted = {row.segment: _part(row) for row in then.segments}
    held = {segment: log.glance(part) for segment, part in noted.items()}
    now = {segment: None if part is None else row_of(part) for segment, part in held.items()}
    return Foundation(
        then,
        changed=changes(then.segments, now),
        expired=[segment for segment, part in held.items() if part and part.is_expired],
        read=[segment for segment, part in noted.items() if part.is_closed and held[segment] != part],
    )


def _part(row: SegmentRow) -> Part:
    return Part(row.segment, row.records, row.bytes, row.sha256, row.closed, packed=row.packed)


def row_of(part: Part) -> SegmentRow:
    """A part of a log as a certificate has it."""
    return SegmentRow(
        part.part, part.records, part.size, part.sha256, part.is_closed, part.problem, part.is_lost, part.packed
    )
