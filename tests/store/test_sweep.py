"""The sweep: whatever comes, and in whatever order, the candles are those of the trades that win."""

import random
from math import isclose

import msgspec
import pytest

from tests.builders import NOON_S
from tests.store.builders import RUNS, at, fill, minutes, one, record_of, run_of
from tradecap.market.candles import Candle, candles, every_interval
from tradecap.market.records import Trade
from tradecap.store.clickhouse.store import ClickHouseStore
from tradecap.venues.binance.synthetic import SPOT, USDM, trades

DAY_S = 86_400
MONTH_S = 31 * DAY_S
Record = tuple[str, int, Trade]
"""Run, seq and what it holds."""


def agree(stored: list[Candle], fresh: list[Candle]) -> None:
    """All integers to the last digit, volatility within 1e-9; `complete` is asked of the view."""
    bare = [msgspec.structs.replace(candle, complete=False, volatility_sq=0.0) for candle in fresh]
    assert [msgspec.structs.replace(candle, volatility_sq=0.0) for candle in stored] == bare
    for one_side, other in zip(stored, fresh, strict=True):
        assert isclose(one_side.volatility_sq, other.volatility_sq, rel_tol=1e-9, abs_tol=1e-21)


def shown_by_the_view(store: ClickHouseStore, seconds: int, symbol: str) -> list[tuple[object, ...]]:
    """What v_candles says of a symbol, prices and volumes as texts."""
    rows = store.rows(
        "SELECT toUnixTimestamp(open_time) AS open_s, toString(open) AS o, toString(high) AS h, toString(low) AS "
        "l, toString(close) AS c,"
        " toString(volume) AS v, toString(quote_volume) AS q, trades, toString(taker_buy_volume) AS tv, "
        "toString(taker_buy_quote_volume) AS tq,"
        " first_id, last_id, complete FROM v_candles(seconds = {seconds:UInt32}) WHERE symbol = {symbol:String} "
        "ORDER BY open_time",
        seconds=seconds,
        symbol=symbol,
    )
    return [tuple(row.values()) for row in rows]


def as_the_view_says(candle: Candle) -> tuple[object, ...]:
    """The same of a candle of market.candles."""

    def text(units: int, decimals: int = 8) -> str:
        digits = f"{units // 10**decimals}.{units % 10**decimals:0{decimals}d}"
        return digits.rstrip("0").rstrip(".")

    prices = [text(n) for n in (candle.open, candle.high, candle.low, candle.close, candle.volume)]
    taker = [text(candle.taker_buy_volume), text(candle.taker_buy_quote_volume, 16)]
    ends = [candle.first_id, candle.last_id, int(candle.complete)]
    return (candle.open_time_s, *prices, text(candle.quote_volume, 16), candle.trades, *taker, *ends)


def a_messy_stream(rng: random.Random) -> list[Record]:
    """Trades of spot and of futures (some outside the book), with repeats, conflicts (some in other minutes) and
    losses, in no order at all."""
    start_ms = NOON_S * 1000
    spot = trades(SPOT["ETHUSDT"], rng.randrange(99), start_ms, start_ms + 400_000)
    clean = [*spot, *trades(USDM["BTCUSDT"], rng.randrange(99), start_ms, start_ms + 90_000)]
    records: list[Record] = []
    for run in RUNS:
        for seq, trade in enumerate(rng.sample(clean, k=min(len(clean), 150))):
            if rng.random() < 0.1:
                moved_us = trade.trade_time_us + rng.choice([0, 1_000, 60_000_000, -300_000_000, DAY_S * 10**6])
                trade = msgspec.structs.replace(
                    trade, price=trade.price + 10**6, trade_time_us=moved_us, order_book=True, qty=trade.qty or 10**6
                )
            records.append((run, seq, trade))
    rng.shuffle(records)
    return records


