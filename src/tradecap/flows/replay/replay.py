"""Write recordings into the log, as a new run.

frames -> decode -> filter -> pace -> record. Everything that isn't left out on purpose is logged, also what can't be read; other streams are
counted by kind. Where a file breaks off, what came before is kept and the break is told at the end.
"""

import itertools
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final, Self

import msgspec

from tradecap.errors import TradecapError
from tradecap.fast import is_fast
from tradecap.flows.candles import which_symbol
from tradecap.flows.replay.quick import QuickWriter
from tradecap.flows.replay.recognition import NOTHING, TRADE, Names, Sight, not_a_venue, refusal, sight
from tradecap.flows.run import Run
from tradecap.log.api import Log, LogWriter, TornRun
from tradecap.market.pacing import Lateness, Pacer
from tradecap.market.records import Ignored, Reading, Rejected, Trade, cut_frame, frame, json_text, read_envelope, series_head, source_head
from tradecap.recordings.reading import Frame, Source, frames
from tradecap.venues.api import UNNAMED, VENUES, by_shape, from_name, recorders, unsupported, venue_of

LOOKED_AT: Final = 1000
"""Lines of an input in which something must be recognised."""
FLUSH_RECORDS: Final = 50_000
"""A replay at full speed makes so many records durable at a time."""
FLUSH_NS: Final = 100_000_000
"""A paced one does it this often, where FLUSH_ROOM_NS are left before the next record is due; at the latest after FLUSH_LATEST_NS."""
FLUSH_ROOM_NS: Final = 5_000_000
FLUSH_LATEST_NS: Final = 1_000_000_000
IDLE_NS: Final = 1_000_000_000
"""How often a long wait looks whether it is time to say that the run is alive."""
NAP_NS: Final = 50_000_000
"""A wait looks this often whether somebody asked for the end."""


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
    """lines = valid + quarantined + ignored + filtered; records = valid + quarantined + events.

    named_by_file: the symbols that only the name of a file gave to its rows; None where there are none.
    stopped: whether a signal ended it before the end of its inputs. left_out_ns: the first and last time of trades that options left out.
    """

    run: str = ""
    lines: int = 0
    records: int = 0
    valid: int = 0
    events: int = 0
    filtered: int = 0
    ignored: dict[str, int] = field(default_factory=dict)
    quarantined: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    pacing: dict[str, float] | None = None
    named_by_file: list[str] | None = None
    stopped: bool = False
    left_out_ns: tuple[int, int] | None = None
    unknown_hosts: list[str] = field(default_factory=list)
    problems: list[TradecapError] = field(default_factory=list)


class _Item(msgspec.Struct, frozen=True, gc=False):
    """A line, read: what it is, and what its record will hold. `framed` is empty where the payload still has to be framed.

    symbol is that of the message, or what it claims where it can't be read.
    """

    reading: Reading
    payload: bytes
    recv_ns: int | None
    head: bytes
    framed: bytes = b""
    symbol: str = ""


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
    sights: set[Sight] = set()
    for each in itertools.islice(whole, LOOKED_AT):
        seen.append(each)
        sights.add(sight := _seen(each, choice))
        if sight == TRADE:
            break
    if problem := refusal(source.name, [each.payload for each in seen], sights, entry.problem):
        raise problem
    if source.path is not None and source.path.is_file():
        # begun again when its turn comes: a thousand files are not kept open (a pipe has to be)
        whole.close()
        entry.problem = None
        entry.frames = _until_it_breaks(source, entry)
    else:
        entry.frames = itertools.chain(seen, whole)
    return entry


def _until_it_breaks(source: Source, entry: Input) -> Generator[Frame, None, None]:
    """The frames; a break (a file cut short) ends them and is kept for the end of the run."""
    try:
        yield from frames(source, recorders())
    except TradecapError as problem:
        entry.problem = problem


def _seen(each: Frame, choice: Choice) -> Sight:
    """What a line says of its file."""
    if each.own:
        return NOTHING if read_envelope(each.payload) is None else TRADE
    item = _foreign(each, b"", choice)
    return sight(each, item.reading, item.symbol, lambda: _foreign(each, b"", replace(choice, symbol="BTCUSDT")).reading)


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
    checkpoint = _checkpoint(run, progress)
    pace = Pace(choice.speed, checkpoint, stop) if choice.speed else None
    shift = Shift() if choice.now else None
    others: set[str] = set()
    quick = QuickWriter(run, replayed, checkpoint, FLUSH_RECORDS) if _takes_all(choice) and is_fast() else None
    for item in _items(inputs, choice, replayed, others, stop, quick):
        if pace:
            pace.wait(_recorded_ns(item))
        if shift:
            item = shift.moved(item)
        reading = item.reading
        run.record(item.recv_ns, item.head, item.framed or frame(item.payload), reading if type(reading) is Trade else None)
        if run.records % FLUSH_RECORDS == 0:
            checkpoint()
        if replayed.valid == choice.limit:
            break
    replayed.problems = _problems(inputs, choice, others, is_stopped=stop())
    replayed.pacing = pace.lateness.summary() if pace else None
    _end(run, replayed)
    replayed.seconds = time.monotonic() - started
    return replayed


