"""The way into ClickHouse: batches into `parsed`, `lines` or `inbox`, from where the views sort them out, and how far
each log has come.

Rules: no row is touched by Python; the only work for each value is that of joining bytes. What became of the records is
counted there, so that a batch that came in part is noticed before its position is written. TRADECAP_PLAIN=0 has every
line read strictly.
"""

import tempfile
import uuid
from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from functools import cache
from itertools import chain, groupby
from pathlib import Path
from typing import Final

from tradecap.errors import Exit, TradecapError
from tradecap.fast import is_fast
from tradecap.market.batch import Batch, Lines, Position, SegmentFiles, Values
from tradecap.store.api import SeqRange, Series
from tradecap.store.clickhouse.connection import Connection, Row, query
from tradecap.store.clickhouse.folder import Folder
from tradecap.store.clickhouse.reading import PLAIN_COLUMNS, plain, statements

INSERT: Final = {
    "max_insert_block_size": 131_072,
    "min_insert_block_size_rows": 131_072,
    "max_insert_threads": 2,
    "parallel_view_processing": 1,
    "optimize_on_insert": 0,
    "max_partitions_per_insert_block": 0,
}
"""Large blocks, two threads and views side by side are faster than the defaults (docs/clickhouse.md). Repeats are
merged when read (FINAL), so not on the way in; and a limit on partitions would let records from odd months stop a
feed."""
OF_PLAIN: Final = {
    "max_block_size": 8192,
    "max_insert_block_size": 8192,
    "min_insert_block_size_rows": 524_288,
    "short_circuit_function_evaluation": "disable",
}
"""Settings of an INSERT that only reads plain lines. Small blocks stay in the processor's caches while they are read,
and are put together to large ones, without the text of plain lines. Every expression is needed for nearly every line,
so evaluating it only where it is needed costs more than it saves."""
DAY_S: Final = 86_400
HOUR_S: Final = 3600
FEW_HOURS: Final = 6
"""Fewer hours in a row than these are what a follower touches: asking how large their days are isn't worth it."""
MANY_RANGES: Final = 50
"""More ranges of hours than these take longer than one look at all days."""
FEW: Final = 1000
OF_FEW: Final = {"query_plan_enable_optimizations": 0}
"""Planning takes most of the time of an INSERT of FEW records, a quarter of it for optimising the plan (measured
2026-11-28). There is nothing to optimise: the views only filter and compute."""
ALL_DAYS: Final = date(1970, 1, 1), date(2105, 12, 31)
"""Wider than the times that a trade may have."""
FEW_ODD: Final = 5000
ODD_SHARE: Final = 0.05
"""A batch with more lines that aren't plain, and a greater share of them, costs less when it is read by one INSERT."""
MIXED_BATCHES: Final = 16
"""After such a batch this many are inserted so: if a venue has changed its messages, the next ones are like it."""
FORMATS: Final = {"lines": "LineAsString", "values": "Native"}
"""The format of the bytes that are handed over."""
FILES_AT_ONCE: Final = 8
"""Segments an INSERT reads: it is planned once, and both threads have something to read."""
Span = tuple[str, str, str, int, int]
"""Venue, channel, symbol, first and last id."""
TRADES_A_SWEEP: Final = 4_000_000
"""Candles are made from about this many trades at a time, to bound memory."""


