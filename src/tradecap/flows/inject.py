"""Add synthetic bad records to the log, drawn with replacement from its own trades.

A first pass counts the trades that may be drawn, a second one picks them: nothing is held but what is written. Only
*the* trade of an id is drawn (the first of its records, and none that was injected), so that a copy of it is a
duplicate and a changed one a conflict, for certain.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Final

from tradecap.errors import TradecapError
from tradecap.flows.records import raw_records, read_lines, unwatched
from tradecap.flows.run import Run
from tradecap.log.api import Log, LogWriter, Snapshot
from tradecap.market.faults import FAULTS, spoil
from tradecap.market.records import Envelope, Trade, frame, read_envelope, series_head
from tradecap.market.trade_ids import TradeIds
from tradecap.venues.api import UNNAMED, VENUES

DRAWN_A_PASS: Final = 50_000
"""Trades that are held at a time; more draws take more passes over the log."""
DRAWN_FROM: Final = 1_000_000
"""Records of a topic, counted from the newest, that trades are drawn from (about)."""
FILE_FAULT: Final = "file"
"""What the records of --from-file are filed under."""
LIVE: Final = b'"command":"stream"'
"""Appears in the `started` event of a capture."""


@dataclass(kw_only=True)
class Injected:
    """What was written: records of each fault, and all of them with the run's events. problem: why no more could be
    drawn or read, if so."""

    run: str = ""
    seed: int = 0
    injected: Counter[str] = field(default_factory=Counter)
    records: int = 0
    problem: TradecapError | None = None


@dataclass(frozen=True)
class Bad:
    """One bad record: its payload, the head of its envelope, and its venue ('' where that isn't known)."""

    fault: str
    payload: bytes
    head: bytes
    venue: str = ""


def captured_live(log: Log) -> bool:
    """Whether the log holds, or may hold, a run of `stream`: spoiling that is asked for twice. A topic is never read
    through for this."""
    if not log.has_one_writer:
        return True
    batches = log.read(on_damage=unwatched)
    return any(LIVE in raw and _began_live(raw) for batch in batches for raw, _ in raw_records(batch, log.id))


def _began_live(line: bytes) -> bool:
    envelope = read_envelope(line)
    return envelope is not None and envelope.event == "started" and LIVE in bytes(envelope.detail)


def spoilt(log: Log, wanted: Mapping[str, int], seed: int) -> Iterator[Bad]:
    """The bad records that a seed makes of a log: the same ones each time. Raises TradecapError for a log without
    trades."""
    drawing, spoiling = Random(seed), Random(seed + 2**64)  # two, so that the size of a pass changes no payload
    snapshot = log.snapshot(DRAWN_FROM)
    total = sum(1 for _ in _drawable(snapshot))
    if not total:
        raise TradecapError("The log holds no trades to draw from.", "replay something first: tradecap replay sample:")
    draws = ((fault, _below(drawing, total)) for fault in FAULTS for _ in range(wanted.get(fault, 0)))
    while some := list(_take(draws, DRAWN_A_PASS)):
        drawn = _picked(snapshot, {index for _, index in some})
        for fault, index in some:
            envelope, trade = drawn[index]
            head = series_head(trade.venue, trade.symbol, trade.channel, f"inject:{fault}")
            required = VENUES[trade.venue].required[trade.channel]
            yield Bad(fault, spoil(fault, envelope.payload, trade.channel, required, spoiling), head, trade.venue)


def from_file(lines: Iterable[bytes]) -> Iterator[Bad]:
    """The lines of a file as they are. Raises TradecapError where there are none."""
    is_empty = True
    for line in lines:
        is_empty = False
        yield Bad(FILE_FAULT, line, series_head("", *UNNAMED.described(line), f"inject:{FILE_FAULT}"))
    if is_empty:
        raise TradecapError(
            "There is nothing to inject: the file holds no lines.", "name a file with one message a line."
        )


def inject(
    bad: Iterable[Bad], writer: LogWriter, seed: int, *, stop: Callable[[], bool], progress: Callable[[int], None]
) -> Injected:
    """Write bad records as a run of their own, whose end record says what they are. Where bad breaks off, what came
    before is kept."""
    injected = Injected(run=writer.run, seed=seed)
    run = Run(writer, "inject-bad", seed=seed)
    for record in _until_it_breaks(bad, injected):
        reading = VENUES.get(record.venue, UNNAMED).decode(record.payload, record.venue, "", "")
        run.record(time.time_ns(), record.head, frame(record.payload), reading if type(reading) is Trade else None)
        injected.injected[record.fault] += 1
        progress(1)
        if stop():
            break
    run.end(injected=dict(injected.injected), seed=seed)
    injected.records = run.records
    return injected


RUN_EVENTS: Final = 2
"""`started` and `ended`, which a run writes besides its records."""


def counted_as_written(bad: Iterable[Bad], injected: Injected) -> Iterator[Bad]:
    """Each bad record, counted as `inject` would count it."""
    injected.records = RUN_EVENTS
    for record in _until_it_breaks(bad, injected):
        injected.injected[record.fault] += 1
        injected.records += 1
        yield record


def _until_it_breaks(bad: Iterable[Bad], injected: Injected) -> Iterator[Bad]:
    try:
        yield from bad
    except TradecapError as problem:
        injected.problem = problem


def _drawable(log: Snapshot) -> Iterator[tuple[Envelope, Trade]]:
    """*The* trades of the log, as the venue's stream wrote them (a row of REST has no members to spoil)."""
    seen: dict[tuple[str, str, str], TradeIds] = {}
    for envelope, reading, _ in read_lines(log):
        if type(reading) is Trade and not envelope.fault:
            ids = seen.setdefault((reading.venue, reading.symbol, reading.channel), TradeIds())
            if ids.add(reading.id) and reading.event_time_us:
                yield envelope, reading


def _picked(log: Snapshot, indexes: set[int]) -> dict[int, tuple[Envelope, Trade]]:
    return {index: drawn for index, drawn in enumerate(_drawable(log)) if index in indexes}


def _take(draws: Iterator[tuple[str, int]], at_most: int) -> Iterator[tuple[str, int]]:
    for _, draw in zip(range(at_most), draws, strict=False):
        yield draw


def _below(rng: Random, limit: int) -> int:
    """A number below limit, made in a way that is the same in every Python."""
    return rng.getrandbits(64) % limit
