"""REST, by the documentation."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulate.builders import NOON_US, some_entries
from tradecap.simulate.aggregates import with_aggregates
from tradecap.simulate.exchange_info import listing
from tradecap.simulate.limits import AddressLimits, Rules
from tradecap.simulate.market_data import Market
from tradecap.simulate.rest import HttpAnswer, RestEndpoints

NOON_MS = NOON_US // 1000


def a_rest(count: int = 2_500, rules: Rules | None = None) -> RestEndpoints:
    """Trades 1 ... count of BTCUSDT, a millisecond apart, each with its aggTrade."""
    market, rules = Market(["BTCUSDT"]), rules or Rules(weight_per_minute=None)
    entries = some_entries(count)
    for entry in with_aggregates(entries, lambda _: True):
        market.add(entry)
    known = {"BTCUSDT": listing("BTCUSDT", [entry.trade for entry in entries if entry.trade])}
    return RestEndpoints(market, lambda: NOON_US + count * 1000, lambda: known, rules, AddressLimits(rules))


def ask(rest: RestEndpoints, path: str, method: str = "GET", **headers: str) -> HttpAnswer:
    return rest.answer(
        method, f"/api/v3/{path}", {name.replace("_", "-"): value for name, value in headers.items()}, "me", 0.0
    )


def body(rest: RestEndpoints, path: str, **headers: str) -> Any:
    answer = ask(rest, path, **headers)
    assert answer.status == 200, answer
    return json.loads(answer.body)


REST = a_rest()


def test_the_simple_ones() -> None:
    """A client's first call would fail."""
    assert body(REST, "ping") == {}
    assert body(REST, "time") == {"serverTime": NOON_MS + 2_500}
    assert body(REST, "time", x_mbx_time_unit="MICROSECOND") == {"serverTime": NOON_US + 2_500_000}


def test_rows_have_the_venues_members_in_its_order() -> None:
    """A client that reads members the venue documents would find others."""
    assert body(REST, "trades?symbol=BTCUSDT&limit=1") == [
        {
            "id": 2500,
            "price": "2599.00000000",
            "qty": "1.00000000",
            "quoteQty": "2599.00000000",
            "time": NOON_MS + 2499,
            "isBuyerMaker": False,
            "isBestMatch": True,
        }
    ]
    (agg,) = body(REST, "aggTrades?symbol=BTCUSDT&limit=1")
    assert list(agg) == ["a", "p", "q", "f", "l", "T", "m", "M"]
    (kline,) = body(REST, "klines?symbol=BTCUSDT&interval=1m&limit=1")
    assert kline[:5] == [NOON_MS, "100.00000000", "2599.00000000", "100.00000000", "2599.00000000"]
    assert (kline[6], kline[8], kline[11]) == (NOON_MS + 59_999, 2500, "0")


@pytest.mark.parametrize(
    ("path", "ids"),
    [
        ("trades?symbol=BTCUSDT", (2001, 2500)),
        ("trades?symbol=BTCUSDT&limit=5000", (1501, 2500)),
        ("historicalTrades?symbol=BTCUSDT&limit=3", (2498, 2500)),
        ("historicalTrades?symbol=BTCUSDT&fromId=10&limit=3", (10, 12)),
        ("historicalTrades?symbol=BTCUSDT&fromId=0&limit=2", (1, 2)),
        ("historicalTrades?symbol=BTCUSDT&fromId=2499", (2499, 2500)),
    ],
)
def test_which_trades(path: str, ids: tuple[int, int]) -> None:
    """A hole would be filled with the wrong trades."""
    rows = body(REST, path)
    assert (rows[0]["id"], rows[-1]["id"]) == ids
    assert [row["id"] for row in rows] == list(range(ids[0], ids[1] + 1))


@pytest.mark.parametrize(
    ("query", "first_ids"),
    [
        ("limit=2", (2499, 2500)),
        (f"startTime={NOON_MS + 10}&limit=2", (11, 12)),
        (f"endTime={NOON_MS + 10}&limit=2", (10, 11)),
        (f"startTime={NOON_MS + 10}&endTime={NOON_MS + 13}", (11, 14)),
        (f"startTime={NOON_US + 10_000}&endTime={NOON_US + 13_000}", (11, 14)),
    ],
)
def test_which_aggregates(query: str, first_ids: tuple[int, int]) -> None:
    """A client that pages by time would lose or repeat an edge."""
    rows = body(REST, f"aggTrades?symbol=BTCUSDT&{query}")
    assert (rows[0]["f"], rows[-1]["f"]) == first_ids