class BatchFeed:
    """Takes batches in. Lines that aren't plain are read by a second INSERT, where there are any (0002_envelope.sql
    says why)."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.hours: frozenset[int] = frozenset()
        """See `Store.newest_hours`."""
        self._last_ids: dict[Series, int] = {}
        self._spans: list[Span] = []
        self._mixed_batches = 0
        """The number of batches still to be read by one INSERT, because many lines of the last ones weren't plain."""

    def add(self, log_id: str, batch: Batch) -> dict[str, int]:
        """See `Store.add`."""
        self.hours = frozenset()
        if not batch.records:
            return {}  # nothing but empty values, which aren't records
        if is_fast() and not self._mixed_batches:
            outcomes = self._fast(log_id, batch)
        else:
            self._mixed_batches = max(self._mixed_batches - 1, 0)
            outcomes = self._outcomes(self._insert("lines" if is_fast() else "inbox", log_id, batch))
        self._whole(outcomes, batch)
        self.hours |= self._hours_of_others()
        return outcomes

    def _fast(self, log_id: str, batch: Batch) -> dict[str, int]:
        insert = self._insert("parsed", log_id, batch)
        outcomes = self._outcomes(insert)
        self._whole(outcomes, batch)
        if not (odd := outcomes.pop("", 0)):
            return outcomes
        if odd > max(FEW_ODD, batch.records * ODD_SHARE):
            self._mixed_batches = MIXED_BATCHES
        if self._connection.ask("odd_lines", insert=insert)[0]["records"] != odd:
            # more than odd keeps: the plain rows are the same rows again
            return self._outcomes(self._insert("lines", log_id, batch))
        self._connection.insert(query("add_odd"), {"insert": insert}, INSERT | {"log_comment": insert})
        outcomes = self._outcomes(insert)
        outcomes.pop("", None)
        return outcomes

    def _outcomes(self, insert: str) -> dict[str, int]:
        rows = self._connection.ask("arrived", insert=insert)
        self.hours = frozenset(hour for row in rows for hour in row["hours"])
        self._spans = [span for row in rows for span in row["spans"]]
        return {row["outcome"]: row["records"] for row in rows}

    def _hours_of_others(self) -> frozenset[int]:
        """Hours of trades whose place the newest ones may have taken: of two records of an id the first by (run, seq)
        wins, whenever it was traded.

        Ids that are above all that this process has seen of their series were there before only if another process
        loads the same.
        """
        repeated: dict[Series, tuple[int, int]] = {}
        for venue, channel, symbol, first_id, last_id in self._spans:
            series = venue, symbol, channel
            if first_id <= self._last_ids.get(series, first_id):
                lowest, highest = repeated.get(series, (first_id, last_id))
                repeated[series] = min(lowest, first_id), max(highest, last_id)
        for venue, channel, symbol, _, last_id in self._spans:
            series = venue, symbol, channel
            self._last_ids[series] = max(last_id, self._last_ids.get(series, last_id))
        if not repeated:
            return frozenset()
        names: dict[str, object] = {
            name: [series[at] for series in repeated] for name, at in (("venues", 0), ("symbols", 1), ("channels", 2))
        }
        firsts, lasts = [ids[0] for ids in repeated.values()], [ids[1] for ids in repeated.values()]
        return frozenset(
            row["hour"] for row in self._connection.ask("candle_hours", **names, first_ids=firsts, last_ids=lasts)
        )

    def _whole(self, outcomes: dict[str, int], batch: Batch) -> dict[str, int]:
        """Raises TradecapError where not all records of a batch became something."""
        if (records := sum(outcomes.values())) != batch.records:
            raise TradecapError(
                f"Store {self._connection.url} read {records} records of a batch of {batch.records}.",
                "nothing is lost, the position wasn't moved: run 'tradecap load' again; if it happens again, "
                "tradecap init-db renews the views.",
                Exit.UNREACHABLE,
            )
        return outcomes

    def _insert(self, into: str, log_id: str, batch: Batch) -> str:
        """Insert a batch into inbox, lines or parsed; the name of the INSERT."""
        insert = uuid.uuid4().hex
        settings = (
            INSERT
            | (OF_PLAIN if into == "parsed" else {})
            | (OF_FEW if batch.records <= FEW else {})
            | {"log_comment": insert}
        )
        where: dict[str, object] = {"log": log_id, "part": batch.end.partition}
        folder = self._connection.folder
        match batch.content:
            case SegmentFiles(paths):
                assert folder is not None, "a server can't read files of this machine"
                file = _pattern([folder.names.of(Path(path)) for path in paths])
                self._connection.insert(_statement(into, "lines_in_file"), where | {"file": file}, settings)
            case Lines(text):
                self._send(into, "lines", where, settings, text)
            case Values(values, offsets, venue):
                self._send(into, "values", where | {"venue": venue}, settings, native(_whole(values, offsets)))
        return insert

    def _send(
        self, into: str, what: str, parameters: Mapping[str, object], settings: Mapping[str, object], data: bytes
    ) -> None:
        """A server gets the bytes in the request; an embedded one, which has no input(), reads them from a file."""
        if self._connection.folder is None:
            self._connection.insert(
                f"{_statement(into, f'{what}_sent')}\nFORMAT {FORMATS[what]}", parameters, settings, data
            )
            return
        with _spilled(self._connection.folder, data) as file:
            self._connection.insert(_statement(into, f"{what}_in_file"), {**parameters, "file": file}, settings)


