"""Write recordings into the log, as a new run.

frames -> decode -> filter -> pace -> record. Everything that isn't left out on purpose is logged, also what can't be read; other streams are
counted by kind. Where a file breaks off, what came before is kept and the break is told at the end.
"""

import itertools
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from tradecap.errors import TradecapError
from tradecap.flows.run import Run
from tradecap.log import Log, LogWriter, TornRun
from tradecap.log.foreign import Frame, Source, frames
from tradecap.market.pacing import Lateness, Pacer
from tradecap.market.records import Ignored, Reading, Rejected, Trade, cut_frame, frame, json_text, read_envelope, series_head, source_head
from tradecap.venues.binance import MICROSECONDS_FROM, decode, described

LOOKED_AT: Final = 1000
"""Lines of an input in which something must be recognised."""
FLUSH_RECORDS: Final = 50_000
"""A replay at full speed makes so many records durable at a time."""
FLUSH_NS: Final = 100_000_000
"""A paced one does it this often, where FLUSH_ROOM_NS are left before the next record is due."""
FLUSH_ROOM_NS: Final = 5_000_000
UNREADABLE: Final = ("malformed_json", "not_an_object", "not_utf8", "unknown_message", "oversize")
"""Reasons that say nothing of what the line was meant to be."""


@dataclass(frozen=True)
class Choice:
    """What to replay and how. Times in ns since 1970 UTC, to_ns exclusive; venue and symbol of --as are for lines that don't name theirs."""

    speed: float | None = None
    from_ns: int | None = None
    to_ns: int | None = None
    symbols: frozenset[str] = frozenset()
    limit: int | None = None
    now: bool = False
    venue: str = ""
    symbol: str = ""


@dataclass
class Replayed:
    """lines = valid + quarantined + ignored + filtered; records = valid + quarantined + events."""

    run: str = ""
    lines: int = 0
    records: int = 0
    valid: int = 0
    events: int = 0
    filtered: int = 0
    ignored: Counter[str] = field(default_factory=Counter)
    quarantined: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    pacing: dict[str, float] | None = None
    problems: list[TradecapError] = field(default_factory=list)


@dataclass(frozen=True)
class _Item:
    """A line, read: what it is, and what its record will hold. `framed` is empty where the payload still has to be framed."""

    reading: Reading
    payload: bytes
    recv_ns: int | None
    head: bytes
    framed: bytes


@dataclass
class Input:
    """A source whose first lines have been looked at. `problem` is why it broke off, if it did."""

    source: Source
    frames: Iterator[Frame]
    problem: TradecapError | None = None


