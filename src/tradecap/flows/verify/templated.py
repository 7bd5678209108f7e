"""Counts the records of a batch by templates (market/templates.py): the quick way of the log's side of `verify`.

Rules: its result is that of `count_plainly`; where it can't be sure of that it gives none: records that are twice in a
batch are left to the plain way. A line that fits no template is read by itself, and may be the template of others.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tradecap.flows.records import read_record
from tradecap.market.batch import Lines, Portion, Values
from tradecap.market.foreign_records import adopted
from tradecap.market.records import Trade
from tradecap.market.templates import Bytes, Columns, Ints, Template, Words, shapes, template_of
from tradecap.proof.tally import (
    AT_FACTOR,
    BLOCK_BITS,
    CONTENT_FACTOR,
    ID_BLOCK_BITS,
    ID_FACTOR,
    TAG_FACTOR,
    RunTally,
    SeqBlock,
    Series,
    SeriesTally,
    Tally,
    trade_tag,
)
from tradecap.venues.api import UNNAMED, VENUES

FEW: Final = 256
"""Records that are read one by one as quickly."""
LONGEST: Final = 2048
"""Bytes of a line that may fit a template."""
ALIKE: Final = 8
"""Lines of one shape for which it pays to make a template."""
TRIED: Final = 64
"""Lines of one shape that are tried as templates in a batch."""
KEPT: Final = 4096


class TradeOrigin(NamedTuple):
    """What the trades of a run share."""

    run: str
    series: Series
    fault: str


class TemplateCounter:
    """Keeps the templates from batch to batch."""

    def __init__(self, log_id: str) -> None:
        self._log_id = log_id
        self._templates: dict[tuple[int, int], list[Template]] = {}

    def count(self, portion: Portion) -> Tally | None:
        """The tally of a portion by itself; None where the plain way has to count it."""
        lines = _BatchLines.of(portion, self._log_id)
        if lines is None:
            return None
        found: dict[TradeOrigin, list[tuple[Template, Ints, Columns]]] = {}
        others = []
        for length, rows in lines.by_length():
            others.append(self._read(lines, length, rows, found))
        tally = Tally()
        tally.empty = lines.empty
        for run in {way.run for way in found}:
            seqs = [columns.seq for way, groups in found.items() if way.run == run for _, _, columns in groups]
            if not _add_seqs(tally.runs.setdefault(run, RunTally(run=run)), np.concatenate(seqs)):
                return None
        for way, groups in found.items():
            _add(tally, way, groups, portion)
        plain = Tally()
        plain.begin(portion.batch.end.partition, portion.since)
        for row in np.sort(np.concatenate(others)).tolist():
            raw, offset = lines.record(row)
            plain.add(*read_record(raw, self._log_id, portion.batch.end.partition, offset), raw)
        return tally if tally.merge(plain) and not plain.repeats else None

    def _read(
        self,
        lines: "_BatchLines",
        length: int,
        rows: Ints,
        found: dict[TradeOrigin, list[tuple[Template, Ints, Columns]]],
    ) -> Ints:
        """Find the lines of one length that fit templates; the others."""
        if len(rows) < ALIKE or length > LONGEST:
            return rows
        table: Bytes = sliding_window_view(lines.text, length)[lines.starts[rows]]
        of_shape = shapes(table)
        order = np.argsort(of_shape, kind="stable")
        kinds, firsts = np.unique(of_shape[order], return_index=True)
        left = [
            self._read_alike(lines, (length, kind), table, alike, rows, found)
            for kind, alike in zip(kinds.tolist(), np.split(order, firsts[1:]), strict=True)
        ]
        unread: Ints = rows[np.concatenate(left)]
        return unread

    def _read_alike(
        self,
        lines: "_BatchLines",
        kind: tuple[int, int],
        table: Bytes,
        left: Ints,
        rows: Ints,
        found: dict[TradeOrigin, list[tuple[Template, Ints, Columns]]],
    ) -> Ints:
        """Find the lines of one shape that fit templates; the others. left: their places in the table."""
        for template in self._templates.get(kind, ()):
            left = _take(template, table, left, rows, found)
        odd = []
        for _ in range(TRIED):
            if len(left) < ALIKE:
                break
            made = self._made(lines, int(rows[left[0]]), kind[0])
            taken = left
            if made is not None:
                self._keep(kind, made)
                taken = _take(made, table, left, rows, found)
            if len(taken) == len(left):  # a line fits its own template, unless its numbers are odd
                odd.append(left[0])
                taken = left[1:]
            left = taken
        unread: Ints = np.concatenate([left, np.array(odd, np.int64)])
        return unread

    def _made(self, lines: "_BatchLines", row: int, length: int) -> Template | None:
        raw, offset = lines.record(row)
        if len(raw) != length:
            return None  # the value of another producer, wrapped
        envelope, reading = read_record(raw, self._log_id, lines.partition, offset)
        if type(reading) is not Trade:
            return None
        numbers = VENUES.get(envelope.venue, UNNAMED).numbers_of(bytes(envelope.data), reading.channel)
        return template_of(raw, envelope, reading, numbers)

    def _keep(self, kind: tuple[int, int], template: Template) -> None:
        if sum(map(len, self._templates.values())) >= KEPT:
            self._templates.clear()
        self._templates.setdefault(kind, []).insert(0, template)


class _BatchLines(NamedTuple):
    """The lines of a batch in one text. empty: values without a record."""

    text: Bytes
    raw: bytes
    starts: Ints
    lengths: Ints
    empty: int
    partition: int
    log_id: str
    content: Lines | Values

    @classmethod
    def of(cls, portion: Portion, log_id: str) -> "_BatchLines | None":
        content = portion.batch.content
        if portion.batch.records < FEW or not isinstance(content, Lines | Values):
            return None
        raw = content.text if isinstance(content, Lines) else b"\n".join(content.values) + b"\n"
        text = np.frombuffer(raw, np.uint8)
        ends = np.flatnonzero(text == ord("\n"))
        if not raw.endswith(b"\n") or (isinstance(content, Values) and len(ends) != len(content.values)):
            return None
        starts = np.concatenate([np.zeros(1, np.int64), ends[:-1] + 1])
        lengths = ends - starts
        is_empty = (lengths == 0) if isinstance(content, Values) else np.zeros(0, np.bool_)
        empty = int(is_empty.sum())
        return cls(text, raw, starts, lengths, empty, portion.batch.end.partition, log_id, content)

    def by_length(self) -> Iterator[tuple[int, Ints]]:
        """The rows of each length, in order; values without a record are left out."""
        order = np.argsort(self.lengths, kind="stable")
        lengths, firsts = np.unique(self.lengths[order], return_index=True)
        for length, rows in zip(lengths.tolist(), np.split(order, firsts[1:]), strict=True):
            if length or isinstance(self.content, Lines):
                yield length, rows

    def record(self, row: int) -> tuple[bytes, int | None]:
        """The record of a row as a line without its newline, and its offset."""
        if isinstance(self.content, Lines):
            start = int(self.starts[row])
            return self.raw[start : start + int(self.lengths[row])], None
        value, offset = self.content.values[row], self.content.offsets[row]
        return adopted(value, self.log_id, self.partition, offset, self.content.venue), offset


def _take(
    template: Template,
    table: Bytes,
    left: Ints,
    rows: Ints,
    found: dict[TradeOrigin, list[tuple[Template, Ints, Columns]]],
) -> Ints:
    """Note the lines that fit a template; what is left."""
    fitting, others, columns = template.fitting(table, left)
    if len(fitting):
        trade = template.trade
        way = TradeOrigin(template.envelope.run, (trade.venue, trade.symbol, trade.channel), template.envelope.fault)
        found.setdefault(way, []).append((template, rows[fitting], columns))
    return others


def _add(tally: Tally, way: TradeOrigin, groups: Sequence[tuple[Template, Ints, Columns]], portion: Portion) -> None:
    """Count the trades of one way, all but their seqs."""
    rows = np.concatenate([each for _, each, _ in groups])
    order = np.argsort(rows)
    seq, trade_id, time_ms, event_ms, recv_ns = (
        np.concatenate([getattr(columns, name) for _, _, columns in groups])[order]
        for name in ("seq", "trade_id", "time_ms", "event_ms", "recv_ns")
    )
    content = np.concatenate([columns.content for _, _, columns in groups])[order]
    is_of_book = np.concatenate([np.full(len(each), template.trade.order_book) for template, each, _ in groups])[order]
    run = tally.runs[way.run]
    part, since = portion.batch.end.partition, portion.since
    low, high = int(seq.min()), int(seq.max())
    span = run.parts.setdefault(part, [low, high])
    span[0], span[1] = min(span[0], low), max(span[1], high)
    run.counts["trade"] = run.counts.get("trade", 0) + len(seq)
    if way.fault:
        fault = (way.fault, "trade", "")
        run.faults[fault] = run.faults.get(fault, 0) + len(seq)
    else:
        ends = run.spans.setdefault(way.series, [int(trade_id.min()), int(trade_id.max())])
        ends[0], ends[1] = min(ends[0], int(trade_id.min())), max(ends[1], int(trade_id.max()))
    repeated = _add_ids(tally, way.series, trade_id)
    weight = ((seq & 0xFFFF) * 2 + 1).astype(np.uint64)
    mixed = (
        np.uint64(trade_tag(way.fault, way.series) * TAG_FACTOR % 2**64)
        + trade_id.astype(np.uint64) * np.uint64(ID_FACTOR)
        + content * np.uint64(CONTENT_FACTOR)
        + (time_ms // 1000).astype(np.uint64) * np.uint64(AT_FACTOR)
    ) * weight
    rest = (
        (event_ms * 1000).astype(np.uint64) * np.uint64(TAG_FACTOR)
        + recv_ns.astype(np.uint64) * np.uint64(ID_FACTOR)
        + (time_ms * 1000).astype(np.uint64) * np.uint64(CONTENT_FACTOR)
        + is_of_book.astype(np.uint64) * np.uint64(AT_FACTOR)
    ) * weight
    _add_blocks(run, seq, mixed, rest, repeated)
    for number in np.unique(seq >> BLOCK_BITS).tolist():
        run.blocks[number].since.setdefault(part, since)


def _add_seqs(run: RunTally, seq: Ints) -> bool:
    """Take in the numbers of a run; False where one is there twice."""
    ordered = np.sort(seq)
    steps = np.diff(ordered)
    if not steps.all():
        return False
    cuts = np.flatnonzero(steps != 1)
    if len(cuts) < FEW:
        for first, last in zip(
            ordered[np.concatenate([[0], cuts + 1])].tolist(),
            ordered[np.concatenate([cuts, [-1]])].tolist(),
            strict=True,
        ):
            run.seqs.add_range(first, last)
        return True
    for number in np.unique(ordered >> BLOCK_BITS).tolist():
        there = np.zeros(1 << BLOCK_BITS, np.uint8)
        there[ordered[ordered >> BLOCK_BITS == number] & 0xFFFF] = 1
        run.seqs.add_bits(number, int.from_bytes(np.packbits(there, bitorder="little").tobytes(), "little"))
    return True


def _add_ids(tally: Tally, key: Series, trade_id: Ints) -> Ints:
    """Take in ids of a series; the places of those that come again in this batch."""
    order = np.argsort(trade_id, kind="stable")
    ordered = trade_id[order]
    steps = np.diff(ordered)
    repeated = order[1:][steps == 0]
    counted = SeriesTally(valid=len(trade_id))
    cuts = np.flatnonzero(steps > 1)
    for first, last in zip(
        ordered[np.concatenate([[0], cuts + 1])].tolist(), ordered[np.concatenate([cuts, [-1]])].tolist(), strict=True
    ):
        counted.ids.add_range(first, last)
    counted.repeated_blocks.update(np.unique(trade_id[repeated] >> ID_BLOCK_BITS).tolist())
    tally.series.setdefault(key, SeriesTally()).merge(counted)
    return np.sort(repeated)


def _add_blocks(run: RunTally, seq: Ints, mixed: Words, rest: Words, repeated: Ints) -> None:
    numbers = seq >> BLOCK_BITS
    is_repeated = np.zeros(len(seq), np.bool_)
    is_repeated[repeated] = True
    for number in np.unique(numbers).tolist():
        of_block = numbers == number
        twice = of_block & is_repeated
        block = run.blocks.setdefault(number, SeqBlock())
        block.records += int(of_block.sum())
        block.trades += int(of_block.sum())
        block.fingerprint += int(mixed[of_block].sum())
        block.rest += int(rest[of_block].sum())
        block.repeats += int(twice.sum())
        block.rest_of_repeats += int(rest[twice].sum())