@cache
def _statement(into: str, feed: str) -> str:
    """The INSERT of a feed, queries/<feed>.sql, into one of the tables at the beginning of the reading."""
    (lines,) = statements(query(feed))
    if into == "inbox":
        return f"INSERT INTO inbox (raw, log, part, pos, venue)\n{lines}"
    return f"INSERT INTO {into} ({', '.join(PLAIN_COLUMNS)})\n{plain(lines, has_offsets=feed.startswith('values'))}"


def files_at_once(connection: Connection) -> int:
    """How many segments one INSERT reads. A server can't read files of this machine."""
    if connection.folder is not None:
        return FILES_AT_ONCE if is_fast() else 1
    return 0


def held(connection: Connection, partition: int, span: SeqRange) -> dict[str, int]:
    """See `Store.held`."""
    rows = connection.ask("held", part=partition, run=span.run, first=span.first_seq, last=span.last_seq)
    return {row["outcome"]: row["records"] for row in rows}


def _pattern(files: Sequence[str]) -> str:
    """Files of one folder as one path for file(). Signs that mean something there are in none of them
    (plain_names.py)."""
    if len(files) == 1:
        return files[0]
    folder = Path(files[0]).parent
    assert all(Path(file).parent == folder for file in files)
    return f"{folder}/{{{','.join(Path(file).name for file in files)}}}"


def _whole(values: Sequence[bytes], offsets: Sequence[int]) -> Values:
    """Without empty values: they aren't records."""
    if all(values):
        return Values(values, offsets)
    kept = [(value, offset) for value, offset in zip(values, offsets, strict=True) if value]
    return Values([value for value, _ in kept], [offset for _, offset in kept])


@contextmanager
def _spilled(folder: Folder, data: bytes) -> Iterator[str]:
    with tempfile.NamedTemporaryFile(dir=folder.path.resolve(), suffix=".added") as spill:
        spill.write(data)
        spill.flush()
        yield folder.names.of(Path(spill.name))


# ---- values, each with its offset, in ClickHouse's own format --------------------------------------------------------


class _Sizes(dict[int, bytes]):
    """Numbers as ClickHouse writes a length: 7 bits a byte, the lowest first. Kept for those of ordinary values."""

    def __missing__(self, number: int) -> bytes:
        text = bytearray()
        rest = number
        while rest > 0x7F:
            text.append(rest & 0x7F | 0x80)
            rest >>= 7
        text.append(rest)
        if number < 1 << 16:
            self[number] = bytes(text)
        return bytes(text)


_SIZES: Final = _Sizes()


def native(values: Values) -> bytes:
    """One block of the format Native, columns `raw` and `pos`: its values may hold any bytes, and it needs no loop in
    Python."""
    sizes = map(_SIZES.__getitem__, map(len, values.values))
    offsets = array("Q", values.offsets)
    assert offsets.itemsize == 8
    return b"".join(
        chain(
            [_SIZES[2], _SIZES[len(values.values)], _text(b"raw"), _text(b"String")],
            chain.from_iterable(zip(sizes, values.values, strict=True)),
            [_text(b"pos"), _text(b"UInt64"), offsets.tobytes()],
        )
    )


def _text(text: bytes) -> bytes:
    return _SIZES[len(text)] + text


# ---- positions, candles ----------------------------------------------------------------------------------------------


def positions(connection: Connection, log_id: str) -> dict[int, str]:
    """How far the log is in the store, by partition."""
    return {row["partition"]: row["position"] for row in connection.ask("positions", log=log_id)}


def commit(connection: Connection, log_id: str, position: Position, touched: Collection[int]) -> None:
    """See `Store.commit`."""
    where = {"log": log_id, "part": position.partition, "position": position.at, "reached": position.order}
    connection.run(query("commit"), **where, touched=sorted(touched))


def touched(connection: Connection, log_id: str) -> frozenset[int]:
    """See `Store.touched`."""
    return frozenset(row["hour"] for row in connection.ask("touched", log=log_id))


