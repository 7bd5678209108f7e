"""Files of klines, as Binance and its users keep them.

Rules: pure; bad rows are values. How a file is laid out is recognised by content. Three layouts: the archive's CSV (12
columns; with or without a header), answers of GET /klines (arrays of 12, together or one a line), and CSV with the
header of API_COLUMNS, that scripts make of such answers through floats. Times of 10^14 and more are microseconds. The
interval is that of the times: close - open, or where only the close is given the smallest step between the first rows.
All rows are of one interval, in order of time, and open where an interval begins.

Sources: columns, the change to microseconds and n = 0 of empty bars: binance-public-data and "Public Rest API", GET
/klines.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation, localcontext
from itertools import chain, islice, pairwise
from typing import Final, NamedTuple

import msgspec

from tradecap.market.klines import DECIMALS, Kline, WrongRow
from tradecap.market.trade_limits import MAX_TIME_US, MIN_TIME_US, in_us

API_AMOUNTS: Final = ("open", "high", "low", "close", "volume", "quote_volume", "trades")
API_COLUMNS: Final = (*API_AMOUNTS, "close_datetime")
ARCHIVE_COLUMNS: Final = (
    "open_time",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "close_time",
    "quote_volume",
    "trades",
    "taker_buy_volume",
    "taker_buy_quote_volume",
)
"""In the order of the file, without the twelfth, which means nothing."""
LOOKED_AT: Final = 1000
"""How many rows are read to find the interval where no row names it."""
PUBLISHED_DECIMALS: Final = 8

_EXACT: Final = re.compile(r"(\d{1,26})(?:\.(\d{1,16}))?", re.ASCII)
_DIGITS: Final = re.compile(r"\d{1,18}", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class _KlineRow(NamedTuple):
    """A row taken apart. open_us is None where only the close is given."""

    line: int
    open_us: int | None
    close_us: int
    amounts: dict[str, int | None]
    is_exact: bool


_Found = _KlineRow | WrongRow


def read_klines(lines: Iterable[bytes], offset_s: int | None = None) -> Iterator[Kline | WrongRow]:
    """The klines in the lines of a file, and what is wrong. offset_s: of times that don't say theirs (None: UTC)."""
    numbered = ((number, line.removeprefix(b"\xef\xbb\xbf").strip()) for number, line in enumerate(lines, 1))
    present = ((number, line) for number, line in numbered if line)
    first = next(present, None)
    if first is None:
        yield WrongRow(0, "it is empty")
        return
    yield from _in_order(_layout(first[1])(chain([first], present), offset_s))


_Layout = Callable[[Iterator[tuple[int, bytes]], int | None], Iterator[_Found]]


def _layout(first: bytes) -> _Layout:
    if first.startswith(b"["):
        return _rest_rows
    names = {name.strip() for name in first.decode(errors="replace").split(",")}
    return _api_rows if names.issuperset(API_COLUMNS) else _archive_rows


# ---- layouts ---------------------------------------------------------------------------------------------------------


def _archive_rows(lines: Iterator[tuple[int, bytes]], _: int | None) -> Iterator[_Found]:
    for at, (number, line) in enumerate(lines):
        cells = line.decode(errors="replace").split(",")
        if len(cells) != 12:
            yield WrongRow(number, f"it has {len(cells)} columns, a kline 12")
        elif at or _DIGITS.fullmatch(cells[0]):
            yield _exact_row(number, [cell.strip() for cell in cells])


def _rest_rows(lines: Iterator[tuple[int, bytes]], _: int | None) -> Iterator[_Found]:
    """Each line is a row or an array of rows; what doesn't parse line by line is one array over all of them."""
    number, first = next(lines)
    try:
        msgspec.json.decode(first)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        lines = iter([(number, b"\n".join([first, *(line for _, line in lines)]))])
    else:
        lines = chain([(number, first)], lines)
    for number, line in lines:
        try:
            value = msgspec.json.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            yield WrongRow(number, "it is not a JSON array")
            return
        rows = value if isinstance(value, list) and value and isinstance(value[0], list) else [value]
        for row in rows:
            yield _rest_row(number, row)


def _rest_row(number: int, row: object) -> _Found:
    if not isinstance(row, list) or len(row) != 12:
        return WrongRow(number, "it is not an array of 12, as GET /klines answers")
    if any(isinstance(cell, bool) or not isinstance(cell, int | str) for cell in row[:11]):
        return WrongRow(number, "its values aren't whole numbers and decimal texts")
    return _exact_row(number, [str(cell) for cell in row])


def _exact_row(number: int, cells: list[str]) -> _Found:
    cells_by_name = dict(zip(ARCHIVE_COLUMNS, cells, strict=False))
    times = {name: _micros(cells_by_name[name]) for name in ("open_time", "close_time")}
    amounts = {name: exact_units(cells_by_name[name], decimals) for name, decimals in DECIMALS.items()}
    for name, value in (times | amounts).items():
        if value is None:
            return WrongRow(number, f"its {name} is {cells_by_name[name][:40]!r}")
    return _KlineRow(
        line=number, open_us=times["open_time"], close_us=times["close_time"] or 0, amounts=amounts, is_exact=True
    )


