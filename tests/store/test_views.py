"""What a person queries: every view says what its name promises, and every table and column says what it is."""

from typing import Any

import pytest

from tests.builders import NOON_S, a_trade
from tests.cases import TRADE
from tests.store.builders import LOG, RUNS, at, fill, one, record_of, run_of, whole
from tradecap.market.records import RunWriter, frame, series_head
from tradecap.store.clickhouse.store import ClickHouseStore

OTHER_LOG = "01930000-0000-7000-8000-000000000009"
HEAD = series_head("binance", "BTCUSDT", "trade", "ws")


def rejected(run: str, seq: int, payload: bytes = TRADE.replace(b"true", b"1"), recv_ns: int | None = None) -> bytes:
    """The record of a message that isn't a trade."""
    return RunWriter(run, seq).record(recv_ns, HEAD, frame(payload))


def event(run: str, seq: int, name: str) -> bytes:
    return RunWriter(run, seq).event(NOON_S * 10**9, name, {})


# ---- v_trades --------------------------------------------------------------------------------------------------------


def test_a_trade_is_shown_with_all_that_is_known_of_it(emptied: ClickHouseStore) -> None:
    """What a person reads first: one value in the wrong column, or rounded, and nothing else is believed."""
    trade = a_trade(price=741, qty=912_345_678 * 10**8, is_buyer_maker=True, event_time_us=NOON_S * 10**6 + 2000)
    fill(emptied, record_of(trade, RUNS[0], 5, recv_ns=NOON_S * 10**9 + 3))
    columns = (
        "venue, symbol, channel, trade_id, first_id, last_id, recv_ns, is_buyer_maker, taker_side, order_book, seq"
    )
    exact = "toString(price) AS price, toString(qty) AS qty, toString(quote) AS quote, toString(run) AS run"
    times = "toString(trade_time) AS at, toString(event_time) AS sent"
    assert one(emptied.rows(f"SELECT {columns}, {exact}, {times} FROM v_trades")) == {
        "venue": "binance",
        "symbol": "BTCUSDT",
        "channel": "trade",
        "trade_id": 7,
        "first_id": 7,
        "last_id": 7,
        "recv_ns": NOON_S * 10**9 + 3,
        "is_buyer_maker": True,
        "taker_side": "sell",
        "order_book": True,
        "seq": 5,
        "price": "0.00000741",
        "qty": "912345678",
        "quote": "6760.48147398",
        "run": RUNS[0],
        "at": "2024-08-09 12:00:00.000000",
        "sent": "2024-08-09 12:00:00.002000",
    }


def test_the_dearest_trade_has_its_exact_worth(emptied: ClickHouseStore) -> None:
    """Price times quantity that overflowed or was cut would be a wrong turnover."""
    price, qty = 10**18 - 1, 10**15 - 1
    fill(emptied, record_of(a_trade(price=price, qty=qty), RUNS[0], 0))
    assert whole(one(emptied.rows("SELECT quote FROM v_trades"))["quote"], 16) == price * qty


@pytest.mark.parametrize(
    "run",
    [
        RUNS[0],
        "f1930000-0000-7000-8000-000000000000",
        "00030000-0000-7000-8000-000000000000",
    ],
)
def test_the_record_behind_a_trade_can_be_found(emptied: ClickHouseStore, run: str) -> None:
    """Whoever doubts a trade goes back to its line; also to one of a machine whose clock began at 1970."""
    fill(emptied, record_of(a_trade(), run, 2**40))
    assert one(emptied.rows("SELECT toString(run) AS run, seq FROM v_trades")) == {"run": run, "seq": 2**40}


# ---- v_duplicates, v_conflicts ---------------------------------------------------------------------------------------


def test_repeats_are_counted_besides_the_first(emptied: ClickHouseStore) -> None:
    """A record delivered twice is none; a record written twice is one; the trade itself is never one."""
    twice = record_of(at(7), RUNS[0], 0)
    fill(emptied, twice, *run_of([at(7), at(8), at(9), at(9)], RUNS[1]), twice)
    rows = emptied.rows("SELECT trade_id, repeats, conflicts FROM v_duplicates ORDER BY trade_id")
    assert rows == [{"trade_id": 7, "repeats": 1, "conflicts": 0}, {"trade_id": 9, "repeats": 1, "conflicts": 0}]
    assert emptied.rows("SELECT * FROM v_conflicts") == []


