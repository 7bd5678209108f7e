"""Bars of one series, read from the store: which, how many, how exact, and what is reported where there are none."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from tests.builders import NOON_S, a_trade
from tests.flows.builders import a_message, load, replayed, some_messages, spoilt
from tradecap.errors import TradecapError
from tradecap.flows.candles import BarsQuery, ShownCandle, candles, plain
from tradecap.log.folder.log import FileLog
from tradecap.store.clickhouse.store import ClickHouseStore

NOON = datetime.fromtimestamp(NOON_S, UTC)


def bars(store: ClickHouseStore, **wanted: object) -> list[ShownCandle]:
    return candles(store, BarsQuery(**({"symbol": "BTCUSDT"} | wanted))).candles  # type: ignore[arg-type]  # the fields of BarsQuery


def minutes(found: list[ShownCandle]) -> list[int]:
    """Minutes after noon at which bars open."""
    return [round((bar.open_time - NOON).total_seconds() / 60) for bar in found]


def test_a_bar_is_what_its_trades_say(log: FileLog, store: ClickHouseStore) -> None:
    """Any of the values wrong, or rounded, and no strategy that reads it can be trusted."""
    small = {"price": 741, "qty": 123_456_789 * 10**8}  # like PEPEUSDT: 0.00000741
    replayed(
        log,
        [
            a_message(1, **small),
            a_message(2, at_s=1, **small | {"price": 743, "is_buyer_maker": True}),
            a_message(3, at_s=59.999, **small),
        ],
    )
    load(log, store)
    (bar,) = bars(store)
    assert (bar.open_time, bar.open, bar.high, bar.low, bar.close) == (
        NOON,
        "0.00000741",
        "0.00000743",
        "0.00000741",
        "0.00000741",
    )
    assert (bar.volume, bar.taker_buy_volume) == ("370370367", "246913578")
    assert bar.quote_volume == str(Decimal("0.00000741") * 246_913_578 + Decimal("0.00000743") * 123_456_789).rstrip(
        "0"
    )
    assert Decimal(bar.taker_buy_quote_volume) == Decimal("0.00000741") * 246_913_578
    assert (bar.trades, bar.first_id, bar.last_id) == (3, 1, 3)
    assert bar.vwap == pytest.approx(float(Decimal(bar.quote_volume) / Decimal(bar.volume)))


@pytest.mark.parametrize("seconds", [60, 120, 300, 3600, 86_400])
def test_any_interval_holds_the_same_trades(log: FileLog, store: ClickHouseStore, seconds: int) -> None:
    """An hour that isn't the sum of its minutes shows two truths."""
    trades = [
        a_trade(id=n, trade_time_us=(NOON_S + 37 * n) * 10**6, price=(100 + n % 7) * 10**8, is_buyer_maker=n % 3 == 0)
        for n in range(200)
    ]
    replayed(
        log, [a_message(n, at_s=37 * n, price=(100 + n % 7) * 10**8, is_buyer_maker=n % 3 == 0) for n in range(200)]
    )
    load(log, store)
    found = bars(store, seconds=seconds)
    assert sum(bar.trades for bar in found) == len(trades)
    assert sum(Decimal(bar.volume) for bar in found) == len(trades)
    assert sum(Decimal(bar.quote_volume) for bar in found) == sum(Decimal(t.price * t.qty) / 10**16 for t in trades)
    assert all(int(bar.open_time.timestamp()) % seconds == 0 for bar in found)


def test_faults_repeats_and_order_change_no_bar(log: FileLog, store: ClickHouseStore) -> None:
    """Late and repeated trades are everyday; candles that depend on them differ from the venue's."""
    messages = some_messages(range(60))
    replayed(log, messages)
    load(log, store)
    clean = bars(store)
    replayed(log, [*reversed(messages), *messages[::7]])
    spoilt(log, {"dupes": 20, "conflicts": 20, "bad_time": 20})
    load(log, store)
    assert bars(store) == clean


