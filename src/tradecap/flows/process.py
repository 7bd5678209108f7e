"""Process a topic: each distinct trade enriched, each minute as a candle, each rejected record with its reason, exactly
once.

Rules: what is made of a batch, the state behind it and the position are committed together or not at all. A trade in a
partition that isn't its symbol's is counted and left out: its minute belongs to whoever has the other partition.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec

from tradecap.flows.records import raw_records, read_record, unwatched
from tradecap.market.batch import Batch, Values
from tradecap.market.enrichment import enriched, minute_key, minute_message, quarantined
from tradecap.market.processing import Changed, Outcome, Partition
from tradecap.market.records import Envelope, Event, Ignored, Rejected, Trade

if TYPE_CHECKING:
    from tradecap.log.kafka.exactly_once import ExactlyOnce
    from tradecap.log.kafka.processing_member import Produced

Place = Callable[[str], int]
"""The partition that a symbol belongs into."""
_encode: Final = msgspec.json.Encoder().encode


@dataclass(kw_only=True)
class Processed:
    """What a process has committed. valid: records that are trades, repeats included; candles: messages about a
    minute."""

    records: int = 0
    valid: int = 0
    trades: int = 0
    duplicates: int = 0
    conflicts: int = 0
    too_late: int = 0
    misplaced: int = 0
    quarantined: int = 0
    ignored: int = 0
    events: int = 0
    candles: int = 0
    transactions: int = 0
    aborted: int = 0
    seconds: float = 0.0

    def add(self, counts: Counter[str]) -> None:
        """Take in what was committed."""
        for name, count in counts.items():
            setattr(self, name, getattr(self, name) + count)


@dataclass
class ProcessStatus:
    """What a running process shows: `done` counts what it has committed."""

    done: Processed = field(default_factory=Processed)
    partitions: dict[int, Partition] = field(default_factory=dict)

    @property
    def misplaced(self) -> int:
        """Trades in this process's partitions that belong into others, those of former processes included."""
        return sum(partition.misplaced for partition in list(self.partitions.values()))


def process(
    topic: "ExactlyOnce",
    log_id: str,
    place: Place,
    *,
    only_closed: bool = False,
    follow: Callable[[], bool] | None = None,
    stop: Callable[[], bool],
    progress: Callable[[int], None] = unwatched,
    status: ProcessStatus | None = None,
) -> Processed:
    """Process the topic to its end; with follow, until stop() is true. only_closed: send nothing about a minute before
    it is closed."""
    from tradecap.log.kafka.processing_member import Produced  # not before it is wanted: librdkafka takes its time

    status = status or ProcessStatus()
    done, partitions, started_s = status.done, status.partitions, time.monotonic()

    def take_over(partition: int, state: Mapping[bytes, bytes]) -> None:
        partitions[partition] = Partition.restored(state)

    for batches in topic.batches(take_over, partitions.pop, follow, stop):
        counts: Counter[str] = Counter()
        made = [
            _made(batch, partitions[batch.end.partition], log_id, place, only_closed, counts, Produced)
            for batch in batches
        ]
        if topic.commit(made):
            done.add(counts)
            progress(counts["records"])
        done.transactions, done.aborted = topic.transactions, topic.aborted
    done.seconds = time.monotonic() - started_s
    return done


def _made(
    batch: Batch,
    partition: Partition,
    log_id: str,
    place: Place,
    only_closed: bool,
    counts: Counter[str],
    produced: "type[Produced]",
) -> "Produced":
    """What becomes of a batch."""
    trades: list[tuple[bytes, bytes]] = []
    rejected: list[tuple[bytes, bytes]] = []
    number = batch.end.partition
    for envelope, reading, raw, offset in _readings(batch, log_id):
        counts["records"] += 1
        match reading:
            case Trade():
                counts["valid"] += 1
                if place(reading.symbol) != number:
                    counts["misplaced"] += 1
                    partition.misplaced += 1
                    continue
                outcome = partition.take(reading)
                if outcome is not Outcome.NEW:
                    counts[_COUNTS[outcome]] += 1
                if outcome is Outcome.NEW or outcome is Outcome.TOO_LATE:
                    message = enriched(reading, envelope, too_late=outcome is Outcome.TOO_LATE)
                    trades.append((reading.symbol.encode(), _encode(message)))
            case Rejected():
                counts["quarantined"] += 1
                key = envelope.symbol or envelope.run
                rejected.append(
                    (key[:200].encode(errors="replace"), _encode(quarantined(reading, envelope, raw, number, offset)))
                )
            case Ignored():
                counts["ignored"] += 1
            case Event():
                counts["events"] += 1
    counts["trades"] += len(trades)
    changed, state = partition.settle()
    candles = [_candle(each) for each in changed if each.bar.trades and (each.closed or not only_closed)]
    counts["candles"] += len(candles)
    return produced(batch.end, trades, candles, rejected, state)


_COUNTS: Final = {Outcome.TOO_LATE: "too_late", Outcome.DUPLICATE: "duplicates", Outcome.CONFLICT: "conflicts"}


def _readings(batch: Batch, log_id: str) -> Iterator[tuple[Envelope, Trade | Event | Ignored | Rejected, bytes, int]]:
    assert isinstance(batch.content, Values)
    for raw, offset in raw_records(batch, log_id):
        assert offset is not None
        yield *read_record(raw, log_id, batch.end.partition, offset), raw, offset


def _candle(each: Changed) -> tuple[bytes, bytes]:
    return minute_key(each.series, each.bar.open_time_s), _encode(
        minute_message(each.series, each.bar, closed=each.closed)
    )