def _takes_all(choice: Choice) -> bool:
    """Whether every message is written as it is and at once."""
    return choice == Choice()


def _checkpoint(run: Run, progress: Callable[[int], None]) -> Callable[[], None]:
    """Make what was written durable, and tell how much it is."""
    told = 0

    def checkpoint() -> None:
        nonlocal told
        if run.records == told:
            run.alive_if_due()
            return
        run.flush()
        progress(run.records - told)
        told = run.records

    return checkpoint


def _problems(inputs: list[Input], choice: Choice, others: set[str], *, is_stopped: bool) -> list[TradecapError]:
    """What is to be told at the end. A stream that was left on request isn't cut short, and what may still have come isn't missing."""
    problems = [entry.problem for entry in inputs if entry.problem and not (is_stopped and entry.source.stream)]
    if choice.symbols and not is_stopped and not choice.symbols & others:
        wanted = sorted(choice.symbols)
        where = ", ".join(entry.source.name for entry in inputs)
        hint = which_symbol(wanted[0], others, "it holds no trades.")
        problems.append(TradecapError(f"There is no trade of {', '.join(wanted)} in {where}.", hint))
    return problems


def _end(run: Run, replayed: Replayed) -> None:
    counts = {"lines": replayed.lines, "valid": replayed.valid, "filtered": replayed.filtered}
    run.end(**counts, ignored=replayed.ignored, quarantined=replayed.quarantined)
    replayed.records = run.records
    replayed.events = run.records - replayed.valid - sum(replayed.quarantined.values())


def _items(
    inputs: Iterable[Input], choice: Choice, replayed: Replayed, symbols: set[str], stop: Callable[[], bool], quick: QuickWriter | None
) -> Iterator[_Item]:
    """What is to be logged, counted on the way; symbols: those that were met, where some were asked for. quick writes most of it by itself."""
    named = Names()
    for entry in inputs:
        name = json_text(entry.source.name.rpartition("/")[2])
        for each, known in quick.others(entry.frames, name, stop) if quick else ((each, None) for each in entry.frames):
            if stop():
                replayed.stopped = True
                return
            item = _read(each, name, choice, known)
            reading = item.reading
            if each.host and not venue_of(each.host) and (why := not_a_venue(entry.source.name, each, choice.venue)):
                if not unsupported(each.host, "") and each.host not in replayed.unknown_hosts:
                    replayed.unknown_hosts.append(each.host)
                if type(reading) is Trade:
                    entry.problem = why
                    break
            if choice.symbol and each.symbol and not each.is_named and type(reading) is Trade and (why := named.differs(entry.source.name, each)):
                entry.problem = why
                break
            replayed.lines += 1
            if type(reading) is Ignored:
                _count(replayed.ignored, reading.kind)
                continue
            if choice.symbols:
                symbols.add(item.symbol)
            if _is_left_out(item, choice):
                replayed.filtered += 1
                _note_time(replayed, reading)
                continue
            if type(reading) is Trade:
                replayed.valid += 1
                if each.channel and not each.is_named and not choice.symbol:
                    _note_name(replayed, reading.symbol)
            elif type(reading) is Rejected:
                _count(replayed.quarantined, reading.reason)
            yield item
        replayed.stopped = entry.source.stream is not None and stop()  # a pipe ends when it is asked to


def _note_time(replayed: Replayed, reading: Reading) -> None:
    if type(reading) is Trade:
        ns = reading.trade_time_us * 1000
        first, last = replayed.left_out_ns or (ns, ns)
        replayed.left_out_ns = (min(first, ns), max(last, ns))


def _note_name(replayed: Replayed, symbol: str) -> None:
    replayed.named_by_file = replayed.named_by_file or []
    if symbol not in replayed.named_by_file:
        replayed.named_by_file.append(symbol)


def _count(counts: dict[str, int], key: str) -> None:
    counts[key] = counts.get(key, 0) + 1


def _is_left_out(item: _Item, choice: Choice) -> bool:
    """By symbol also what can't be read, as far as it names one; by time only trades."""
    if choice.symbols and item.symbol not in choice.symbols and (item.symbol or type(item.reading) is Trade):
        return True
    if type(item.reading) is not Trade:
        return False
    time_ns = item.reading.trade_time_us * 1000
    return (choice.from_ns is not None and time_ns < choice.from_ns) or (choice.to_ns is not None and time_ns >= choice.to_ns)


