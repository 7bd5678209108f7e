"""Candles in a store against files of the venue's klines."""

import gzip
import json
import zipfile
from collections.abc import Iterable, Iterator
from decimal import Decimal
from importlib import import_module
from itertools import groupby
from pathlib import Path

import pytest

from tests.builders import NOON_S, a_trade
from tests.store.builders import batch_of
from tradecap.errors import Exit, TradecapError
from tradecap.flows.candles import BarsQuery, candles
from tradecap.flows.verify.klines import Klines, Window, compare_klines, klines_of, units
from tradecap.market import candles as rule
from tradecap.market.klines import Kline
from tradecap.market.records import RunWriter, Trade, frame, series_head
from tradecap.proof.klines import Comparison, amount_text
from tradecap.store.clickhouse.store import ClickHouseStore
from tradecap.venues.binance import decode
from tradecap.venues.binance.klines import read_klines

LOG = "01930000-0000-7000-8000-000000000001"
RUN = "01930000-0000-7000-8000-000000000002"
ANYTHING = Window()


def five_minutes() -> list[Trade]:
    """300 trades over five minutes, none in the third."""
    times = [second for second in range(300) if not 120 <= second < 180]
    return [
        a_trade(
            id=1000 + n,
            price=(100 + n % 7) * 10**8 + n,
            qty=10**7 * (n % 5 + 1),
            trade_time_us=(NOON_S + second) * 10**6,
            is_buyer_maker=n % 3 == 0,
        )
        for n, second in enumerate(times)
    ]


def fill(store: ClickHouseStore, trades: Iterable[Trade], *, venue: str = "binance", run: str = RUN) -> None:
    """Trades into the store, as records of a log, and their candles."""
    writer, head = RunWriter(run), series_head(venue, "BTCUSDT", "trade", "ws")
    store.add(LOG, batch_of(writer.record(None, head, frame(payload(trade, venue))) for trade in trades))
    store.sweep_candles()


def payload(trade: Trade, venue: str) -> bytes:
    """The venue's message of a trade."""
    price, qty, at = amount_text(trade.price, 8), amount_text(trade.qty, 8), trade.trade_time_us // 1000
    message = {
        "e": "trade",
        "E": at,
        "s": trade.symbol,
        "t": trade.id,
        "p": price,
        "q": qty,
        "T": at,
        "m": trade.is_buyer_maker,
    }
    return json.dumps(message | ({"M": True} if venue == "binance" else {})).encode()


def archive_rows(trades: Iterable[Trade], interval_s: int = 60) -> list[str]:
    """What the venue would publish of these trades, by the rule in Python; empty bars too."""
    found = {candle.open_time_s: candle for candle in rule.candles(trades, interval_s)}
    rows, close = [], ""
    for time in range(min(found), max(found) + 1, interval_s):
        c = found.get(time)
        ends = [str(time * 1000), str((time + interval_s) * 1000 - 1)]
        if c is None:
            rows.append(",".join([ends[0], *[close] * 4, "0", ends[1], "0", "0", "0", "0", "0"]))
            continue
        prices = [amount_text(price, 8) for price in (c.open, c.high, c.low, c.close)]
        quotes = [amount_text(quote, 16) for quote in (c.quote_volume, c.taker_buy_quote_volume)]
        close = prices[3]
        rows.append(
            ",".join(
                [
                    ends[0],
                    *prices,
                    amount_text(c.volume, 8),
                    ends[1],
                    quotes[0],
                    str(c.trades),
                    amount_text(c.taker_buy_volume, 8),
                    quotes[1],
                    "0",
                ]
            )
        )
    return rows


def outcome(store: ClickHouseStore, path: Path, window: Window = ANYTHING, **how: str) -> Comparison:
    """What became of the klines in one file."""
    (found,) = compare_klines(store, Klines((str(path),), **how), window)  # type: ignore[arg-type]  # venue and symbol
    return found.result


def written(path: Path, rows: Iterable[str]) -> Path:
    """A file of these lines."""
    path.write_text("".join(f"{row}\n" for row in rows))
    return path


