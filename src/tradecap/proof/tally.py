"""What a log says, counted record by record: the log's side of `verify`.

Rules: counted from the log alone, streaming, in whatever order its partitions come. Memory grows with runs, series and
holes, never with records. All counts are over distinct (run, seq); what came twice is a repeat. Sums over (run, block
of seq) let the store be compared without its rows: the SQL of queries/ledger_blocks.sql and winner_blocks.sql computes
the same numbers.
"""

import zlib
from dataclasses import dataclass, field
from typing import Final, TypeVar

import msgspec

from tradecap.market.batch import Position
from tradecap.market.records import Envelope, Event, Ignored, Reading, Rejected, Trade, content_hash, line_hash
from tradecap.market.seqs import Seqs
from tradecap.market.trade_ids import TradeIds

BLOCK_BITS: Final = 16
"""Records of a run are fingerprinted in blocks of 2^16."""
ID_BLOCK_BITS: Final = 20
"""Ids of a series are looked at in blocks of 2^20 where they repeat."""

# The factors of fingerprints: spread over all 64 bits (the fractions of the golden ratio and of the square roots of 2,
# 3 and 5).
TAG_FACTOR: Final = 0x9E3779B97F4A7C15
ID_FACTOR: Final = 0x6A09E667F3BCC909
CONTENT_FACTOR: Final = 0xBB67AE8584CAA73B
AT_FACTOR: Final = 0x3C6EF372FE94F82B

LATEST_NS: Final = 4_102_444_800_000_000_000
"""2100-01-01: receive times beyond it are taken for unknown."""

Series = tuple[str, str, str]
"""(venue, symbol, channel)."""
Key = TypeVar("Key")


class RecordRow(msgspec.Struct, frozen=True, gc=False):
    """What the ledger should say of one record. trade_id is 0 and `content` the hash of the line where outcome isn't
    'trade'.

    at: trade time or receive time, in seconds; of what is quarantined 0, as the whole line is held against it.
    """

    outcome: str
    reason: str
    field: str
    kind: str
    fault: str
    venue: str
    channel: str
    symbol: str
    trade_id: int
    content: int
    at: int

    def tag(self) -> int:
        """crc32 of everything but id and content, as the SQL concatenates it."""
        return zlib.crc32(
            "|".join(
                (self.outcome, self.reason, self.field, self.kind, self.fault, self.venue, self.channel, self.symbol)
            ).encode()
        )


def trade_tag(fault: str, series: Series) -> int:
    """`RecordRow.tag` of the trades of a series."""
    venue, symbol, channel = series
    return RecordRow("trade", "", "", "", fault, venue, channel, symbol, 0, 0, 0).tag()


def ledger_row(envelope: Envelope, reading: Reading, line: bytes) -> RecordRow:
    """The ledger's row for a record; line is without its newline."""
    if type(reading) is Trade:
        return RecordRow(
            "trade",
            "",
            "",
            "",
            envelope.fault,
            reading.venue,
            reading.channel,
            reading.symbol,
            reading.id,
            content_hash(reading),
            reading.trade_time_us // 1_000_000,
        )
    outcome, reason, field, kind = _outcome(reading)
    at = 0 if outcome == "quarantined" else _received_at(envelope.recv)
    return RecordRow(
        outcome,
        reason,
        field,
        kind,
        envelope.fault,
        envelope.venue,
        envelope.channel,
        envelope.symbol,
        0,
        line_hash(line),
        at,
    )


def _received_at(recv_ns: int | None) -> int:
    """Whole seconds; 0 for a clock that nobody can have set so, as in the SQL."""
    return recv_ns // 1_000_000_000 if recv_ns is not None and 0 <= recv_ns <= LATEST_NS else 0


def _outcome(reading: Reading) -> tuple[str, str, str, str]:
    match reading:
        case Rejected(reason, at):
            return "quarantined", reason, at, ""
        case Ignored(kind):
            return "ignored", "", "", kind
        case Event(name):
            return "event", "", "", name
        case Trade():
            return "trade", "", "", ""


