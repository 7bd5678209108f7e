"""The records of a log, each with what it is: how a flow that reads logs reads them."""

from collections.abc import Callable, Iterable, Iterator

from tradecap.log.api import Damage, Log, Snapshot
from tradecap.market.batch import Batch, Lines, Values
from tradecap.market.foreign_records import adopted, orphan_record
from tradecap.market.records import Envelope, Event, Reading, Rejected, Trade, read_envelope
from tradecap.market.similar_records import like_others, remember
from tradecap.recordings.reading import OwnLog
from tradecap.store.api import SeqRange
from tradecap.venues.api import UNNAMED, VENUES

Line = tuple[Envelope, Reading, bytes]
"""Envelope, what it holds, and the record's bytes (of a line without its newline)."""


def unwatched(_: object) -> None:
    """For a look at what has been reported already."""


def read_lines(
    log: Log | Snapshot, *, on_damage: Callable[[Damage], None] = unwatched, progress: Callable[[int], None] = unwatched
) -> Iterator[Line]:
    """All records of a log."""
    for batch in log.read(on_damage=on_damage):
        yield from records_of(batch, log.id)
        progress(batch.records)


def as_recording(log: Log) -> OwnLog:
    """A log as a recording that can be replayed. Damage is raised."""
    return OwnLog(
        log.id, lambda: (b"".join(raw + b"\n" for raw, _ in raw_records(batch, log.id)) for batch in log.read())
    )


def records_of(batch: Batch, log_id: str) -> Iterator[Line]:
    """Each record of a batch."""
    for raw, offset in raw_records(batch, log_id):
        envelope, reading = read_record(raw, log_id, batch.end.partition, offset)
        yield envelope, reading, raw


def raw_records(batch: Batch, log_id: str) -> Iterable[tuple[bytes, int | None]]:
    """Each record of a batch as a line without its newline, and its offset in a log that has offsets. An empty value
    isn't a record."""
    match batch.content:
        case Lines(text):
            return ((line, None) for line in text.removesuffix(b"\n").split(b"\n"))
        case Values(values, offsets, venue):
            partition = batch.end.partition
            return (
                (adopted(value, log_id, partition, offset, venue), offset)
                for value, offset in zip(values, offsets, strict=True)
                if value
            )
        case _:
            raise TypeError("a segment file is for stores alone")


def spans_of(batch: Batch, log_id: str) -> list[SeqRange]:
    """The ranges of (run, seq) that a batch lies in: the records of a run in a partition are in the order of seq."""
    first: dict[bytes, tuple[bytes, int | None]] = {}
    last: dict[bytes, tuple[bytes, int | None]] = {}
    for record in raw_records(batch, log_id):
        run = record[0][8:44] if record[0].startswith(b'{"run":"') else b""
        first.setdefault(run, record)
        last[run] = record
    partition = batch.end.partition
    ends = [
        (orphan_record(raw, log_id, partition, at), orphan_record(*last[run][:1], log_id, partition, last[run][1]))
        for run, (raw, at) in first.items()
    ]
    return [SeqRange(begin.run, begin.seq, end.seq) for begin, end in ends if begin.run == end.run]


def read_record(raw: bytes, log_id: str, partition: int = 0, offset: int | None = None) -> tuple[Envelope, Reading]:
    """A record of the log as the SQL reads it: a record with a payload, an event, or what is not a whole record."""
    envelope = like_others(raw)
    if envelope is not None:
        reading = VENUES.get(envelope.venue, UNNAMED).decode(
            bytes(envelope.data), envelope.venue, envelope.symbol, envelope.channel
        )
        if type(reading) is Trade:
            return envelope, reading
    envelope = read_envelope(raw)
    if envelope is None:
        return orphan_record(raw, log_id, partition, offset), Rejected("malformed_json")
    if envelope.event:
        return envelope, Event(envelope.event)
    if envelope.size is not None:
        return envelope, Rejected("oversize")
    reading = VENUES.get(envelope.venue, UNNAMED).decode(
        envelope.payload, envelope.venue, envelope.symbol, envelope.channel
    )
    if envelope.data and type(reading) is Trade:
        remember(raw, envelope)
    if envelope.text is not None and envelope.text.startswith("{") and not isinstance(reading, Rejected):
        # a message would be in `data`: a text isn't a JSON object, whatever it looks like
        return envelope, Rejected("malformed_json")
    if envelope.b64 is not None and not isinstance(reading, Rejected):
        return envelope, Rejected("not_utf8")  # or it would be in `data` or `text`
    return envelope, reading