@pytest.mark.parametrize(("interval_s", "bars"), [(60, 5), (300, 1)])
def test_candles_equal_what_the_venue_publishes(
    store: ClickHouseStore, tmp_path: Path, interval_s: int, bars: int
) -> None:
    """Right candles would fail, minutes without a trade or longer intervals most likely."""
    fill(store, five_minutes())
    assert outcome(store, written(tmp_path / "BTCUSDT-x.csv", archive_rows(five_minutes(), interval_s))) == Comparison(
        compared=bars
    )


def test_a_changed_candle_is_named_with_what_the_venue_says(store: ClickHouseStore, tmp_path: Path) -> None:
    """A wrong candle would pass."""
    fill(store, five_minutes())
    rows = archive_rows(five_minutes())
    cells = rows[1].split(",")
    cells[4] = "77"
    found = outcome(store, written(tmp_path / "BTCUSDT-1m.csv", [rows[0], ",".join(cells), *rows[2:]]))
    assert (found.compared, found.differing, [(d.open_time, d.value, d.theirs) for d in found.differences]) == (
        5,
        1,
        [("2024-08-09T12:01:00Z", "close", "77")],
    )


def test_a_lost_trade_shows_in_its_minute(store: ClickHouseStore, tmp_path: Path) -> None:
    """A candle that lost a trade inside would be taken for whole."""
    trades = five_minutes()
    fill(store, trades[:70] + trades[71:])
    found = outcome(store, written(tmp_path / "BTCUSDT-1m.csv", archive_rows(trades)))
    assert (found.compared, found.differing, found.partial) == (5, 1, 0)
    assert ("2024-08-09T12:01:00Z", "trades", "59", "60") in [
        (d.open_time, d.value, d.ours, d.theirs) for d in found.differences
    ]


def test_the_edges_of_a_recording_are_partial_and_what_is_beyond_absent(store: ClickHouseStore, tmp_path: Path) -> None:
    """A recording would fail for what it never saw."""
    fill(store, five_minutes()[30:-40])
    before = a_trade(id=999, trade_time_us=(NOON_S - 30) * 10**6)
    found = outcome(store, written(tmp_path / "BTCUSDT-1m.csv", archive_rows([before, *five_minutes()])))
    assert found == Comparison(compared=3, partial=2, absent=1)