def test_a_conflict_names_both_sides(emptied: ClickHouseStore) -> None:
    """A person has to see which record won, which lost, and whether it was spoilt on purpose."""
    fill(
        emptied,
        *run_of([at(7), at(7), at(7, price=1)], RUNS[0]),
        record_of(at(7, qty=1), RUNS[1], 4, via="inject:conflicts"),
    )
    columns = "trade_id, toString(run) AS run, seq, fault, toString(first_run) AS first_run, first_seq"
    rows = emptied.rows(f"SELECT {columns} FROM v_conflicts ORDER BY seq")
    first = {"trade_id": 7, "first_run": RUNS[0], "first_seq": 0}
    assert rows == [
        first | {"run": RUNS[0], "seq": 2, "fault": ""},
        first | {"run": RUNS[1], "seq": 4, "fault": "conflicts"},
    ]
    assert one(emptied.rows("SELECT repeats, conflicts FROM v_duplicates")) == {"repeats": 3, "conflicts": 2}


def test_the_same_id_of_another_series_is_another_trade(emptied: ClickHouseStore) -> None:
    """Ids are only meaningful inside venue, symbol and channel."""
    others: list[dict[str, Any]] = [
        {"symbol": "ETHUSDT"},
        {"venue": "binance-us"},
        {"channel": "aggTrade"},
        {"venue": "binance-usdm"},
    ]
    fill(emptied, *run_of([at(7), *[at(7, **other) for other in others]]))
    assert emptied.rows("SELECT * FROM v_duplicates") == []
    assert one(emptied.rows("SELECT count() AS trades FROM v_trades"))["trades"] == 5


# ---- v_gaps ----------------------------------------------------------------------------------------------------------


def gaps(store: ClickHouseStore) -> list[tuple[object, ...]]:
    """Symbol, first and last missing id, their number, and the kind of each range."""
    rows = store.rows(
        "SELECT symbol, first_missing, last_missing, missing, kind FROM v_gaps ORDER BY symbol, first_missing"
    )
    return [tuple(row.values()) for row in rows]


def test_gaps_and_uncovered_ranges_are_distinguished(emptied: ClickHouseStore) -> None:
    """A hole in a capture is a loss; the time between two captures is not."""
    fill(emptied, *run_of([at(n) for n in (0, 1, 2, 5, 6)], RUNS[0]), *run_of([at(n) for n in (10, 12)], RUNS[1]))
    fill(emptied, *run_of([at(n, symbol="ETHUSDT") for n in (50, 51)], RUNS[2]))
    assert gaps(emptied) == [
        ("BTCUSDT", 3, 4, 2, "gap"),
        ("BTCUSDT", 7, 9, 3, "uncovered"),
        ("BTCUSDT", 11, 11, 1, "gap"),
    ]


def test_a_gap_that_another_run_fills_is_none(emptied: ClickHouseStore) -> None:
    """Filling a hole from an archive has to close it."""
    fill(emptied, *run_of([at(n) for n in (1, 9)], RUNS[0]))
    assert gaps(emptied) == [("BTCUSDT", 2, 8, 7, "gap")]
    fill(emptied, *run_of([at(n) for n in (2, 3, 4, 6, 7, 8)], RUNS[1]))
    assert gaps(emptied) == [("BTCUSDT", 5, 5, 1, "gap")]
    fill(emptied, record_of(at(5), RUNS[2], 0))
    assert gaps(emptied) == []


def test_an_id_in_quarantine_is_a_gap(emptied: ClickHouseStore) -> None:
    """What came unreadable isn't there."""
    broken = TRADE.replace(b'"t":1520538925', b'"t":2').replace(b"true", b"1").replace(b"ETHUSDT", b"BTCUSDT")
    fill(emptied, *run_of([at(1), at(3)]), rejected(RUNS[0], 2, broken))
    assert gaps(emptied) == [("BTCUSDT", 2, 2, 1, "gap")]


def test_injected_ids_open_no_gap_between_them(emptied: ClickHouseStore) -> None:
    """A run of made-up records went over nothing."""
    fill(emptied, *run_of([at(1), at(2)]), *run_of([at(9), at(20)], RUNS[1], via="inject:file"))
    assert "gap" not in {row[-1] for row in gaps(emptied)}