class Nowhere:
    """A writer for a dry run."""

    def __init__(self) -> None:
        self.run = ""
        self.torn: list[TornRun] = []
        self.torn_bytes = 0

    def append(self, line: bytes, trade: Trade | None = None) -> None:
        """Take nothing."""

    def flush(self) -> None:
        """Nothing to make durable."""

    def close(self) -> None:
        """Nothing to close."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        """Nothing to leave."""


def look_at(sources: Iterable[Source], choice: Choice) -> list[Input]:
    """The inputs, each with something in its first lines that is recognised. Raises TradecapError (nothing is written yet) where nothing is."""
    return [_looked_at(source, choice) for source in sources]


def _looked_at(source: Source, choice: Choice) -> Input:
    entry = Input(source, iter(()))
    whole = _until_it_breaks(source, entry)
    seen: list[Frame] = []
    for each in itertools.islice(whole, LOOKED_AT):
        seen.append(each)
        if choice.venue or _is_recognised(each):
            break
    else:
        if entry.problem and not seen:
            raise entry.problem
        what = f"nothing in its first {len(seen)} lines is a message of a known venue" if seen else "it is empty"
        raise TradecapError(
            f"{source.name} is no recording: {what}.", "docs/recordings.md lists what can be read; --as VENUE:SYMBOL reads it anyway."
        )
    entry.frames = itertools.chain(seen, whole)
    return entry


def _until_it_breaks(source: Source, entry: Input) -> Iterator[Frame]:
    """The frames; a break (a file cut short) ends them and is kept for the end of the run."""
    try:
        yield from frames(source)
    except TradecapError as problem:
        entry.problem = problem


def _is_recognised(each: Frame) -> bool:
    if each.own:
        return read_envelope(each.payload) is not None
    reading = decode(each.payload)
    return not (isinstance(reading, Rejected) and reading.reason in UNREADABLE)


def refuse_own_log(inputs: list[Input], log: Log) -> None:
    """A log that is replayed into itself would never end."""
    if any(entry.source.log is not None and entry.source.log.id == log.id for entry in inputs):
        raise TradecapError(
            f"{log.url} can't be replayed into itself.", "name another log with --log; for records twice there is inject-bad --dupes."
        )


def replay(inputs: list[Input], writer: LogWriter, choice: Choice, *, stop: Callable[[], bool], progress: Callable[[int], None]) -> Replayed:
    """Write the inputs one after another. Ends early, but properly, when stop() says so."""
    started = time.monotonic()
    replayed = Replayed(run=writer.run)
    run = Run(writer, "replay", inputs=[entry.source.name for entry in inputs], speed=choice.speed or "max")
    pace = Pace(choice.speed, run.flush) if choice.speed else None
    shift = Shift() if choice.now else None
    for item in _items(inputs, choice, replayed):
        if shift:
            item = shift.moved(item)
        if pace:
            pace.wait(_recorded_ns(item))
        reading = item.reading
        run.record(item.recv_ns, item.head, item.framed or frame(item.payload), reading if type(reading) is Trade else None)
        if run.records % FLUSH_RECORDS == 0:
            run.flush()
            progress(FLUSH_RECORDS)
        if stop() or replayed.valid == choice.limit:
            break
    replayed.problems = [entry.problem for entry in inputs if entry.problem]
    replayed.pacing = pace.lateness.summary() if pace else None
    _end(run, replayed)
    replayed.seconds = time.monotonic() - started
    return replayed


def _end(run: Run, replayed: Replayed) -> None:
    counts = {"lines": replayed.lines, "valid": replayed.valid, "filtered": replayed.filtered}
    run.end(**counts, ignored=dict(replayed.ignored), quarantined=dict(replayed.quarantined))
    replayed.records = run.records
    replayed.events = run.records - replayed.valid - sum(replayed.quarantined.values())


def _items(inputs: Iterable[Input], choice: Choice, replayed: Replayed) -> Iterator[_Item]:
    """What is to be logged, counted on the way."""
    for entry in inputs:
        name = json_text(Path(entry.source.name).name)
        for each in entry.frames:
            replayed.lines += 1
            item = _own(each, name) if each.own else _foreign(each, name, choice)
            reading = item.reading
            if type(reading) is Trade:
                if _is_left_out(reading, choice):
                    replayed.filtered += 1
                    continue
                replayed.valid += 1
            elif type(reading) is Ignored:
                replayed.ignored[reading.kind] += 1
                continue
            elif type(reading) is Rejected:
                replayed.quarantined[reading.reason] += 1
            yield item


def _is_left_out(trade: Trade, choice: Choice) -> bool:
    if choice.symbols and trade.symbol not in choice.symbols:
        return True
    time_ns = trade.trade_time_us * 1000
    return (choice.from_ns is not None and time_ns < choice.from_ns) or (choice.to_ns is not None and time_ns >= choice.to_ns)


def _foreign(each: Frame, name: bytes, choice: Choice) -> _Item:
    """A message of somebody's recording. It came by the stream, as far as anyone can tell."""
    payload = each.payload
    if each.truncated_size is not None:
        framed = cut_frame(payload, each.truncated_size, each.sha256)
        return _Item(Rejected("oversize"), payload, each.recv_ns, series_head(choice.venue, "", "", "ws") + source_head(name, each.line), framed)
    reading = decode(payload, choice.venue, choice.symbol, "trade" if choice.symbol else "")
    if type(reading) is Trade:
        head = series_head(reading.venue, reading.symbol, reading.channel, "ws")
        return _Item(reading, payload, each.recv_ns, head + source_head(name, each.line), b'"data":%b}\n' % payload)
    head = series_head(choice.venue, *described(payload), "ws")
    return _Item(reading, payload, each.recv_ns, head + source_head(name, each.line), b"")


