"""What tests of the store are made of: records of trades, loaded, and candles as integers."""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal, localcontext

from tests.builders import NOON_S, a_trade
from tradecap.market.batch import Batch, Lines, Position, Values
from tradecap.market.candles import Candle
from tradecap.market.records import RunWriter, Trade, frame, series_head
from tradecap.store.api import Store
from tradecap.store.clickhouse.connection import Row
from tradecap.store.clickhouse.store import ClickHouseStore
from tradecap.venues.binance.synthetic import message

LOG = "01930000-0000-7000-8000-000000000001"
RUNS = [f"01930000-000{n}-7000-8000-000000000000" for n in range(4)]


def at(trade_id: int, at_s: float = 0, **overrides: object) -> Trade:
    """A trade at_s seconds after noon."""
    return a_trade(**{"id": trade_id, "trade_time_us": NOON_S * 10**6 + round(at_s * 10**6), **overrides})


def record_of(trade: Trade, run: str, seq: int, *, via: str = "ws", recv_ns: int | None = None) -> bytes:
    """The line of the log that holds a trade."""
    head = series_head(trade.venue, trade.symbol, trade.channel, via)
    return RunWriter(run, seq).record(recv_ns, head, frame(message(trade)))


def run_of(trades: Iterable[Trade], run: str = RUNS[0], *, first_seq: int = 0, via: str = "ws") -> list[bytes]:
    """The lines of a run."""
    return [record_of(trade, run, seq, via=via) for seq, trade in enumerate(trades, first_seq)]


def batch_of(lines: Iterable[bytes]) -> Batch:
    """Whole lines, as a folder hands them out."""
    text = b"".join(lines)
    return Batch(Lines(text), text.count(b"\n"), Position(0, "000001:7", 7))


def values_of(partition: int, values: Sequence[bytes], offsets: Sequence[int], venue: str = "") -> Batch:
    """Values with their offsets, as a topic hands them out. An empty value isn't a record."""
    end = offsets[-1] + 1
    return Batch(Values(values, offsets, venue), sum(map(bool, values)), Position(partition, str(end), end))


def fill(store: Store, *lines: bytes, log: str = LOG) -> None:
    """Hand lines to the store as a feed does."""
    store.add(log, batch_of(lines))


def whole(value: object, decimals: int) -> int:
    """A decimal of the store in its smallest units."""
    assert isinstance(value, Decimal)
    with localcontext(prec=80):
        units = value.scaleb(decimals)
        assert units == int(units)
        return int(units)


def one(rows: list[Row]) -> Row:
    """The only row."""
    assert len(rows) == 1, rows
    return rows[0]


def minutes(store: ClickHouseStore, symbol: str) -> Iterator[Candle]:
    """The stored minutes of a symbol, those without an order-book trade as well. `complete` isn't stored: False."""
    there = "FROM candles_1m FINAL WHERE ids > 0 AND symbol = {symbol:String} ORDER BY minute"
    for row in store.rows(f"SELECT *, toUnixTimestamp(minute) AS open_s {there}", symbol=symbol):
        prices = {name: whole(row[name], 8) for name in ("open", "high", "low", "close", "volume", "taker_buy_volume")}
        quotes = {name: whole(row[name], 16) for name in ("quote_volume", "taker_buy_quote_volume")}
        ids = {name: int(str(row[name])) for name in ("trades", "open_id", "close_id", "first_id", "last_id", "ids")}
        yield Candle(
            open_time_s=int(str(row["open_s"])),
            interval_s=60,
            volatility_sq=float(str(row["variance"])),
            complete=False,
            **prices,
            **quotes,
            **ids,
        )