def test_an_injected_id_covers_nothing(emptied: ClickHouseStore) -> None:
    """Injected records don't show what was captured."""
    fill(emptied, *run_of([at(1), at(2)]), record_of(at(9), RUNS[1], 0, via="inject:file"))
    assert gaps(emptied) == []


# ---- v_quality -------------------------------------------------------------------------------------------------------


def test_quality_counts_by_series_and_hour(emptied: ClickHouseStore) -> None:
    """The page an operator looks at in the morning: what came, what was repeated, what was refused and why."""
    hour = 3600
    fill(emptied, *run_of([at(1), at(2), at(2), at(3, hour), at(4, hour, symbol="ETHUSDT")]))
    fill(
        emptied, rejected(RUNS[1], 0, recv_ns=NOON_S * 10**9), rejected(RUNS[1], 1, b"garbage", recv_ns=NOON_S * 10**9)
    )
    rows = emptied.rows(
        "SELECT symbol, toString(hour) AS hour, valid, trades, repeats, quarantined FROM v_quality "
        "ORDER BY symbol, hour"
    )
    noon, one_o_clock = "2024-08-09 12:00:00", "2024-08-09 13:00:00"
    refused = {"wrong_type": 1, "malformed_json": 1}
    assert rows == [
        {"symbol": "BTCUSDT", "hour": noon, "valid": 3, "trades": 2, "repeats": 1, "quarantined": refused},
        {"symbol": "BTCUSDT", "hour": one_o_clock, "valid": 1, "trades": 1, "repeats": 0, "quarantined": {}},
        {"symbol": "ETHUSDT", "hour": one_o_clock, "valid": 1, "trades": 1, "repeats": 0, "quarantined": {}},
    ]


def test_lateness_is_measured_from_trade_to_event_to_receipt(emptied: ClickHouseStore) -> None:
    """A venue that lags and a line that lags are two different calls; a clock that is behind shows as negative."""
    for n, (event_ms, recv_ms) in enumerate([(1, 10), (2, 20), (3, 5), (900, -40)]):
        trade = at(n, event_time_us=NOON_S * 10**6 + event_ms * 1000)
        fill(emptied, record_of(trade, RUNS[0], n, recv_ns=NOON_S * 10**9 + (event_ms + recv_ms) * 10**6))
    row = one(
        emptied.rows(
            "SELECT event_lateness_p50_ms, event_lateness_p99_ms, receive_lateness_p50_ms, "
            "receive_lateness_p99_ms FROM v_quality"
        )
    )
    assert (row["event_lateness_p99_ms"], row["receive_lateness_p99_ms"]) == (900, 20)
    assert row["event_lateness_p50_ms"] in (2, 3)
    assert row["receive_lateness_p50_ms"] in (5, 10)


# ---- v_runs ----------------------------------------------------------------------------------------------------------


def test_runs_say_what_they_held_and_whether_they_are_whole(emptied: ClickHouseStore) -> None:
    """A run with a hole, or without an end, has to be noticeable."""
    fill(
        emptied,
        event(RUNS[0], 0, "started"),
        *run_of([at(1), at(2, 70)], first_seq=1),
        rejected(RUNS[0], 3),
        event(RUNS[0], 4, "ended"),
    )
    depth = RunWriter(RUNS[1], 3).record(None, HEAD, frame(b'{"e":"kline"}'))
    fill(emptied, event(RUNS[1], 0, "started"), record_of(at(1), RUNS[1], 1, via="inject:dupes"), depth)
    columns = "records, last_seq, is_whole, is_ended, valid, quarantined, ignored, events, injected"
    rows = emptied.rows(
        f"SELECT toString(run) AS run, {columns}, toString(first_trade) AS first, "
        "toString(last_trade) AS last FROM v_runs"
    )
    assert [tuple(row.values()) for row in rows] == [
        (RUNS[0], 5, 4, 1, 1, 2, 1, 0, 2, 0, "2024-08-09 12:00:00", "2024-08-09 12:01:10"),
        (RUNS[1], 3, 3, 0, 0, 1, 0, 1, 1, 1, "2024-08-09 12:00:00", "2024-08-09 12:00:00"),
    ]