def _series(each: Frame, choice: Choice) -> tuple[str, str, str]:
    """Venue, symbol and channel as far as they are known beside the message: what names a row, else --as, else the file's name."""
    symbol = each.symbol if each.is_named else choice.symbol or from_name(each.symbol)
    return choice.venue or venue_of(each.host), symbol, each.channel or ("trade" if symbol else "")


def _read(each: Frame, name: bytes, choice: Choice, known: Reading | None = None) -> _Item:
    if each.truncated_size is not None:
        venue, symbol, _ = _series(each, choice)
        head = series_head(venue, symbol, each.channel, "" if each.own else each.via) + source_head(name, each.line)
        return _Item(Rejected("oversize"), each.payload, each.recv_ns, head, cut_frame(each.payload, each.truncated_size, each.sha256))
    return _own(each, name) if each.own else _foreign(each, name, choice, known)


def _foreign(each: Frame, name: bytes, choice: Choice, known: Reading | None = None) -> _Item:
    """A message of somebody's recording. known: what it is read as, where that is known."""
    payload = each.payload
    venue, symbol, channel = _series(each, choice)
    reading = known or (VENUES[venue].decode if venue else by_shape)(payload, venue, symbol, channel)
    if type(reading) is Trade:
        head = series_head(reading.venue, reading.symbol, reading.channel, each.via)
        # rows of the archive hold nothing that would have to be escaped, or they were no trades
        framed = (b'"data":%b}\n' if payload[:1] == b"{" else b'"text":"%b"}\n') % payload
        return _Item(reading, payload, each.recv_ns, head + source_head(name, each.line), framed, reading.symbol)
    told_symbol, told_channel = VENUES.get(venue, UNNAMED).described(payload)
    head = series_head(venue, told_symbol or symbol, told_channel or channel, each.via)
    return _Item(reading, payload, each.recv_ns, head + source_head(name, each.line), symbol=told_symbol or symbol)


def _own(each: Frame, name: bytes) -> _Item:
    """A record of a log of ours: payload, receive time, series and way as they are; its events are not repeated."""
    envelope = read_envelope(each.payload)
    if envelope is None:
        return _Item(Rejected("malformed_json"), each.payload, None, source_head(name, each.line))
    if envelope.event:
        return _Item(Ignored("event"), b"", envelope.recv, b"")
    head = series_head(envelope.venue, envelope.symbol, envelope.channel, envelope.via)
    head += b'"src":"%b",' % json_text(envelope.src) if envelope.src else source_head(name, each.line)
    if envelope.size is not None:
        framed = cut_frame(envelope.payload, envelope.size, envelope.sha256)
        return _Item(Rejected("oversize"), b"", envelope.recv, head, framed, envelope.symbol)
    reading = VENUES.get(envelope.venue, UNNAMED).decode(envelope.payload, envelope.venue, envelope.symbol, envelope.channel)
    symbol = reading.symbol if type(reading) is Trade else envelope.symbol
    return _Item(reading, envelope.payload, envelope.recv, head, symbol=symbol)


# ---- time --------------------------------------------------------------------------------------------------------------------------------


def _recorded_ns(item: _Item) -> int | None:
    """When a message was recorded: by the receive time, else E, else T."""
    if item.recv_ns is not None:
        return item.recv_ns
    reading = item.reading
    return (reading.event_time_us or reading.trade_time_us) * 1000 if type(reading) is Trade else None


class Pace:
    """Waits until a message is due, and calls idle (which makes the log durable) while there is time. stop() ends a wait."""

    def __init__(self, speed: float, idle: Callable[[], None], stop: Callable[[], bool]) -> None:
        self.lateness = Lateness()
        self._pacer = Pacer(speed)
        self._idle = idle
        self._stop = stop
        self._began = self._idled = time.perf_counter_ns()

    def wait(self, recorded_ns: int | None) -> None:
        """Sleep until the message recorded at this time is due."""
        due = self._began + self._pacer.due_ns(recorded_ns)
        now = time.perf_counter_ns()
        since = now - self._idled
        if since > FLUSH_LATEST_NS or (since > FLUSH_NS and due - now > FLUSH_ROOM_NS):
            self._idle()
            now = self._idled = time.perf_counter_ns()
        while now < due and not self._stop():
            time.sleep(min(due - now, NAP_NS) / 1e9)
            now = time.perf_counter_ns()
            if now - self._idled > IDLE_NS:
                self._idle()
                self._idled = now
        if now >= due:
            self.lateness.add(now - due)


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
        venue = VENUES[trade.venue]
        payload = venue.moved(item.payload, trade.channel, by_us)
        recv_ns = None if item.recv_ns is None else item.recv_ns + by_us * 1000
        return _Item(venue.decode(payload, trade.venue, trade.symbol, trade.channel), payload, recv_ns, item.head, symbol=item.symbol)