def test_a_portion_knows_its_neighbours(
    store: ClickHouseStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every edge of a portion of a long file a bar would look open, and an empty one absent."""
    fill(store, five_minutes())
    monkeypatch.setattr("tradecap.flows.verify.klines.A_PORTION", 1)
    assert outcome(store, written(tmp_path / "BTCUSDT-1m.csv", archive_rows(five_minutes()))) == Comparison(compared=5)


def test_a_window_narrows_what_is_compared(store: ClickHouseStore, tmp_path: Path) -> None:
    """--from, --to and --symbol would be passed over."""
    fill(store, five_minutes())
    path = written(tmp_path / "BTCUSDT-1m.csv", archive_rows(five_minutes()))
    window = Window("BTCUSDT", (NOON_S + 60) * 10**6, (NOON_S + 240) * 10**6)
    assert outcome(store, path, window) == Comparison(compared=3)
    assert compare_klines(store, Klines((str(path),)), Window("ETHUSDT")) == []


def test_a_file_is_read_however_it_is_packed(store: ClickHouseStore, tmp_path: Path) -> None:
    """The venue gives zips; a person would have to unpack each."""
    fill(store, five_minutes())
    text = "\n".join(archive_rows(five_minutes())).encode()
    (tmp_path / "BTCUSDT-1m.csv.gz").write_bytes(gzip.compress(text))
    with zipfile.ZipFile(tmp_path / "BTCUSDT-1m.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("BTCUSDT-1m.csv", text)
    for name in ("BTCUSDT-1m.csv.gz", "BTCUSDT-1m.zip"):
        assert outcome(store, tmp_path / name) == Comparison(compared=5)


def test_a_symbol_of_two_venues_needs_one_named(store: ClickHouseStore, tmp_path: Path) -> None:
    """Spot klines would be held against futures, and all of them differ."""
    fill(store, five_minutes())
    fill(store, five_minutes()[:60], venue="binance-usdm", run=RUN.replace("2", "3"))
    path = written(tmp_path / "BTCUSDT-1m.csv", archive_rows(five_minutes()))
    with pytest.raises(TradecapError) as caught:
        outcome(store, path)
    assert "--as binance:BTCUSDT" in caught.value.hint
    assert outcome(store, path, venue="binance", symbol="BTCUSDT") == Comparison(compared=5)
    assert outcome(store, path, venue="binance-usdm", symbol="BTCUSDT").absent == 4


def test_the_name_of_a_file_need_not_be_that_of_its_symbol(store: ClickHouseStore, tmp_path: Path) -> None:
    """A renamed file couldn't be compared at all."""
    fill(store, five_minutes())
    path = written(tmp_path / "klines.csv", archive_rows(five_minutes()))
    with pytest.raises(TradecapError, match="no candles of KLINES"):
        outcome(store, path)
    assert outcome(store, path, venue="binance", symbol="BTCUSDT").compared == 5


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([], "isn't a kline: it is empty"),
        (["a,b,c,d,e,f,g,h,i,j,k,l"], "holds no klines"),
        (["1723204800000,1,1,1,1,1,1723204800999,1,1,1,1,0"], "holds klines of 1 s"),
        (["1723204800000,1,1,1,1,1,1723204859999,1,1,1,1"], ":1 isn't a kline: it has 11 columns"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_a_sentence(
    store: ClickHouseStore, tmp_path: Path, rows: list[str], sentence: str
) -> None:
    """A file that wasn't understood would count as compared."""
    fill(store, five_minutes())
    with pytest.raises(TradecapError) as caught:
        outcome(store, written(tmp_path / "BTCUSDT-1m.csv", rows))
    assert sentence in caught.value.message
    assert caught.value.exit_code is Exit.USAGE


def test_a_zip_of_several_files_or_a_broken_one_is_refused(tmp_path: Path) -> None:
    """Half of a month, or another interval, would be compared as if it were all."""
    path = tmp_path / "BTCUSDT-1m.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("a.csv", "\n".join(archive_rows(five_minutes())))
    broken = bytearray(path.read_bytes())
    broken[200] ^= 1
    with zipfile.ZipFile(path, "a") as packed:
        packed.writestr("b.csv", "\n".join(archive_rows(five_minutes(), 300)))
    with pytest.raises(TradecapError, match="isn't a kline: its times aren't 60 s apart"):
        list(klines_of(str(path), read_klines))
    path.write_bytes(broken)
    with pytest.raises(TradecapError):
        list(klines_of(str(path), read_klines))


def test_a_missing_file_is_a_sentence(tmp_path: Path) -> None:
    """A typing error would end in a traceback."""
    with pytest.raises(TradecapError, match="No such file"):
        list(klines_of(str(tmp_path / "BTCUSDT-1m.csv"), read_klines))


def test_amounts_of_the_store_keep_all_their_digits() -> None:
    """Decimal's arithmetic rounds after 28 digits; a large quote volume would lose its end."""
    assert units(Decimal("123456789012345678901.0000000000000001"), 16) == 1234567890123456789010000000000000001


# ---- recordings ------------------------------------------------------------------------------------------------------


@pytest.mark.recordings
def test_recorded_trades_make_the_candles_the_venue_published(store: ClickHouseStore, recordings: Path) -> None:
    """Our candle rule wouldn't be the exchange's."""
    with gzip.open(recordings / "ws/hft_usdm_btcusdt_20240808.gz") as lines:
        payloads = [line[20:].strip() for line in lines if b'"e":"trade"' in line]
    writer, head = RunWriter(RUN), series_head("binance-usdm", "BTCUSDT", "trade", "ws")
    store.add(LOG, batch_of(writer.record(None, head, frame(payload)) for payload in payloads))
    store.sweep_candles()
    file = recordings / "klines/BTCUSDT-USDM-1m-20240808T2353_20240809T0005.csv"
    assert outcome(store, file) == Comparison(compared=5, partial=1, absent=7)


@pytest.mark.recordings
def test_recorded_aggregates_make_the_candles_of_another_program(store: ClickHouseStore, recordings: Path) -> None:
    """Aggregates would be counted, ordered or bucketed otherwise than others do."""
    feather = import_module("pyarrow.feather")  # comes with chdb; has no types
    rows = json.loads(
        gzip.decompress((recordings / "rest/XRPETH-aggTrades-20191011_20191013.ccxt.json.gz").read_bytes())
    )
    payloads = [json.dumps(row["info"]).encode() for row in rows]
    assert all(isinstance(decode(payload, "binance", "XRPETH", "aggTrade"), Trade) for payload in payloads)
    writer, head = RunWriter(RUN), series_head("binance", "XRPETH", "aggTrade", "rest")
    store.add(LOG, batch_of(writer.record(None, head, frame(payload)) for payload in payloads))
    store.sweep_candles()
    ours = candles(store, BarsQuery(symbol="XRPETH")).candles
    theirs = feather.read_table(recordings / "klines/XRPETH-1m-20191011_20191013.freqtrade-derived.feather").to_pylist()
    assert len(rows) == 12_477
    assert [c.open_time for c in ours] == [row["date"] for row in theirs]
    for name in ("open", "high", "low", "close", "volume"):
        assert [float(getattr(c, name)) for c in ours] == pytest.approx([row[name] for row in theirs], rel=1e-12)


@pytest.mark.recordings
@pytest.mark.parametrize(
    ("name", "rows", "interval_s"),
    [
        ("BTCUSDT-USDM-1m-20240808T2353_20240809T0005.csv", 13, 60),
        ("BTCUSDT-5m-2024-12.csv.gz", 8928, 300),
        ("BTCUSDT-5m-2025-01.csv.gz", 8928, 300),
        ("BTCUSDT-1m-2024-12.api.csv.gz", 41761, 60),
        ("BTCUSDT-15m-2024-12.api.csv.gz", 2785, 900),
    ],
)
def test_every_recorded_file_is_read_whole(recordings: Path, name: str, rows: int, interval_s: int) -> None:
    """A file as the venue gives it away couldn't be compared with."""
    found = list(klines_of(str(recordings / "klines" / name), read_klines))
    assert (len(found), {kline.interval_s for kline in found}) == (rows, {interval_s})


@pytest.mark.recordings
@pytest.mark.parametrize(
    ("fine", "coarse", "common"),
    [
        ("BTCUSDT-1m-2024-12.api.csv.gz", "BTCUSDT-5m-2024-12.csv.gz", 8340),
        ("BTCUSDT-5m-2024-12.csv.gz", "BTCUSDT-15m-2024-12.api.csv.gz", 2781),
    ],
)
def test_short_klines_of_one_source_add_up_to_long_ones_of_another(
    recordings: Path, fine: str, coarse: str, common: int
) -> None:
    """Times, offsets or digits of one of the layouts would be read wrongly."""
    long = {kline.open_time_s: kline for kline in klines_of(str(recordings / "klines" / coarse), read_klines)}
    width = next(iter(long.values())).interval_s
    sums = {
        rolled.open_time_s: rolled
        for rolled in rolled_up(klines_of(str(recordings / "klines" / fine), read_klines), width)
    }
    both = long.keys() & sums.keys()
    assert len(both) == common
    for time in both:
        for name in ("open", "high", "low", "close", "trades"):
            assert getattr(sums[time], name) == getattr(long[time], name), (time, name)
        for name in ("volume", "quote_volume"):
            assert abs(getattr(sums[time], name) - getattr(long[time], name)) <= getattr(long[time], name) // 10**9, (
                time,
                name,
            )


def rolled_up(klines: Iterator[Kline], width: int) -> Iterator[Kline]:
    """Whole bars of width seconds."""
    for number, group in groupby(klines, lambda kline: kline.open_time_s // width):
        parts = list(group)
        if len(parts) * parts[0].interval_s == width:
            yield Kline(
                open_time_s=number * width,
                interval_s=width,
                open=parts[0].open,
                high=max(part.high for part in parts),
                low=min(part.low for part in parts),
                close=parts[-1].close,
                volume=sum(part.volume for part in parts),
                quote_volume=sum(part.quote_volume for part in parts),
                trades=sum(part.trades for part in parts),
                taker_buy_volume=None,
                taker_buy_quote_volume=None,
            )