@settings(deadline=None)
@given(st.integers(1, 400), st.integers(1, 1_000))
def test_paging_by_id_gives_all_and_nothing_twice(first: int, limit: int) -> None:
    """What a client missed on the stream, REST would not give exactly."""
    found: list[int] = []
    at = first
    while rows := body(REST, f"historicalTrades?symbol=BTCUSDT&fromId={at}&limit={limit + 100}"):
        found += [row["id"] for row in rows]
        at = found[-1] + 1
    assert found == list(range(first, 2_501))


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("trades", 400, -1102),
        ("trades?symbol=", 400, -1105),
        ("trades?symbol=btcusdt", 400, -1100),
        ("trades?symbol=BTC/USDT", 400, -1100),
        ("trades?symbol=NOPE", 400, -1121),
        ("trades?symbol=BTCUSDT&symbol=BTCUSDT", 400, -1101),
        ("trades?symbol=BTCUSDT&x=1", 400, -1104),
        ("ping?x=1", 400, -1101),
        ("trades?symbol=BTCUSDT&limit=ten", 400, -1100),
        ("trades?symbol=BTCUSDT&limit=0", 400, -1130),
        ("trades?symbol=BTCUSDT&limit=-1", 400, -1130),
        (f"historicalTrades?symbol=BTCUSDT&fromId={2**63}", 400, -1130),
        ("aggTrades?symbol=BTCUSDT&fromId=1&startTime=1", 400, -1128),
        ("klines?symbol=BTCUSDT", 400, -1102),
        ("klines?symbol=BTCUSDT&interval=7m", 400, -1120),
        ("klines?symbol=BTCUSDT&interval=1m&timeZone=99", 400, -1130),
        ("exchangeInfo?symbol=NOPE", 400, -1121),
        ('exchangeInfo?symbols=["NOPE"]', 400, -1121),
        ("exchangeInfo?symbols=BTCUSDT", 400, -1100),
        ('exchangeInfo?symbol=BTCUSDT&symbols=["BTCUSDT"]', 400, -1128),
    ],
)
def test_errors_are_the_venues(path: str, status: int, code: int) -> None:
    """A client that looks at codes would take the wrong way."""
    answer = ask(REST, path)
    assert (answer.status, json.loads(answer.body)["code"]) == (status, code)
    assert isinstance(json.loads(answer.body)["msg"], str)


def test_a_unit_of_time_that_isnt() -> None:
    """A client that asks for nanoseconds would get milliseconds."""
    assert json.loads(ask(REST, "time", x_mbx_time_unit="NANOSECOND").body)["code"] == -1194


def test_all_times_follow_the_unit() -> None:
    """One forgotten member would be off by a factor of a thousand."""
    micro = {"x_mbx_time_unit": "MICROSECOND"}
    assert body(REST, "trades?symbol=BTCUSDT&limit=1", **micro)[0]["time"] == NOON_US + 2_499_000
    assert body(REST, "aggTrades?symbol=BTCUSDT&limit=1", **micro)[0]["T"] == NOON_US + 2_499_000
    kline = body(REST, "klines?symbol=BTCUSDT&interval=1m", **micro)[0]
    assert (kline[0], kline[6]) == (NOON_US, NOON_US + 59_999_999)


def test_weights_are_reported_and_limits_kept() -> None:
    """A client that watches its weight would be banned at the venue."""
    rest = a_rest(10, Rules(weight_per_minute=60))
    first = ask(rest, "trades?symbol=BTCUSDT")
    assert ("X-MBX-USED-WEIGHT-1M", "25") in first.headers
    assert ("X-MBX-USED-WEIGHT-1M", "29") in ask(rest, "aggTrades?symbol=BTCUSDT").headers
    assert ("X-MBX-USED-WEIGHT-1M", "54") in ask(rest, "historicalTrades?symbol=BTCUSDT").headers
    refused = ask(rest, "trades?symbol=BTCUSDT")
    assert refused.status == 429
    assert dict(refused.headers)["Retry-After"] == "60"
    assert json.loads(refused.body)["code"] == -1003


def test_exchange_info_names_what_is_served_and_its_filters() -> None:
    """A client couldn't load its markets."""
    info = body(REST, "exchangeInfo")
    (symbol,) = info["symbols"]
    assert (symbol["symbol"], symbol["baseAsset"], symbol["quoteAsset"], symbol["status"]) == (
        "BTCUSDT",
        "BTC",
        "USDT",
        "TRADING",
    )
    assert {each["filterType"] for each in symbol["filters"]} >= {"PRICE_FILTER", "LOT_SIZE", "NOTIONAL"}
    assert {each["rateLimitType"]: each["limit"] for each in info["rateLimits"]}["REQUEST_WEIGHT"] == 6000
    assert body(REST, 'exchangeInfo?symbols=["BTCUSDT"]')["symbols"] == info["symbols"]
    assert body(REST, "exchangeInfo?permissions=SPOT")["symbols"] == info["symbols"]
    assert body(REST, "exchangeInfo?permissions=MARGIN")["symbols"] == []


def test_other_methods_and_paths() -> None:
    """A client that does something else would get data instead of an answer it can tell."""
    assert ask(REST, "trades?symbol=BTCUSDT", method="POST").status == 405
    assert ask(REST, "order").status == 404
    assert REST.answer("GET", "/", {}, "me", 0.0).status == 404
