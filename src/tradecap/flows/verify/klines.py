"""Our candles against klines that the venue published.

A file is read once, in portions, so that its size doesn't matter; of each portion only our bars of the same times are
asked for. A file that can't be understood is refused: what wasn't read proves nothing.
"""

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain, islice
from typing import Any, Final

from tradecap.errors import TradecapError
from tradecap.market.candles import check_interval
from tradecap.market.klines import DECIMALS, Kline, WrongRow
from tradecap.proof.klines import Comparison, HeldBar, Published, compare
from tradecap.recordings.reading import raw_lines, sha256_of
from tradecap.store.api import BarRow, Series, Store
from tradecap.venues.api import VENUES
from tradecap.venues.venue import ReadKlines

A_PORTION: Final = 50_000
"""Klines that are compared at a time: a month of minutes."""
READABLE: Final = (
    "it must be the venue's archive CSV, arrays of GET /klines, or CSV with the header "
    "open,high,...,trades,close_datetime."
)


@dataclass(frozen=True)
class Klines:
    """Which files. venue and symbol: of every file ('' = the only venue of the symbol in the file's name); offset_s: of
    times that carry none."""

    files: tuple[str, ...] = ()
    venue: str = ""
    symbol: str = ""
    offset_s: int | None = None


@dataclass(frozen=True)
class Window:
    """What to compare of them: a symbol ('' = all), bars that open from from_us on and before to_us."""

    symbol: str = ""
    from_us: int | None = None
    to_us: int | None = None

    def holds(self, kline: Kline) -> bool:
        """Whether the kline opens inside."""
        opened_us = kline.open_time_s * 10**6
        return (self.from_us is None or opened_us >= self.from_us) and (self.to_us is None or opened_us < self.to_us)


def compare_klines(store: Store, klines: Klines, window: Window) -> list[Published]:
    """Compare each file that isn't of another symbol. Raises TradecapError for one that isn't a file of klines, or
    whose series is unknown."""
    symbols = {file: klines.symbol or symbol_of(file) for file in klines.files}
    return [
        _compared(store, file, symbol, klines, window)
        for file, symbol in symbols.items()
        if window.symbol in ("", symbol)
    ]


def symbol_of(file: str) -> str:
    """BTCUSDT of 'BTCUSDT-1m-2024-12.csv.gz'."""
    return file.rpartition("/")[2].partition("-")[0].partition(".")[0].upper()


def _compared(store: Store, file: str, symbol: str, klines: Klines, window: Window) -> Published:
    series = _series(store, file, symbol, klines.venue)
    result = Comparison()
    rows = klines_of(file, _reader(series[0], file), klines.offset_s)
    first = next(rows)
    with closing(rows):
        for portion in _portions(chain([first], rows), window):
            bars = _bars(store, series, portion)
            compare(portion, bars, result)
    venue, symbol, channel = series
    return Published(
        file=file,
        sha256=sha256_of(file),
        venue=venue,
        symbol=symbol,
        channel=channel,
        interval_s=first.interval_s,
        is_exact=first.is_exact,
        result=result,
    )


def _series(store: Store, file: str, symbol: str, venue: str) -> Series:
    """The series to compare with: one of several venues has to be chosen, and candles of trades come before those of
    aggregates."""
    series = [(each, channel) for each, its_symbol, channel in store.candle_series() if its_symbol == symbol]
    venues = sorted({each for each, _ in series if venue in ("", each)})
    if not venues:
        whose = f"{venue} {symbol}" if venue else symbol
        raise TradecapError(
            f"The store has no candles of {whose}, to compare {file} with.",
            "the symbol is the file's name up to '-', or --as VENUE:SYMBOL.",
        )
    if len(venues) > 1:
        raise TradecapError(
            f"{symbol} exists at several venues: {', '.join(venues)}. Which one are the klines in {file} from?",
            f"add --as {venues[0]}:{symbol}",
        )
    return (
        venues[0],
        symbol,
        max((channel for each, channel in series if each == venues[0]), key=lambda channel: channel == "trade"),
    )


def _portions(klines: Iterable[Kline], window: Window) -> Iterator[list[Kline]]:
    inside = filter(window.holds, klines)
    while portion := list(islice(inside, A_PORTION)):
        yield portion


def _bars(store: Store, series: Series, portion: list[Kline]) -> list[HeldBar]:
    """Ours of the times of some klines, and a neighbour on either side."""
    seconds = portion[0].interval_s
    return [
        _bar(row, seconds)
        for row in store.kline_bars(series, seconds, portion[0].open_time_s, portion[-1].open_time_s + seconds)
    ]


def _bar(row: BarRow, seconds: int) -> HeldBar:
    amounts: dict[str, Any] = {name: units(getattr(row, name), decimals) for name, decimals in DECIMALS.items()}
    return HeldBar(
        open_time_s=row.open_time_s, interval_s=seconds, first_id=row.first_id, last_id=row.last_id, **amounts
    )


def units(value: int | Decimal, decimals: int) -> int:
    """A number of the store in units of 10^-decimals, however many digits it has: Decimal's own arithmetic would round
    after 28."""
    if isinstance(value, int):
        return value * int(10**decimals)
    digits, exponent = value.as_tuple().digits, value.as_tuple().exponent
    assert isinstance(exponent, int)
    return int("".join(map(str, digits))) * int(10 ** (decimals + exponent))


# ---- files -----------------------------------------------------------------------------------------------------------


def _reader(venue: str, file: str) -> ReadKlines:
    reader = VENUES[venue].read_klines if venue in VENUES else None
    if reader is None:
        raise TradecapError(
            f"{file} can't be read: no layout of klines is known of {venue}.", "leave out --klines for this series."
        )
    return reader


def klines_of(file: str, read: ReadKlines, offset_s: int | None = None) -> Generator[Kline, None, None]:
    """The klines in a file, of one interval and ascending; at least one. Raises TradecapError (exit 2) at the first row
    that isn't one."""
    is_begun = False
    for kline in read(raw_lines(file), offset_s):
        if isinstance(kline, WrongRow):
            raise TradecapError(f"{file}:{kline.line} isn't a kline: {kline.problem}.", READABLE)
        if not is_begun:
            _refuse_odd(file, kline.interval_s)
            is_begun = True
        yield kline
    if not is_begun:
        raise TradecapError(f"{file} holds no klines.", READABLE)


def _refuse_odd(file: str, interval_s: int) -> None:
    try:
        check_interval(interval_s)
    except ValueError as error:
        raise TradecapError(
            f"{file} holds klines of {interval_s} s, which candles can't be compared with.",
            "an interval must be a multiple of 1m that divides 1d.",
        ) from error