def _own(each: Frame, name: bytes) -> _Item:
    """A record of a log of ours: payload, receive time, series and way as they are; its events are not repeated."""
    envelope = read_envelope(each.payload)
    if envelope is None:
        return _Item(Rejected("malformed_json"), each.payload, None, source_head(name, each.line), b"")
    if envelope.event:
        return _Item(Ignored("event"), b"", envelope.recv, b"", b"")
    head = series_head(envelope.venue, envelope.symbol, envelope.channel, envelope.via)
    head += b'"src":"%b",' % json_text(envelope.src) if envelope.src else source_head(name, each.line)
    if envelope.size is not None:
        return _Item(Rejected("oversize"), b"", envelope.recv, head, cut_frame(envelope.payload, envelope.size, envelope.sha256))
    return _Item(decode(envelope.payload, envelope.venue, envelope.symbol, envelope.channel), envelope.payload, envelope.recv, head, b"")


# ---- time --------------------------------------------------------------------------------------------------------------------------------


def _recorded_ns(item: _Item) -> int | None:
    """When a message was recorded: by the receive time, else E, else T."""
    if item.recv_ns is not None:
        return item.recv_ns
    reading = item.reading
    return (reading.event_time_us or reading.trade_time_us) * 1000 if type(reading) is Trade else None


class Pace:
    """Waits until a message is due, and makes the log durable while there is time."""

    def __init__(self, speed: float, flush: Callable[[], None]) -> None:
        self.lateness = Lateness()
        self._pacer = Pacer(speed)
        self._flush = flush
        self._began = 0
        self._flushed = 0

    def wait(self, recorded_ns: int | None) -> None:
        """Sleep until the message recorded at this time is due."""
        due = self._pacer.due_ns(recorded_ns)
        now = time.perf_counter_ns()
        self._began = self._began or now
        if now - self._flushed > FLUSH_NS and self._began + due - now > FLUSH_ROOM_NS:
            self._flush()
            now = self._flushed = time.perf_counter_ns()
        while now < self._began + due:
            time.sleep((self._began + due - now) / 1e9)
            now = time.perf_counter_ns()
        self.lateness.add(now - self._began - due)


_TIMES: Final = re.compile(rb'"(E|T|time)":(\d{13,16})(?=[,}])')


class Shift:
    """Moves the times of a recording so that its first trade is now. The one change that a replay makes to a payload, and only when asked to."""

    def __init__(self) -> None:
        self._by_us: int | None = None

    def moved(self, item: _Item) -> _Item:
        """The item with the times of its message and its receive time moved."""
        trade = item.reading
        if type(trade) is not Trade:
            return item
        if self._by_us is None:
            self._by_us = time.time_ns() // 1000 - trade.trade_time_us
        by_us = self._by_us // 1000 * 1000  # whole milliseconds: the venue's unit
        payload = _TIMES.sub(lambda m: b'"%b":%d' % (m[1], _later(int(m[2]), by_us)), item.payload)
        recv_ns = None if item.recv_ns is None else item.recv_ns + by_us * 1000
        return _Item(decode(payload, trade.venue, trade.symbol, trade.channel), payload, recv_ns, item.head, b"")


def _later(venue_time: int, by_us: int) -> int:
    return venue_time + (by_us if venue_time >= MICROSECONDS_FROM else by_us // 1000)