def forget_touched(connection: Connection, log_id: str, swept: Collection[int]) -> None:
    """See `Store.forget_touched`."""
    connection.run(query("forget_touched"), log=log_id, swept=sorted(swept))


def record_loss(connection: Connection, log_id: str, place: str, detail: str) -> None:
    """Some records of the log were gone before they were loaded."""
    connection.run(query("record_loss"), log=log_id, place=place, detail=detail)


def sweep_candles(connection: Connection, hours: Collection[int] | None) -> int:
    """See `Store.sweep_candles`. Days that are mostly new are read once; of others the fingerprints come first, and
    then what is stale."""
    if hours is not None and is_fast() and len(ranges := _ranges(hours)) <= MANY_RANGES:
        return sum(
            (_rebuild if last - first < FEW_HOURS else _sweep_days)(connection, first * HOUR_S, (last + 1) * HOUR_S - 1)
            for first, last in ranges
        )
    is_new = is_fast() and _is_new(connection.ask("built")[0])
    return (_sweep_days if is_new else _rebuild)(connection, *_seconds(*ALL_DAYS))


def _sweep_days(connection: Connection, first_s: int, last_s: int) -> int:
    """Build the stale candles of a range of time, which may be mostly new; how many minutes."""
    minutes = 0
    days = connection.ask("day_sizes", first=_day(first_s), last=_day(last_s))
    for is_new, group in groupby(days, key=_is_new):
        sizes = list(group)
        if is_new:
            minutes += _build(connection, sizes, first_s, last_s)
        else:
            begin_s, end_s = _seconds(sizes[0]["day"], sizes[-1]["day"])
            minutes += _rebuild(connection, max(begin_s, first_s), min(end_s, last_s))
    return minutes


def _is_new(size: Row) -> bool:
    """Whether candles were made of less than half of the trades."""
    return bool(size["trades"] > 2 * size["made"])


def _build(connection: Connection, days: Sequence[Row], first_s: int, last_s: int) -> int:
    """Build the candles of successive days within a range of time in one pass over their trades; how many minutes."""
    before = connection.ask("newest_sweep")[0]["sweep"]
    for portion in _portions(days):
        first, last = portion[0]["day"], portion[-1]["day"]
        begin_s, end_s = _seconds(first, last)
        within = {"first_s": max(begin_s, first_s), "last_s": min(end_s, last_s)}
        connection.run(query("sweep_candles"), first=first, last=last, **within)
    return int(connection.ask("swept", sweep=before)[0]["minutes"])


def _rebuild(connection: Connection, first_s: int, last_s: int) -> int:
    """Build the stale candles of a range of time; how many minutes."""
    minutes = 0
    for portion in _portions(connection.ask("stale_minutes", first_s=first_s, last_s=last_s)):
        where = {
            "first": portion[0]["day"],
            "last": portion[-1]["day"],
            "first_s": portion[0]["first_s"],
            "last_s": portion[-1]["last_s"],
        }
        connection.run(query("sweep_candles"), **where)
        minutes += sum(day["stale"] for day in portion)
    return minutes


def _seconds(first: date, last: date) -> tuple[int, int]:
    """The first and the last second of a range of days."""
    begin = date(1970, 1, 1)
    return (first - begin).days * DAY_S, (last - begin).days * DAY_S + DAY_S - 1


def _day(second: int) -> date:
    return date(1970, 1, 1) + timedelta(seconds=second)


def _ranges(numbers: Collection[int]) -> list[tuple[int, int]]:
    """Numbers that follow each other, as (first, last)."""
    ranges: list[tuple[int, int]] = []
    for each in sorted(numbers):
        if ranges and each - ranges[-1][1] == 1:
            ranges[-1] = ranges[-1][0], each
        else:
            ranges.append((each, each))
    return ranges


def _portions(days: Sequence[Row]) -> Iterator[list[Row]]:
    """Successive days that together hold about TRADES_A_SWEEP trades."""
    portion: list[Row] = []
    for day in days:
        portion.append(day)
        if sum(each["trades"] for each in portion) >= TRADES_A_SWEEP:
            yield portion
            portion = []
    if portion:
        yield portion