@pytest.mark.parametrize(("seed", "way"), [(0, "1"), (1, "1"), (2, "1"), (3, "0")])
def test_sweeping_while_records_come_in_gives_the_candles_of_the_trades_that_win(
    emptied: ClickHouseStore, monkeypatch: pytest.MonkeyPatch, seed: int, way: str
) -> None:
    """A candle made of half a minute, or of a trade that lost later, would stay wrong forever."""
    monkeypatch.setenv("TRADECAP_PLAIN", way)
    rng = random.Random(seed)
    waiting = a_messy_stream(rng)
    records = list(waiting)
    while waiting:
        some, waiting = waiting[: (cut := rng.randint(1, 120))], waiting[cut:]
        fill(emptied, *[record_of(trade, run, seq) for run, seq, trade in some])
        if rng.random() < 0.5:
            emptied.sweep_candles()
    emptied.sweep_candles()
    assert emptied.sweep_candles() == 0
    in_order = [trade for _, _, trade in sorted(records, key=lambda record: record[:2])]
    for symbol in ("ETHUSDT", "BTCUSDT"):
        of_symbol = [trade for trade in in_order if trade.symbol == symbol]
        agree(list(minutes(emptied, symbol)), every_interval(of_symbol))
        for seconds in (60, 300, 3600):
            assert shown_by_the_view(emptied, seconds, symbol) == [
                as_the_view_says(candle) for candle in candles(of_symbol, seconds)
            ]


def test_roll_ups_equal_a_fresh_computation(emptied: ClickHouseStore) -> None:
    """Five minutes put together from minutes must be the five minutes: volatility over the inner edges, VWAP and
    completeness too."""
    start_ms = NOON_S * 1000 - 3_700_000
    stream = list(trades(SPOT["BTCUSDT"], 5, start_ms, start_ms + 7_400_000))[::3]
    stream = [
        msgspec.structs.replace(trade, id=n, first_id=n, last_id=n)
        for n, trade in enumerate(stream)
        if n not in (100, 400)
    ]
    fill(emptied, *run_of(stream))
    emptied.sweep_candles()
    for seconds in (60, 300, 3600, DAY_S):
        fresh = candles(stream, seconds)
        assert shown_by_the_view(emptied, seconds, "BTCUSDT") == [as_the_view_says(candle) for candle in fresh]
        floats = emptied.rows(
            "SELECT volatility, vwap FROM v_candles(seconds = {seconds:UInt32}) ORDER BY open_time", seconds=seconds
        )
        for row, candle in zip(floats, fresh, strict=True):
            assert row["volatility"] == pytest.approx(candle.volatility, rel=1e-9)
            assert row["vwap"] == pytest.approx(candle.vwap, rel=1e-12)


@pytest.mark.parametrize("moved_s", [180, 600, DAY_S, MONTH_S, -MONTH_S])
@pytest.mark.parametrize("winner_first", [True, False])
@pytest.mark.parametrize("swept_between", [True, False])
def test_a_conflict_that_moves_a_trade_leaves_no_candle(
    emptied: ClickHouseStore, moved_s: int, winner_first: bool, swept_between: bool
) -> None:
    """If an id has two records in two minutes, only the first has a candle, whichever came first and in whichever
    load."""
    winner, loser = at(7, 5), at(7, moved_s + 5, price=5 * 10**8)
    loads = [record_of(winner, RUNS[0], 3), record_of(loser, RUNS[1], 0)]
    for line in loads if winner_first else reversed(loads):
        fill(emptied, line)
        if swept_between:
            emptied.sweep_candles()
    emptied.sweep_candles()
    agree(list(minutes(emptied, "BTCUSDT")), every_interval([winner]))
    assert shown_by_the_view(emptied, 60, "BTCUSDT") == [as_the_view_says(candle) for candle in candles([winner])]
    assert emptied.sweep_candles() == 0
    assert one(emptied.rows("SELECT count() AS trades FROM v_trades"))["trades"] == 1