def test_the_newest_come_last_and_a_limit_keeps_them(log: FileLog, store: ClickHouseStore) -> None:
    """--limit 5 means the last five for a viewer, and with --from the first five from there for a reader."""
    replayed(log, some_messages(range(120)))  # ten minutes
    load(log, store)
    assert minutes(bars(store)) == list(range(10))
    assert minutes(bars(store, limit=3)) == [7, 8, 9]
    assert minutes(bars(store, limit=3, from_s=NOON_S + 60)) == [1, 2, 3]
    assert minutes(bars(store, limit=3, to_s=NOON_S + 300)) == [2, 3, 4]
    assert minutes(bars(store, from_s=NOON_S + 120, to_s=NOON_S + 240)) == [2, 3]
    assert minutes(bars(store, from_s=NOON_S + 121)) == list(range(3, 10))
    assert minutes(bars(store, from_s=NOON_S + 999_999)) == []
    assert minutes(bars(store, to_s=2**33, limit=1)) == [9]


def test_a_bar_is_complete_when_its_neighbours_prove_it(log: FileLog, store: ClickHouseStore) -> None:
    """A bar that lost its last trade would show a wrong close as final."""
    # the last of minute 1
    replayed(log, [message for n, message in enumerate(some_messages(range(1000, 1060))) if n != 23])
    load(log, store)
    assert [bar.complete for bar in bars(store)] == [False, False, False, True, False]
    replayed(log, some_messages(range(1000, 1060)))
    load(log, store)
    assert [bar.complete for bar in bars(store)] == [False, True, True, True, False]


def test_trades_go_before_aggregates_unless_asked(log: FileLog, store: ClickHouseStore) -> None:
    """Both at once would count each trade twice."""
    replayed(log, [*some_messages(range(5)), *some_messages(range(900, 903), channel="aggTrade")])
    load(log, store)
    assert candles(store, BarsQuery(symbol="BTCUSDT")).channel == "trade"
    assert [bar.first_id for bar in bars(store, channel="aggTrade")] == [900]


def test_a_symbol_of_two_venues_needs_its_venue(log: FileLog, store: ClickHouseStore) -> None:
    """Spot and futures of one name have two prices."""
    replayed(log, [*some_messages(range(5)), *some_messages(range(7), venue="binance-usdm")])
    load(log, store)
    with pytest.raises(TradecapError) as refused:
        bars(store)
    assert (refused.value.message, refused.value.hint) == (
        "BTCUSDT exists at several venues: binance, binance-usdm.",
        "add --venue binance",
    )
    assert sum(bar.trades for bar in bars(store, venue="binance-usdm")) == 7


@pytest.mark.parametrize(
    ("wanted", "message", "hint"),
    [
        ({"symbol": "BTCUSD"}, "The store has no candles of BTCUSD.", "did you mean BTCUSDT?"),
        ({"symbol": "XRP"}, "The store has no candles of XRP.", "there are: BTCUSDT"),
        (
            {"channel": "aggTrade"},
            "The store has no candles of BTCUSDT aggTrade.",
            "of BTCUSDT there is: binance trade",
        ),
        (
            {"venue": "binance-us"},
            "The store has no candles of binance-us BTCUSDT.",
            "of BTCUSDT there is: binance trade",
        ),
    ],
)
def test_what_is_not_there_is_reported_with_what_is(
    log: FileLog, store: ClickHouseStore, wanted: dict[str, str], message: str, hint: str
) -> None:
    """An empty table for a mistyped symbol looks like a market without trades."""
    replayed(log, some_messages(range(5)))
    load(log, store)
    with pytest.raises(TradecapError) as refused:
        bars(store, **wanted)
    assert (refused.value.message, refused.value.hint) == (message, hint)


def test_an_empty_store_says_what_makes_candles(store: ClickHouseStore) -> None:
    """A first-time user who forgot to load has to learn what to type."""
    with pytest.raises(TradecapError) as refused:
        bars(store)
    assert "tradecap load" in refused.value.hint


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1.5000", "1.5"),
        ("0.00000741", "0.00000741"),
        ("100.00000000", "100"),
        ("1E+3", "1000"),
        ("0E-16", "0"),
        ("1234567890.12", "1234567890.12"),
    ],
)
def test_numbers_keep_all_their_digits(value: str, text: str) -> None:
    """An exponent, or a rounded digit, is another number to many readers."""
    assert plain(Decimal(value)) == text