def _api_rows(lines: Iterator[tuple[int, bytes]], offset_s: int | None) -> Iterator[_Found]:
    names = [name.strip() for name in next(lines)[1].decode(errors="replace").split(",")]
    for number, line in lines:
        cells = line.decode(errors="replace").split(",")
        if len(cells) != len(names):
            yield WrongRow(number, f"it has {len(cells)} columns, its header {len(names)}")
        else:
            yield _api_row(number, dict(zip(names, cells, strict=True)), offset_s)


def _api_row(number: int, cells_by_name: dict[str, str], offset_s: int | None) -> _Found:
    amounts = {name: float_units(cells_by_name[name], DECIMALS[name]) for name in API_AMOUNTS}
    for name, value in amounts.items():
        if value is None:
            return WrongRow(number, f"its {name} is {cells_by_name[name][:40]!r}")
    close = _local_time(cells_by_name["close_datetime"].strip(), offset_s)
    if isinstance(close, str):
        return WrongRow(number, close)
    return _KlineRow(
        line=number, open_us=None, close_us=close, amounts={**dict.fromkeys(DECIMALS), **amounts}, is_exact=False
    )


# ---- values ----------------------------------------------------------------------------------------------------------


def exact_units(text: str, decimals: int) -> int | None:
    """A decimal text in units of 10^-decimals; None where it isn't one, or has more decimals than that."""
    match = _EXACT.fullmatch(text)
    if match is None:
        return None
    fraction = (match[2] or "").rstrip("0")
    return int(match[1] + fraction.ljust(decimals, "0")) if len(fraction) <= decimals else None


def float_units(text: str, decimals: int) -> int | None:
    """A float's text in units of 10^-decimals, brought back to the decimals that are published; None where it isn't
    such a number."""
    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        return None
    if not value.is_finite() or value < 0 or value.adjusted() > 25:
        return None
    published = min(decimals, PUBLISHED_DECIMALS)
    with localcontext(prec=60):
        return int(value.scaleb(published).to_integral_value()) * int(10 ** (decimals - published))


def _micros(text: str) -> int | None:
    if not _DIGITS.fullmatch(text):
        return None
    time_us = in_us(int(text))
    return time_us if MIN_TIME_US <= time_us < MAX_TIME_US else None


def _local_time(text: str, offset_s: int | None) -> int | str:
    """Microseconds since 1970 UTC, or what is wrong."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return f"its close_datetime is {text[:40]!r}"
    own_offset = time.utcoffset()
    if own_offset is not None and offset_s is not None and own_offset != timedelta(seconds=offset_s):
        return f"its close_datetime {text} has an offset of its own, which isn't the one given"
    if own_offset is None:
        time = time.replace(tzinfo=timezone(timedelta(seconds=offset_s or 0)))
    time_us = (time - _EPOCH) // timedelta(microseconds=1)
    return time_us if MIN_TIME_US <= time_us < MAX_TIME_US else f"its close_datetime is {text[:40]!r}"


# ---- the interval ----------------------------------------------------------------------------------------------------


def _in_order(rows: Iterator[_Found]) -> Iterator[Kline | WrongRow]:
    """Rows as klines of one interval, ascending."""
    ahead = list(islice(rows, LOOKED_AT))
    interval_s = _interval(ahead)
    last_s = -1
    for row in chain(ahead, rows):
        kline = row if isinstance(row, WrongRow) else _kline(row, interval_s, last_s)
        if isinstance(kline, Kline):
            last_s = kline.open_time_s
        yield kline


def _interval(rows: list[_Found]) -> int:
    """Seconds; 0 where they don't tell."""
    whole = [row for row in rows if isinstance(row, _KlineRow)]
    if whole and whole[0].open_us is not None:
        return _end_s(whole[0]) - whole[0].open_us // 10**6
    steps = [_end_s(after) - _end_s(before) for before, after in pairwise(whole)]
    return min((step for step in steps if step > 0), default=0)


def _end_s(row: _KlineRow) -> int:
    """Where the bar ends: its close time is the last unit of time (ms or us) before."""
    return -(-row.close_us // 10**6)


def _kline(row: _KlineRow, interval_s: int, last_s: int) -> Kline | WrongRow:
    open_us = row.open_us if row.open_us is not None else (_end_s(row) - interval_s) * 10**6
    open_s = open_us // 10**6
    if interval_s <= 0:
        return WrongRow(row.line, "its times don't show its interval")
    if open_us % 10**6 or _end_s(row) - open_s != interval_s:
        return WrongRow(row.line, f"its times aren't {interval_s} s apart, as in the rows before")
    if open_s % interval_s:
        return WrongRow(row.line, f"it doesn't open where an interval of {interval_s} s begins (in UTC)")
    if open_s <= last_s:
        return WrongRow(row.line, "its time isn't after that of the row before")
    return Kline(open_time_s=open_s, interval_s=interval_s, is_exact=row.is_exact, **row.amounts)  # type: ignore[arg-type]  # only the taker's are None