def fingerprint(tag: int, seq: int, trade_id: int, content: int, at: int) -> int:
    """The fingerprint of one ledger row, below 2^64; summed over a block modulo 2^64. The weight by seq reveals rows
    that change places."""
    mixed = tag * TAG_FACTOR + trade_id * ID_FACTOR + content * CONTENT_FACTOR + at * AT_FACTOR
    return mixed * (2 * (seq & 0xFFFF) + 1) & 0xFFFFFFFFFFFFFFFF


def rest_fingerprint(seq: int, trade: Trade, recv_ns: int) -> int:
    """The fingerprint of the fields that `content` leaves out: event time, receive time, T to the microsecond,
    order_book. Weighed by seq too."""
    mixed = (
        trade.event_time_us * TAG_FACTOR
        + recv_ns * ID_FACTOR
        + trade.trade_time_us * CONTENT_FACTOR
        + trade.order_book * AT_FACTOR
    )
    return mixed * (2 * (seq & 0xFFFF) + 1) & 0xFFFFFFFFFFFFFFFF


@dataclass(kw_only=True, slots=True)
class SeqBlock:
    """2^16 numbers of a run: its records and the sum of their fingerprints; its trades and the sum of their
    `rest_fingerprint`.

    repeats: trades whose id the tally had seen before, and rest_of_repeats their sum: where records win in the order in
    which they were read, all others are the winners. since: by partition, the position behind which its records begin;
    a partition without one has them from its beginning on.
    """

    records: int = 0
    fingerprint: int = 0
    trades: int = 0
    rest: int = 0
    repeats: int = 0
    rest_of_repeats: int = 0
    since: dict[int, Position | None] = field(default_factory=dict)

    def merge(self, later: "SeqBlock") -> None:
        """Take in what was counted of later records."""
        self.records += later.records
        self.fingerprint += later.fingerprint
        self.trades += later.trades
        self.rest += later.rest
        self.repeats += later.repeats
        self.rest_of_repeats += later.rest_of_repeats
        self.since = later.since | self.since


@dataclass(kw_only=True)
class RunTally:
    """One run of the log. `counts` by outcome; `faults` by (fault, outcome, reason); `blocks` by number.

    `pending`: the records after the position of the feed. `parts`: by partition of the log, the lowest and the highest
    seq.
    """

    run: str
    seqs: Seqs = field(default_factory=Seqs)
    counts: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    faults: dict[tuple[str, str, str], int] = field(default_factory=dict)
    blocks: dict[int, SeqBlock] = field(default_factory=dict)
    spans: dict[Series, list[int]] = field(default_factory=dict)
    started: dict[str, object] | None = None
    ended: dict[str, object] | None = None
    ended_seq: int = -1
    pending: Seqs = field(default_factory=Seqs)
    parts: dict[int, list[int]] = field(default_factory=dict)

    @property
    def last_seq(self) -> int:
        """The greatest seq seen; -1 for none."""
        last = self.seqs.last
        return -1 if last is None else last

    def merge(self, later: "RunTally") -> None:
        """Take in what was counted of later records of the run, none of which is known here."""
        self.seqs.update(later.seqs)
        for ours, theirs in ((self.counts, later.counts), (self.reasons, later.reasons)):
            for name, n in theirs.items():
                ours[name] = ours.get(name, 0) + n
        for fault, n in later.faults.items():
            self.faults[fault] = self.faults.get(fault, 0) + n
        for number, block in later.blocks.items():
            self.blocks.setdefault(number, SeqBlock()).merge(block)
        for key, span in later.spans.items():
            for trade_id in span:
                _widen(self.spans, key, trade_id)
        for part, span in later.parts.items():
            for seq in span:
                _widen(self.parts, part, seq)
        self.started = self.started if later.started is None else later.started
        if later.ended_seq >= 0:
            self.ended, self.ended_seq = later.ended, later.ended_seq


