"""The records of a log, each with what it is: how a flow that reads logs reads them."""

from collections.abc import Callable, Iterator

from tradecap.log.api import Damage, Log
from tradecap.market.records import Envelope, Event, Reading, Rejected, orphan_record, read_envelope
from tradecap.venues.binance import decode

Line = tuple[Envelope, Reading, bytes]
"""Envelope, what it holds, and the line without its newline."""


def unwatched(_: object) -> None:
    """For a look at what has been reported already."""


def read_lines(log: Log, *, on_damage: Callable[[Damage], None] = unwatched, progress: Callable[[int], None] = unwatched) -> Iterator[Line]:
    """All lines of a log."""
    for batch in log.read(on_damage=on_damage):
        yield from split(batch.lines, log.id)
        progress(batch.records)


def split(lines: bytes, log_id: str) -> Iterator[Line]:
    """Each of some whole lines of a log."""
    for line in lines.removesuffix(b"\n").split(b"\n"):
        envelope, reading = read_record(line, log_id)
        yield envelope, reading, line


def read_record(line: bytes, log_id: str) -> tuple[Envelope, Reading]:
    """A line of the log (without its newline) as the SQL reads it: a record with a payload, an event, or what is no record at all."""
    envelope = read_envelope(line)
    if envelope is None:
        return orphan_record(line, log_id), Rejected("malformed_json")
    if envelope.event:
        return envelope, Event(envelope.event)
    if envelope.size is not None:
        return envelope, Rejected("oversize")
    return envelope, decode(envelope.payload, envelope.venue, envelope.symbol, envelope.channel)
