"""Writes the lines of a recording many at a time, by templates.

Rules: the log and all counts are those of the plain way. A template holds only while what the recording stated (its
host, its columns) is as it was for the line that the template is made of: after a line that changes it, the lines are
looked at again. Lines that fit no template are read by themselves, in their place.
"""

import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tradecap.errors import TradecapError
from tradecap.flows.replay.intake import Intake, is_named_by_file
from tradecap.flows.replay.items import Item, read_item
from tradecap.flows.replay.one_by_one import OneByOne, Sink
from tradecap.flows.replay.templates import Bytes, Ints, Mask, RecordTemplate, digits_of, number_in, template_of
from tradecap.log.api import Block, Stretch
from tradecap.market.records import Ignored, RunWriter, Trade
from tradecap.recordings.layouts import BARE, BLANKS, Frame, Known, framed
from tradecap.recordings.lines import copied
from tradecap.recordings.reading import Text

FEW: Final = 64
"""Lines that are read one by one as quickly."""
LONGEST: Final = 2048
"""Bytes of a line that may fit a template."""
ALIKE: Final = 12
"""Lines of one shape for which it pays to make a template."""
TRIED: Final = 4
"""Lines of one shape that are tried as templates in a text."""
GIVEN_UP: Final = 8
"""Lines of one shape that made no template, after which no more are tried."""
DIRECTLY: Final = 3
"""Shapes of lines of one length at most whose templates are tried without looking at shapes first."""
KEPT: Final = 4096
CHANGES: Final = 4
"""Changes of what is known in a text, after which the rest of it is read line by line."""
_POWERS: Final = 10 ** np.arange(1, 19, dtype=np.int64)


class FittingLines(NamedTuple):
    """Lines that fit a template: their rows, those lines as a table, and their digits."""

    template: RecordTemplate
    rows: Ints
    table: Bytes
    digits: Bytes

    def only(self, wanted: Mask) -> "FittingLines":
        """Some of them."""
        return (
            self
            if wanted.all()
            else FittingLines(self.template, self.rows[wanted], self.table[wanted], self.digits[wanted])
        )


class Single(NamedTuple):
    """A line that was read by itself and becomes a record."""

    row: int
    item: Item