@dataclass
class SeriesTally:
    """One series of the log: the ids that valid records hold, and the blocks of ids in which some id came more than
    once."""

    ids: TradeIds = field(default_factory=TradeIds)
    valid: int = 0
    repeated_blocks: set[int] = field(default_factory=set)

    def merge(self, later: "SeriesTally") -> None:
        """Take in what was counted of later records of the series."""
        for first, last in later.ids:
            for low, high in self.ids.within(first, last):
                self.repeated_blocks.update(range(low >> ID_BLOCK_BITS, (high >> ID_BLOCK_BITS) + 1))
            self.ids.add_range(first, last)
        self.valid += later.valid
        self.repeated_blocks |= later.repeated_blocks


@dataclass(kw_only=True, slots=True)
class _Route:
    """What the trades of one run, way and series have in common in a batch. of_part: the run's lowest and highest seq
    in the partition.

    block: the one that the last record was in, and number its number.
    """

    run: RunTally
    series: SeriesTally
    key: Series
    tag: int
    fault: tuple[str, str, str] | None
    of_part: list[int]
    number: int
    block: SeqBlock


class Tally:
    """The log's side of the account. Call `begin` with a partition, then `add` with each of its records in the order of
    the log.

    ends: by partition, the position after what was counted. empty: values that hold nothing, which aren't records.
    """

    def __init__(self) -> None:
        self.ends: dict[int, Position] = {}
        self.empty = 0
        self.runs: dict[str, RunTally] = {}
        self.series: dict[Series, SeriesTally] = {}
        self.recovered: dict[str, int] = {}
        self.repeats = 0
        self.repeated: dict[tuple[str, int], set[int]] = {}
        self._ways: dict[tuple[str, str, str, str, str], _Route] = {}
        self._part = 0
        self._since: Position | None = None

    @property
    def read_to(self) -> dict[int, str]:
        """The ends as positions that a log takes."""
        return {part: end.at for part, end in self.ends.items()}

    @property
    def records(self) -> int:
        """Distinct (run, seq)."""
        return sum(len(run.seqs) for run in self.runs.values())

    def count(self, outcome: str) -> int:
        """Distinct records with an outcome."""
        return sum(run.counts.get(outcome, 0) for run in self.runs.values())

    def begin(self, part: int, since: Position | None = None) -> None:
        """The records that come next are of this partition, behind this position (None: its beginning)."""
        self._part, self._since = part, since
        self._ways.clear()

    def add(self, envelope: Envelope, reading: Reading, line: bytes) -> None:
        """Count one record; line is without its newline."""
        if type(reading) is Trade:
            self._add_trade(envelope, reading)
            return
        run = self._run(envelope)
        if run.seqs.add(envelope.seq):
            _widen(run.parts, self._part, envelope.seq)
            self._add_other(run, envelope, reading, line)
        else:
            self._repeat(envelope)

    def merge(self, later: "Tally") -> bool:
        """Take in what was counted of the records that come next. False, and nothing is changed, where one of them is
        here already."""
        for name, run in later.runs.items():
            if name in self.runs and self.runs[name].seqs.meets(run.seqs):
                return False
        for name, run in later.runs.items():
            self.runs.setdefault(name, RunTally(run=name)).merge(run)
        for key, series in later.series.items():
            self.series.setdefault(key, SeriesTally()).merge(series)
        self.recovered |= later.recovered
        self.empty += later.empty
        self.repeats += later.repeats
        self.repeated |= later.repeated
        return True

    def _run(self, envelope: Envelope) -> RunTally:
        run = self.runs.get(envelope.run)
        if run is None:
            run = self.runs[envelope.run] = RunTally(run=envelope.run)
        return run

    def _repeat(self, envelope: Envelope) -> None:
        self.repeats += 1
        self.repeated.setdefault((envelope.run, envelope.seq), set())

    def note_repeat(self, envelope: Envelope, line: bytes) -> None:
        """One of the records that share (run, seq): their contents tell a redelivery from a false identity."""
        self.repeated[(envelope.run, envelope.seq)].add(line_hash(line))

    def _add_trade(self, envelope: Envelope, trade: Trade) -> None:
        """The hot path: what trades of one run, way and series share is looked up once."""
        way = self._ways.get((envelope.run, envelope.via, trade.venue, trade.symbol, trade.channel)) or self._begin_way(
            envelope, trade
        )
        run, seq, number = way.run, envelope.seq, trade.id
        if not run.seqs.add(seq):
            self._repeat(envelope)
            return
        if seq > way.of_part[1]:
            way.of_part[1] = seq
        elif seq < way.of_part[0]:
            way.of_part[0] = seq
        if seq >> BLOCK_BITS != way.number:
            way.number = seq >> BLOCK_BITS
            way.block = self._block(run, way.number)
        block = way.block
        rest = rest_fingerprint(seq, trade, envelope.recv or 0)
        series = way.series
        series.valid += 1
        if not series.ids.add(number):
            series.repeated_blocks.add(number >> ID_BLOCK_BITS)
            block.repeats += 1
            block.rest_of_repeats += rest
        run.counts["trade"] += 1
        if way.fault:
            run.faults[way.fault] = run.faults.get(way.fault, 0) + 1
        else:
            _widen(run.spans, way.key, number)
        block.records += 1
        block.trades += 1
        block.rest += rest
        block.fingerprint += fingerprint(way.tag, seq, number, content_hash(trade), trade.trade_time_us // 1_000_000)

    def _begin_way(self, envelope: Envelope, trade: Trade) -> "_Route":
        run = self._run(envelope)
        run.counts.setdefault("trade", 0)
        key = (trade.venue, trade.symbol, trade.channel)
        series = self.series.setdefault(key, SeriesTally())
        tag = trade_tag(envelope.fault, key)
        fault = (envelope.fault, "trade", "") if envelope.fault else None
        of_part = run.parts.setdefault(self._part, [envelope.seq, envelope.seq])
        number = envelope.seq >> BLOCK_BITS
        way = self._ways[(envelope.run, envelope.via, *key)] = _Route(
            run=run,
            series=series,
            key=key,
            tag=tag,
            fault=fault,
            of_part=of_part,
            number=number,
            block=self._block(run, number),
        )
        return way

    def _block(self, run: RunTally, number: int) -> SeqBlock:
        block = run.blocks.get(number)
        if block is None:
            block = run.blocks[number] = SeqBlock()
        block.since.setdefault(self._part, self._since)
        return block

    def _add_other(self, run: RunTally, envelope: Envelope, reading: Reading, line: bytes) -> None:
        row = ledger_row(envelope, reading, line)
        run.counts[row.outcome] = run.counts.get(row.outcome, 0) + 1
        if row.reason:
            run.reasons[row.reason] = run.reasons.get(row.reason, 0) + 1
        if row.fault:
            fault = (row.fault, row.outcome, row.reason)
            run.faults[fault] = run.faults.get(fault, 0) + 1
        if row.outcome == "event":
            self._note_event(run, envelope)
        self._fingerprint(run, envelope.seq, row)

    def _note_event(self, run: RunTally, envelope: Envelope) -> None:
        detail = _detail(envelope)
        if envelope.event == "started":
            run.started = detail
        elif envelope.event == "ended":
            run.ended, run.ended_seq = detail, envelope.seq
        elif (
            envelope.event == "recovered"
            and isinstance(detail.get("run"), str)
            and isinstance(detail.get("last_seq"), int)
        ):
            self.recovered[str(detail["run"])] = int(str(detail["last_seq"]))

    def _fingerprint(self, run: RunTally, seq: int, row: RecordRow) -> None:
        block = self._block(run, seq >> BLOCK_BITS)
        block.records += 1
        block.fingerprint += fingerprint(row.tag(), seq, 0, row.content, row.at)


def _widen(spans: dict[Key, list[int]], key: Key, number: int) -> None:
    span = spans.get(key)
    if span is None:
        spans[key] = [number, number]
    elif number > span[1]:
        span[1] = number
    elif number < span[0]:
        span[0] = number


def _detail(envelope: Envelope) -> dict[str, object]:
    try:
        detail = msgspec.json.decode(envelope.detail) if envelope.detail else {}
    except msgspec.MsgspecError:
        return {}
    return detail if isinstance(detail, dict) else {}