@pytest.mark.parametrize("hours", [None, {NOON_S // 3600}, set(range(NOON_S // 3600 - 9, NOON_S // 3600 + 9))])
@pytest.mark.parametrize("way", ["1", "0"])
def test_a_minute_that_lost_all_its_trades_is_found(
    emptied: ClickHouseStore, monkeypatch: pytest.MonkeyPatch, hours: set[int] | None, way: str
) -> None:
    """Its candle has no trades to be compared with: a look at the trades alone never sees it."""
    monkeypatch.setenv("TRADECAP_PLAIN", way)
    fill(emptied, record_of(at(7, 5), RUNS[1], 0), record_of(at(8, 65), RUNS[1], 1))
    assert emptied.sweep_candles(hours) == 2
    fill(emptied, record_of(at(7, 86_400 * 40), RUNS[0], 0))
    assert emptied.sweep_candles(hours) == (2 if hours is None or way == "0" else 1)
    agree(list(minutes(emptied, "BTCUSDT"))[:1], every_interval([at(8, 65)]))
    emptied.sweep_candles()
    assert emptied.sweep_candles(hours) == emptied.sweep_candles() == 0
    agree(list(minutes(emptied, "BTCUSDT")), every_interval([at(8, 65), at(7, 86_400 * 40)]))


@pytest.mark.parametrize("known", [1, 300])
@pytest.mark.parametrize("hours", [None, set(range(NOON_S // 3600, NOON_S // 3600 + 14))])
def test_a_day_is_built_in_one_pass_or_minute_by_minute_with_the_same_result(
    emptied: ClickHouseStore, known: int, hours: set[int] | None
) -> None:
    """All minutes of a day that is mostly new are computed at once; which of them are stale must not depend on that."""
    stream = [at(n, 7 * n) for n in range(400)]
    fill(emptied, *run_of(stream[:known]))
    emptied.sweep_candles()
    fill(emptied, *run_of(stream[known:], first_seq=known))
    made = emptied.sweep_candles(hours)
    stale = {n * 7 // 60 for n in range(known, 400)}
    assert made == len(stale)
    agree(list(minutes(emptied, "BTCUSDT")), every_interval(stream))


def test_a_minute_that_lost_its_trades_and_got_others_is_made_again(emptied: ClickHouseStore) -> None:
    """A candle that was emptied once must not stay empty."""
    fill(emptied, record_of(at(7, 5), RUNS[1], 0))
    emptied.sweep_candles()
    fill(emptied, record_of(at(7, 605), RUNS[0], 0))
    emptied.sweep_candles()
    fill(emptied, record_of(at(8, 6), RUNS[1], 1))
    emptied.sweep_candles()
    agree(list(minutes(emptied, "BTCUSDT")), every_interval([at(7, 605), at(8, 6)]))


@pytest.mark.parametrize("at_s", [3599.5, 43_199.999, 0.0])
def test_the_last_moment_of_an_hour_and_of_a_day_belongs_to_it(emptied: ClickHouseStore, at_s: float) -> None:
    """ClickHouse's index of a DateTime64 loses the last second before a DateTime that it is compared with."""
    fill(emptied, record_of(at(7, at_s), RUNS[0], 0))
    assert emptied.sweep_candles({int(NOON_S + at_s) // 3600}) == 1
    assert emptied.sweep_candles() == 0


def test_hours_that_were_not_loaded_are_left_alone(emptied: ClickHouseStore) -> None:
    """A day that is mostly new would be built for the sake of some hours, and its other hours with it."""
    stream = [at(n, 3600 * (n - 10)) for n in range(20)]
    fill(emptied, *run_of(stream))
    assert emptied.sweep_candles(set(range(NOON_S // 3600 - 3, NOON_S // 3600 + 4))) == 7
    agree(list(minutes(emptied, "BTCUSDT")), every_interval(stream[7:14]))


def test_sweeping_makes_only_what_changed(emptied: ClickHouseStore) -> None:
    """A sweep after each batch that made everything again would grow with the history."""
    fill(emptied, *run_of([at(n, 20 * n) for n in range(12)]))
    assert emptied.sweep_candles() == 4
    fill(emptied, *run_of([at(n, 20 * n) for n in range(12)]))
    assert emptied.sweep_candles() == 0
    fill(emptied, record_of(at(12, 239), RUNS[0], 12))
    assert emptied.sweep_candles() == 1
    assert (
        one(emptied.rows("SELECT countIf(sweep = (SELECT max(sweep) FROM candles_1m)) AS made FROM candles_1m FINAL"))[
            "made"
        ]
        == 1
    )


def test_trades_outside_the_book_make_no_candle_but_hold_their_ids(emptied: ClickHouseStore) -> None:
    """A price of an insurance fund isn't a price; its id isn't a gap."""
    # (minute, price, in the book): the dearest, the cheapest, the first and the last are not
    shapes = [
        (0, 900, False),
        (0, 100, True),
        (0, 1, False),
        (0, 101, True),
        (0, 901, False),
        (1, 900, False),
        (2, 102, True),
        (3, 900, False),
    ]
    mixed = [
        at(n, 60 * minute, venue="binance-usdm", price=price * 10**8, order_book=book)
        for n, (minute, price, book) in enumerate(shapes)
    ]
    fill(emptied, *run_of(mixed))
    emptied.sweep_candles()
    agree(list(minutes(emptied, "BTCUSDT")), every_interval(mixed))
    assert shown_by_the_view(emptied, 60, "BTCUSDT") == [as_the_view_says(candle) for candle in candles(mixed)]
    assert [row[-1] for row in shown_by_the_view(emptied, 60, "BTCUSDT")] == [1, 1]


# ---- runs, months, ids -----------------------------------------------------------------------------------------------

BY_NUMBER = {
    "runs of one millisecond": ("01930000-0000-7000-8000-000000000001", "01930000-0000-7000-8000-000000000002"),
    "one millisecond, other randomness": (
        "01930000-0000-7001-bfff-ffffffffffff",
        "01930000-0000-7fff-8000-000000000000",
    ),
    "ClickHouse sorts by the second half": (
        "01930000-0000-7000-bfff-ffffffffffff",
        "01930000-0001-7000-8000-000000000000",
    ),
    "the sign of the first half": ("01930000-0000-7000-8000-000000000000", "f1930000-0000-7000-8000-000000000000"),
}


@pytest.mark.parametrize("name", BY_NUMBER)
@pytest.mark.parametrize("in_order", [True, False])
def test_the_run_of_the_smaller_number_wins(emptied: ClickHouseStore, name: str, in_order: bool) -> None:
    """ClickHouse sorts a UUID by its second half: taken as it sorts, the later record would be the trade."""
    first, second = BY_NUMBER[name]
    lines = [record_of(at(7, 5), first, 9), record_of(at(7, 65, price=10**8), second, 0)]
    for line in lines if in_order else lines[::-1]:
        fill(emptied, line)
    emptied.sweep_candles()
    trade = one(emptied.rows("SELECT toString(run) AS run, seq, toString(price) AS price FROM v_trades"))
    assert trade == {"run": first, "seq": 9, "price": "100"}
    lost = one(
        emptied.rows("SELECT toString(run) AS run, seq, toString(first_run) AS first_run, first_seq FROM v_conflicts")
    )
    assert lost == {"run": second, "seq": 0, "first_run": first, "first_seq": 9}
    agree(list(minutes(emptied, "BTCUSDT")), every_interval([at(7, 5)]))
    assert [row["run"] for row in emptied.rows("SELECT toString(run) AS run FROM v_runs")] == [first, second]
    (loser,) = emptied.repeats([first, second], ("binance", "BTCUSDT", "trade"), [0])
    assert loser.run == second


def test_of_one_run_the_smaller_seq_wins(emptied: ClickHouseStore) -> None:
    """A number compared as a text would let 10 win over 9."""
    for seq in (10, 9, 100):
        fill(emptied, record_of(at(7, seq), RUNS[0], seq))
    assert one(emptied.rows("SELECT seq FROM v_trades"))["seq"] == 9


@pytest.mark.parametrize("first_id", [2**32 - 2, 2**53 - 1, 2**63 - 4])
def test_ids_of_any_size_are_exact(emptied: ClickHouseStore, first_id: int) -> None:
    """An id that went through a float or 32 bits would be another trade's."""
    stream = [at(first_id + n, 20 * n) for n in (0, 1, 3)]
    fill(emptied, *run_of([*stream, stream[0]]))
    emptied.sweep_candles()
    assert [row["trade_id"] for row in emptied.rows("SELECT trade_id FROM v_trades ORDER BY trade_id")] == [
        trade.id for trade in stream
    ]
    assert one(emptied.rows("SELECT first_missing, last_missing FROM v_gaps")) == {
        "first_missing": first_id + 2,
        "last_missing": first_id + 2,
    }
    assert one(emptied.rows("SELECT trade_id, repeats FROM v_duplicates")) == {"trade_id": first_id, "repeats": 1}
    agree(list(minutes(emptied, "BTCUSDT")), every_interval(stream))
    (loser,) = emptied.repeats([RUNS[0]], ("binance", "BTCUSDT", "trade"), [first_id >> 20])
    assert (loser.duplicates, loser.conflicts) == (1, 0)