class TemplateReplay:
    """See `quick.Together`. For one input; name: of its file, as of `json_text`."""

    def __init__(self, name: bytes, intake: Intake, sink: Sink) -> None:
        self._name, self._intake, self._sink = name, intake, sink
        self._shelf = _Shelf()

    def write(self, text: Text, one_by_one: OneByOne) -> bool:
        """See `Together.write`."""
        lines = _TextLines(text)
        begun = 0
        for _ in range(CHANGES):
            if len(lines.starts) - begun < FEW:
                break
            begun, goes_on = self._write_until_it_changes(lines, begun, text.known, one_by_one)
            if not goes_on:
                return False
        return one_by_one.write_lines(lines.from_row(begun), text.before + begun + 1, text.known)

    def _write_until_it_changes(
        self, lines: "_TextLines", begun: int, known: Known, one_by_one: OneByOne
    ) -> tuple[int, bool]:
        """Write lines from row `begun` on; the row to go on from, and whether the input goes on."""
        state = _state(known)
        groups, rest = self._shelf.fitting(
            lines, begun, _PlainReader(lines, known, state, self._name, self._intake, self._sink.writer.run)
        )
        end, goes_on = len(lines.starts), True
        for group in groups:
            why = self._intake.ends(one_by_one.source_name, group.template.each, group.template.reading)
            if why and group.rows[0] < end:
                end, goes_on = int(group.rows[0]), False
                one_by_one.end(why)
        kinds = _Kinds(self._intake)
        singles: list[Single] = []
        for row in rest[rest < end].tolist():
            found = one_by_one.read(lines.line(row), lines.before + row + 1, known)
            if isinstance(found, TradecapError):
                end, goes_on = row, False
                one_by_one.end(found)
                break
            if found is not None and kinds.is_logged(row, *found):
                singles.append(Single(row, found[1]))
            if lines.beginning(row) not in BARE and _state(known) != state:
                end = row + 1
                break
        logged = [kept for group in groups if (kept := self._counted(group.only(group.rows < end), kinds)) is not None]
        kinds.put_in_order()
        _Records(lines, logged, singles, self._sink).write()
        return end, goes_on

    def _counted(self, group: FittingLines, kinds: "_Kinds") -> FittingLines | None:
        """Count lines that fit a template; those that become records."""
        intake, template, count = self._intake, group.template, len(group.rows)
        replayed, choice, reading = intake.replayed, intake.choice, template.reading
        replayed.lines += count
        if not count:
            return None
        if type(reading) is Ignored:
            kinds.count(reading.kind, int(group.rows[0]), count)
            return None
        if choice.symbols:
            intake.symbols.add(template.symbol)
        if choice.symbols or choice.from_ns is not None or choice.to_ns is not None:
            times_us = template.times_us(group.digits)
            wanted = np.full(count, not choice.symbols or template.symbol in choice.symbols)
            if choice.from_ns is not None:
                wanted &= times_us >= -(-choice.from_ns // 1000)
            if choice.to_ns is not None:
                wanted &= times_us < -(-choice.to_ns // 1000)
            if not wanted.all():
                left_out = times_us[~wanted]
                replayed.filtered += len(left_out)
                intake.note_times(int(left_out.min()), int(left_out.max()))
                group = group.only(wanted)
        replayed.valid += len(group.rows)
        if len(group.rows) and is_named_by_file(template.each, choice):
            intake.note_name(template.symbol)
        return group


def _state(known: Known) -> tuple[object, ...]:
    """What a recording has stated that lines are framed by."""
    return known.symbol, known.host, known.channel, known.via, known.is_linear, tuple(known.hosts.items())


class _TextLines:
    """The lines of a text. starts and lengths: where each begins, and how many bytes it has without its newline."""

    def __init__(self, text: Text) -> None:
        self._raw, self.before = text.raw, text.before
        self.bytes: Bytes = np.frombuffer(text.raw, np.uint8)
        ends = np.flatnonzero(self.bytes == ord("\n"))
        self.starts: Ints = np.concatenate([np.zeros(1, np.int64), ends[:-1] + 1])
        self.lengths: Ints = ends - self.starts

    def line(self, row: int) -> bytes:
        start = int(self.starts[row])
        return self._raw[start : start + int(self.lengths[row])]

    def beginning(self, row: int) -> bytes:
        start = int(self.starts[row])
        return self._raw[start : start + 5]

    def from_row(self, row: int) -> list[bytes]:
        return self._raw[int(self.starts[row]) :].split(b"\n")[:-1] if row < len(self.starts) else []

    def by_length(self, begun: int) -> Iterator[tuple[int, Ints]]:
        """The rows of each length, in order."""
        order = np.argsort(self.lengths[begun:], kind="stable") + begun
        lengths, firsts = np.unique(self.lengths[order], return_index=True)
        return zip(lengths.tolist(), np.split(order, firsts[1:]), strict=True)

    def table(self, length: int, rows: Ints) -> Bytes:
        """These rows, all of one length, as a table."""
        found: Bytes = sliding_window_view(self.bytes, length)[self.starts[rows]]
        return found


class _PlainReader:
    """Reads lines in the plain way, for the making of templates: nothing is counted, and what is known stays as it
    is."""

    def __init__(
        self, lines: _TextLines, known: Known, state: tuple[object, ...], name: bytes, intake: Intake, run: str
    ) -> None:
        self.state = state
        self._lines, self._known, self._name, self._intake, self._run = lines, known, name, intake, run

    def template(self, row: int) -> RecordTemplate | None:
        """A template of this row, if it makes one."""
        number = self._lines.before + row + 1
        return template_of(self._lines.line(row), number, self._run, lambda line: self._read(line, number))

    def _read(self, line: bytes, number: int) -> tuple[Frame, Item] | None:
        known = copied(self._known)
        try:
            each = framed(line.strip(BLANKS), number, known)
        except TradecapError:
            return None
        if not each.payload or _state(known) != self.state:
            return None
        return each, read_item(each, self._name, self._intake.choice)


class _Shelf:
    """Keeps the templates of an input, by what was known, length and shape."""

    def __init__(self) -> None:
        self._templates: dict[tuple[tuple[object, ...], int], dict[int, list[RecordTemplate]]] = {}
        self._count = 0
        self._failures: Counter[tuple[int, int]] = Counter()

    def fitting(self, lines: _TextLines, begun: int, reader: _PlainReader) -> tuple[list[FittingLines], Ints]:
        """The lines from row `begun` on that fit a template, and the rows of the others, in order."""
        groups: list[FittingLines] = []
        others = [np.zeros(0, np.int64)]
        for length, rows in lines.by_length(begun):
            if 0 < length <= LONGEST and (len(rows) >= ALIKE or (reader.state, length) in self._templates):
                others.append(self._of_length(lines, length, rows, reader, groups))
            else:
                others.append(rows)
        return groups, np.sort(np.concatenate(others))

    def _of_length(
        self, lines: _TextLines, length: int, rows: Ints, reader: _PlainReader, groups: list[FittingLines]
    ) -> Ints:
        """Find the lines of one length that fit; the rows of the others."""
        table = lines.table(length, rows)
        kept = self._templates.setdefault((reader.state, length), {})
        if len(kept) <= DIRECTLY:
            for template in itertools.chain.from_iterable(kept.values()):
                rows, table = _take(template, rows, table, groups)
        if not len(rows):
            return rows
        of_shape = _shapes(table)
        order = np.argsort(of_shape, kind="stable")
        kinds, firsts = np.unique(of_shape[order], return_index=True)
        left = [
            self._of_shape((length, int(kind)), rows[alike], table[alike], kept, reader, groups)
            for kind, alike in zip(kinds.tolist(), np.split(order, firsts[1:]), strict=True)
        ]
        return np.concatenate(left)

    def _of_shape(
        self,
        shape: tuple[int, int],
        rows: Ints,
        table: Bytes,
        kept: dict[int, list[RecordTemplate]],
        reader: _PlainReader,
        groups: list[FittingLines],
    ) -> Ints:
        """Find the lines of one shape that fit; the rows of the others."""
        for template in kept.get(shape[1], ()):
            if len(rows):
                rows, table = _take(template, rows, table, groups)
        for at in range(TRIED):
            if len(rows) - at < ALIKE or self._failures[shape] >= GIVEN_UP:
                break
            made = reader.template(int(rows[at]))
            if made is None:
                self._failures[shape] += 1
                continue
            self._keep(made, kept.setdefault(shape[1], []))
            rows, table = _take(made, rows, table, groups)
        return rows

    def _keep(self, made: RecordTemplate, of_shape: list[RecordTemplate]) -> None:
        self._count += 1
        if self._count > KEPT:
            self._count = 0
            self._templates.clear()
            self._failures.clear()
        of_shape.append(made)


def _take(template: RecordTemplate, rows: Ints, table: Bytes, groups: list[FittingLines]) -> tuple[Ints, Bytes]:
    """Note the lines that fit a template; the others."""
    fits, digits = template.fitting(table)
    if fits.all():
        groups.append(FittingLines(template, rows, table, digits))
        return rows[:0], table[:0]
    if not fits.any():
        return rows, table
    groups.append(FittingLines(template, rows[fits], table[fits], digits[fits]))
    return rows[~fits], table[~fits]


def _shapes(table: Bytes) -> Ints:
    """A number for each line, the same for lines that differ in digits alone; others have another one, as a rule: every
    third byte is looked at."""
    sample = table[:, ::3]
    words = np.zeros((len(table), -(-sample.shape[1] // 8) * 8), np.uint8)
    words[:, : sample.shape[1]] = np.where(sample - ord("0") < 10, ord("0"), sample)
    weights = np.random.default_rng(1).integers(0, 2**62, words.shape[1] // 8, np.int64) * 2 + 1
    mixed: Ints = (words.view(np.int64) * weights).sum(axis=1)
    return mixed


class _Kinds:
    """Keeps the kinds of messages that are only counted in the order in which they came first."""

    def __init__(self, intake: Intake) -> None:
        self._intake, self._counts = intake, intake.replayed.ignored
        self._known = set(self._counts)
        self._first: dict[str, int] = {}

    def is_logged(self, row: int, each: Frame, item: Item) -> bool:
        """As `Intake.is_logged`, for the line in this row."""
        before = len(self._counts)
        is_logged = self._intake.is_logged(each, item)
        if len(self._counts) > before:
            self._first[next(reversed(self._counts))] = row
        return is_logged

    def count(self, kind: str, row: int, count: int) -> None:
        """Count lines of a kind, the first of which is in this row."""
        if kind not in self._known:
            self._first[kind] = min(row, self._first.get(kind, row))
        self._counts[kind] = self._counts.get(kind, 0) + count

    def put_in_order(self) -> None:
        """Put the kinds that are new behind the others, by the rows of their first lines."""
        for kind in sorted(self._first, key=self._first.__getitem__):
            self._counts[kind] = self._counts.pop(kind)


class _Records:
    """The records of some lines, made in one text."""

    def __init__(self, lines: _TextLines, groups: list[FittingLines], singles: list[Single], sink: Sink) -> None:
        self._groups, self._singles, self._sink, self._before = groups, singles, sink, lines.before
        is_record = np.zeros(len(lines.starts), np.bool_)
        for group in groups:
            is_record[group.rows] = True
        is_record[[single.row for single in singles]] = True
        self._place: Ints = np.cumsum(is_record) - 1
        self._count = int(is_record.sum())
        self._first_seq = sink.writer.seq
        self._writer = RunWriter(sink.writer.run)
        self._series: dict[tuple[str, str, str], int] = {}
        self._of_series, self._ids = np.full(self._count, -1), np.zeros(self._count, np.int64)
        self._sizes = np.zeros(self._count, np.int64)
        self._made: list[tuple[Ints, Bytes]] = []

    def write(self) -> None:
        """Hand them over."""
        if not self._count:
            return
        for group in self._groups:
            self._add_group(group)
        for single in self._singles:
            self._add_single(single)
        ends = np.cumsum(self._sizes)
        text = np.empty(int(ends[-1]), np.uint8)
        for places, table in self._made:
            sliding_window_view(text, table.shape[1], writeable=True)[ends[places] - table.shape[1]] = table
        self._sink.add_blocks(
            self._count, _Blocks(text.tobytes(), ends, list(self._series), self._of_series, self._ids)
        )

    def _add_group(self, group: FittingLines) -> None:
        trade = group.template.reading
        assert type(trade) is Trade
        places = self._place[group.rows]
        self._of_series[places] = self._number_of(trade)
        self._ids[places] = number_in(group.digits, group.template.trade_id)
        for some, table in _of_one_size(group, self._first_seq + places, self._before + group.rows + 1):
            self._sizes[places[some]] = table.shape[1]
            self._made.append((places[some], table))

    def _add_single(self, single: Single) -> None:
        row, item = single
        place = int(self._place[row])
        self._writer.seq = self._first_seq + place
        line = np.frombuffer(self._writer.record(item.recv_ns, item.head, item.tail), np.uint8)
        self._sizes[place] = len(line)
        self._made.append((np.array([place]), line.reshape(1, -1)))
        if type(item.reading) is Trade:
            self._of_series[place], self._ids[place] = self._number_of(item.reading), item.reading.id

    def _number_of(self, trade: Trade) -> int:
        return self._series.setdefault((trade.venue, trade.symbol, trade.channel), len(self._series))


def _of_one_size(group: FittingLines, seqs: Ints, numbers: Ints) -> Iterator[tuple[Mask | slice, Bytes]]:
    """The records of a group, in tables of records of one length each, and which of them those are."""
    seq_width, line_width = (np.searchsorted(_POWERS, each, side="right") + 1 for each in (seqs, numbers))
    width = seq_width * 32 + line_width
    for kind in np.unique(width).tolist():
        some: Mask | slice = slice(None) if width[0] == kind and width[-1] == kind else width == kind
        seq_digits, line_digits = digits_of(seqs[some], kind // 32), digits_of(numbers[some], kind % 32)
        yield some, group.template.records(group.table[some], seq_digits, line_digits)


class _Blocks:
    """Records in one text as blocks: those from one to before another."""

    def __init__(self, text: bytes, ends: Ints, series: list[tuple[str, str, str]], of_series: Ints, ids: Ints) -> None:
        self._text, self._ends, self._series, self._of_series, self._ids = text, ends, series, of_series, ids

    def __call__(self, first: int, behind: int) -> Block:
        start = int(self._ends[first - 1]) if first else 0
        ends = self._ends[first:behind]
        text = self._text if start == 0 and ends[-1] == len(self._text) else self._text[start : int(ends[-1])]
        of_series, ids = self._of_series[first:behind], self._ids[first:behind]
        breaks = np.flatnonzero((of_series[1:] != of_series[:-1]) | (ids[1:] != ids[:-1] + 1)) + 1
        begun = np.concatenate([np.zeros(1, np.int64), breaks])
        counts = np.diff(begun, append=behind - first)
        stretches = zip(begun.tolist(), of_series[begun].tolist(), ids[begun].tolist(), counts.tolist(), strict=True)
        found = [
            Stretch(line, self._series[each], trade_id, count) for line, each, trade_id, count in stretches if each >= 0
        ]
        return Block(text, (ends - start).tolist(), found)