def test_a_run_names_the_logs_that_brought_it(emptied: ClickHouseStore) -> None:
    """A log that was shipped elsewhere and loaded from both places is one run of two logs."""
    line = record_of(at(1), RUNS[0], 0)
    for log in (OTHER_LOG, LOG, LOG):
        fill(emptied, line, log=log)
    assert one(emptied.rows("SELECT records, arrayMap(l -> toString(l), logs) AS logs FROM v_runs")) == {
        "records": 1,
        "logs": [LOG, OTHER_LOG],
    }


# ---- v_candles -------------------------------------------------------------------------------------------------------


def test_a_candle_is_what_a_chart_shows(emptied: ClickHouseStore) -> None:
    """By hand: two minutes of a few trades, of which the second one arrives first."""
    second = [at(4, 60, price=103 * 10**8, qty=2 * 10**8), at(5, 119.999, price=99 * 10**8, is_buyer_maker=True)]
    fill(emptied, *run_of(second, RUNS[1]))
    fill(
        emptied,
        *run_of([at(1), at(3, 59, price=102 * 10**8), at(2, 59, price=98 * 10**8, is_buyer_maker=True)], RUNS[0]),
    )
    emptied.sweep_candles()
    columns = (
        "toString(open_time) AS t, toString(open) AS o, toString(high) AS h, toString(low) AS l, "
        "toString(close) AS c, toString(volume) AS v"
    )
    more = "toString(quote_volume) AS q, trades, toString(taker_buy_volume) AS tv, first_id, last_id, complete"
    rows = emptied.rows(f"SELECT {columns}, {more} FROM v_candles(seconds = 60) ORDER BY open_time")
    assert [tuple(row.values()) for row in rows] == [
        # nobody knows whether id 0 was in it
        ("2024-08-09 12:00:00", "100", "102", "98", "102", "3", "300", 3, "2", 1, 3, 0),
        ("2024-08-09 12:01:00", "103", "103", "99", "99", "3", "305", 2, "2", 4, 5, 0),  # the newest is never complete
    ]
    assert one(emptied.rows("SELECT vwap FROM v_candles(seconds = 300)"))["vwap"] == pytest.approx(605 / 6)


@pytest.mark.parametrize(
    ("ids", "complete"),
    [
        ([0, 1, 2, 3], [1, 1, 1, 0]),
        ([5, 6, 7, 8], [0, 1, 1, 0]),
        ([5, 6, 8, 9], [0, 0, 0, 0]),
    ],
)
def test_a_candle_is_complete_when_both_neighbours_adjoin(
    emptied: ClickHouseStore, ids: list[int], complete: list[int]
) -> None:
    """A minute that lost its last trade must not show a wrong close as final."""
    fill(emptied, *run_of([at(trade_id, 60 * n) for n, trade_id in enumerate(ids)]))
    emptied.sweep_candles()
    assert [
        row["complete"] for row in emptied.rows("SELECT complete FROM v_candles(seconds = 60) ORDER BY open_time")
    ] == complete


def test_channels_have_candles_of_their_own(emptied: ClickHouseStore) -> None:
    """The same market by trades and by aggregates added up would double every volume."""
    fill(emptied, *run_of([at(1), at(2), at(1, channel="aggTrade", first_id=1, last_id=2, qty=2 * 10**8)]))
    emptied.sweep_candles()
    rows = emptied.rows(
        "SELECT channel, trades, toString(volume) AS volume FROM v_candles(seconds = 60) ORDER BY channel"
    )
    assert rows == [
        {"channel": "aggTrade", "trades": 2, "volume": "2"},
        {"channel": "trade", "trades": 2, "volume": "2"},
    ]


# ---- documentation ---------------------------------------------------------------------------------------------------


def test_every_table_and_view_says_what_it_is(emptied: ClickHouseStore) -> None:
    """Whoever opens the database with another tool has nothing but these comments."""
    without = (
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine != 'MaterializedView' "
        "AND comment = '' ORDER BY name"
    )
    assert [row["name"] for row in emptied.rows(without)] == []


def test_every_column_of_a_table_says_what_it_is(emptied: ClickHouseStore) -> None:
    """A number whose unit nobody knows is used wrongly."""
    tables = "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'"
    columns = (
        f"SELECT table, name FROM system.columns WHERE database = currentDatabase() AND table IN ({tables}) "
        "AND comment = ''"
    )
    assert emptied.rows(columns) == []
