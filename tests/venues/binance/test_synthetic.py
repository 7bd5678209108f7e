"""The synthetic exchange writes what the venue writes, oddities included, and the same bytes from the same seed."""

import gzip
import importlib.util
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from itertools import islice, pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tradecap.market.records import Trade
from tradecap.sample import open_sample
from tradecap.venues.binance.synthetic import SPOT, USDM, Instrument, aggregate, message, messages, trades, written

NOON_MS = 1_723_204_800_000
ROOT = Path(__file__).resolve().parents[3]
BEHIND_NS = 1_270_000_000


def make() -> ModuleType:
    """fixtures/make.py, which is a program and no package."""
    spec = importlib.util.spec_from_file_location("make", ROOT / "fixtures" / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def sample() -> list[tuple[int, dict[str, Any]]]:
    """The recording that comes with the package: receive time in ns, message."""
    with open_sample() as raw, gzip.open(raw) as lines:
        return [(int(recv), json.loads(payload)) for recv, payload in (line.split(b" ", 1) for line in lines)]


def series(symbol: str, channel: str = "trade") -> list[dict[str, Any]]:
    stream = f"{symbol.lower()}@{channel}"
    return [payload["data"] for _, payload in sample() if payload.get("stream") == stream]


def all_trades() -> list[dict[str, Any]]:
    return [trade for symbol in SPOT for trade in series(symbol)]


def same_millisecond(symbol: str) -> dict[int, list[dict[str, Any]]]:
    together = defaultdict(list)
    for trade in series(symbol):
        together[trade["T"]].append(trade)
    return together


def a_trade(**changes: Any) -> Trade:
    trade = Trade(
        "binance",
        "ETHUSDT",
        "trade",
        7,
        7,
        7,
        268_001_000_000,
        50_000_000,
        NOON_MS * 1000,
        NOON_MS * 1000 + 1000,
        False,
        True,
    )
    return msgspec.structs.replace(trade, **changes)


# ---- the same bytes again ----


def test_the_recordings_in_the_repository_are_made_from_their_seed() -> None:
    """A recording nobody can make again can't be changed on purpose; this also holds every Python to the same bytes."""
    module = make()
    for path, content in module.recordings():
        assert module.content_of(ROOT / path) == content, f"{path} differs: run `make fixtures`"


def test_making_the_recordings_again_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another zlib, or a time in the gzip header, would show as changed files in every checkout."""
    module = make()
    module.main(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert all(content[4:8] == bytes(4) for path, content in before.items() if path.suffix == ".gz")
    monkeypatch.setattr(module, "compressed", lambda _: b"other bytes")
    module.main(tmp_path)
    assert {path: path.read_bytes() for path in before} == before


def test_another_seed_makes_other_trades() -> None:
    """A seed that does nothing would make every simulation the same."""
    first, second = (list(trades(SPOT["ETHUSDT"], seed, NOON_MS, NOON_MS + 10_000)) for seed in (1, 2))
    assert [(t.price, t.qty) for t in first] != [(t.price, t.qty) for t in second]


def test_a_symbol_trades_the_same_whoever_else_is_recorded() -> None:
    """Leaving out a symbol to look closer would change the very trades one looks at."""

    def eth(*instruments: Instrument) -> list[bytes]:
        lines = messages(instruments, 5, NOON_MS, NOON_MS + 10_000)
        return [payload for _, payload in lines if b"ethusdt@trade" in payload]

    assert eth(SPOT["ETHUSDT"]) == eth(*SPOT.values()) != []


def test_a_long_day_is_made_as_it_is_read() -> None:
    """The simulator runs for days: a day kept in a list would fill its memory."""
    assert len(list(islice(messages(list(SPOT.values()), 1, NOON_MS, NOON_MS + 10**12, ["ETHUSDT"]), 100))) == 100


# ---- what the venue writes ----


def test_messages_are_written_as_the_venue_writes_them() -> None:
    """Another key order or number of decimals would leave the decoder's fast path untested."""
    pepe = a_trade(symbol="PEPEUSDT", price=741, qty=21 * 10**15, is_buyer_maker=True)
    usdm = a_trade(venue="binance-usdm", qty=60_000_000)
    insurance, na = (msgspec.structs.replace(usdm, order_book=False, price=price, qty=price) for price in (10**8, 0))
    agg = a_trade(channel="aggTrade", id=3, first_id=7, last_id=9)
    head, usdm_head = (
        b'{"e":"trade","E":1723204800001,"s":',
        b'{"e":"trade","E":1723204800001,"T":1723204800000,"s":"ETHUSDT","t":7,',
    )
    assert (
        message(pepe)
        == head + b'"PEPEUSDT","t":7,"p":"0.00000741","q":"210000000.00000000","T":1723204800000,"m":true,"M":true}'
    )
    assert message(usdm, (2, 3)) == usdm_head + b'"p":"2680.01","q":"0.600","X":"MARKET","m":false}'
    assert message(insurance, (2, 3)) == usdm_head + b'"p":"1.00","q":"1.000","X":"INSURANCE_FUND","m":false}'
    assert message(na, (2, 3)) == usdm_head + b'"p":"0","q":"0","X":"NA","m":false}'
    assert message(agg) == (
        b'{"e":"aggTrade","E":1723204800001,"s":"ETHUSDT","a":3,"p":"2680.01000000","q":"0.50000000","f":7,"l":9,'
        b'"T":1723204800000,"m":false,"M":true}'
    )
    assert message(msgspec.structs.replace(agg, venue="binance-usdm"), (2, 3)).endswith(b'"T":1723204800000,"m":false}')


@given(st.integers(0, 10**18), st.integers(1, 8))
@example(10**18 - 1, 8)
def test_amounts_are_written_exactly(units: int, decimals: int) -> None:
    """A price written through a float would be another price."""
    text = written(units, decimals).decode()
    assert re.fullmatch(rf"\d+\.\d{{{decimals}}}", text)
    assert Decimal(text) == Decimal(units - units % 10 ** (8 - decimals)) / 10**8


def test_every_line_of_the_sample_is_the_venues_writing() -> None:
    """The sample is what people see first; a line that isn't compact JSON in order of the venue's keys isn't a
    recording."""
    with open_sample() as raw, gzip.open(raw) as lines:
        for line in lines:
            payload = line.split(b" ", 1)[1].strip()
            assert json.dumps(json.loads(payload), separators=(",", ":")).encode() == payload
    orders = {tuple(trade) for trade in all_trades()}
    assert orders == {("e", "E", "s", "t", "p", "q", "T", "m", "M")}


@pytest.mark.parametrize("symbol", SPOT)
def test_ids_have_no_hole_and_times_never_go_back(symbol: str) -> None:
    """A hole in the sample would be a gap that verify reports on the very first run."""
    for before, after in pairwise(series(symbol)):
        assert after["t"] == before["t"] + 1
        assert after["T"] >= before["T"]
        assert after["E"] >= before["E"] >= before["T"]


@settings(max_examples=100, deadline=None)
@given(offset_ms=st.integers(0, 120_000), length_ms=st.integers(0, 200_000), seed=st.integers(0, 2**40))
def test_trades_keep_to_their_span_and_grid(offset_ms: int, length_ms: int, seed: int) -> None:
    """A start close to a minute's end must not let the big order go back in time; prices and quantities must be ones
    the venue allows."""
    start_ms = NOON_MS + offset_ms
    made = list(trades(SPOT["PEPEUSDT"], seed, start_ms, start_ms + length_ms))
    assert all(start_ms <= trade.trade_time_us // 1000 < start_ms + length_ms for trade in made)
    assert all(a.trade_time_us <= b.trade_time_us for a, b in pairwise(made))
    assert all(trade.price >= 1 and trade.qty >= 10**8 and trade.qty % 10**8 == 0 for trade in made)


# ---- the oddities (docs/binance.md §9) ----


def test_the_sample_is_small_and_covers_five_minutes_of_three_symbols() -> None:
    """It ships in the package, and candles need whole minutes to look at."""
    assert (ROOT / "src/tradecap/sample/sample.ndjson.gz").stat().st_size <= 300_000
    assert {symbol: len(series(symbol)) for symbol in SPOT} == {"BTCUSDT": 3345, "ETHUSDT": 2990, "PEPEUSDT": 1587}
    for symbol in SPOT:
        minutes = Counter((trade["T"] - NOON_MS) // 60_000 for trade in series(symbol))
        assert sorted(minutes) == [-1, 0, 1, 2, 3, 4, 5]
        assert min(minutes[minute] for minute in range(5)) > 200


def test_a_burst_of_one_order_fills_one_millisecond_over_many_levels() -> None:
    """Ordering by time alone is wrong exactly here: 219 trades with one T, one order of 500 ETH over 110 prices (item
    1)."""
    burst = max(same_millisecond("ETHUSDT").values(), key=len)
    assert len(burst) == 219
    assert len({trade["p"] for trade in burst}) == 110
    assert sum(Decimal(trade["q"]) for trade in burst) == 500
    assert len({trade["m"] for trade in burst}) == 1


def test_most_trades_share_their_millisecond() -> None:
    """With one trade a millisecond an order by T would look right (item 1: about 80 %)."""
    for symbol in SPOT:
        together = same_millisecond(symbol).values()
        assert 0.75 < sum(len(each) for each in together if len(each) > 1) / len(series(symbol)) < 0.87


def test_there_are_silences_and_crowded_seconds() -> None:
    """A feed that is silent for seconds isn't stale (item 2: up to 3.8 s), and one that isn't brings hundreds at
    once."""
    for symbol in SPOT:
        assert max(after["T"] - before["T"] for before, after in pairwise(series(symbol))) == 3_800
    assert max(Counter(trade["T"] // 1000 for trade in series("ETHUSDT")).values()) > 200


def test_events_are_late_in_bursts_and_cross_a_minutes_end() -> None:
    """Candles by E agree with candles by T until the day a burst straddles a minute (item 3: 0-1 ms, 100-220 ms in
    bursts)."""
    late = [trade["E"] - trade["T"] for trade in all_trades()]
    assert set(late) - {0, 1} <= set(range(2, 221))
    assert sum(each > 1 for each in late) < 0.05 * len(late)
    assert sum(100 <= each <= 220 for each in late) >= 300
    assert max(late) > 210
    assert sum(trade["E"] // 60_000 > trade["T"] // 60_000 for trade in all_trades()) >= 300


def test_both_sides_trade_inside_one_millisecond() -> None:
    """Only the id orders them (item 4)."""
    for symbol in SPOT:
        assert sum(len({trade["m"] for trade in each}) == 2 for each in same_millisecond(symbol).values()) >= 5


def test_the_receive_clock_is_behind_and_messages_come_in_crowds() -> None:
    """Latencies are negative here: whoever orders or buckets by receive time gets caught (item 5), and so does a drop
    at 100 in a ms (item 1)."""
    behind = [trade["data"]["E"] * 1_000_000 - recv for recv, trade in sample() if "E" in trade.get("data", {})]
    assert all(1_260_000_000 < each <= BEHIND_NS for each in behind)
    received = [recv for recv, _ in sample()]
    assert received == sorted(received)
    assert max(Counter(recv // 1_000_000 for recv in received).values()) >= 80


def test_there_is_dust_and_there_are_large_trades() -> None:
    """Exact arithmetic shows at both ends: one lot, hundreds of millions of PEPE at 0.000007 (item 6)."""
    assert sum(trade["q"] == "0.00010000" for trade in series("ETHUSDT")) >= 50
    assert sum(trade["q"] == "0.00001000" for trade in series("BTCUSDT")) >= 50
    assert sum(trade["q"] == "1.00000000" for trade in series("PEPEUSDT")) >= 10
    assert max(Decimal(trade["q"]) for trade in series("PEPEUSDT")) > 5 * 10**8
    assert all(re.fullmatch(r"0\.000007\d\d", trade["p"]) for trade in series("PEPEUSDT"))


def test_other_streams_come_between_the_trades() -> None:
    """A replay must count these by kind and log none of them (item 7: bookTicker has no name, a snapshot no
    wrapper)."""
    kinds = Counter(
        payload["stream"].partition("@")[2] if "stream" in payload else "snapshot" for _, payload in sample()
    )
    assert kinds == {"trade": 7922, "aggTrade": 1579, "bookTicker": 892, "depth@100ms": 97, "snapshot": 3}
    quotes = [payload["data"] for _, payload in sample() if "bookTicker" in payload.get("stream", "")]
    assert all(list(quote) == ["u", "s", "b", "B", "a", "A"] for quote in quotes)
    depth = [payload["data"] for _, payload in sample() if payload.get("stream") == "ethusdt@depth@100ms"]
    assert all(after["U"] == before["u"] + 1 for before, after in pairwise(depth))
    events = [payload["data"]["E"] for _, payload in sample() if "E" in payload.get("data", {})]
    assert any(after < before for before, after in pairwise(events))


# ---- aggTrades and USD-M ----


def test_aggtrades_hold_every_trade_once() -> None:
    """An aggregate that leaves a trade out, or splits by the wrong rule, makes other volumes than the trades do."""
    aggregates, fills = series("ETHUSDT", "aggTrade"), series("ETHUSDT")
    held = [number for each in aggregates for number in range(each["f"], each["l"] + 1)]
    assert held == [fill["t"] for fill in fills]
    assert sum(Decimal(each["q"]) for each in aggregates) == sum(Decimal(fill["q"]) for fill in fills)
    assert all(after["a"] == before["a"] + 1 for before, after in pairwise(aggregates))
    known = {fill["t"]: (fill["p"], fill["T"], fill["m"]) for fill in fills}
    assert all(
        known[number] == (each["p"], each["T"], each["m"])
        for each in aggregates
        for number in range(each["f"], each["l"] + 1)
    )
    assert all((b["p"], b["T"], b["m"]) != (a["p"], a["T"], a["m"]) for a, b in pairwise(aggregates))


def test_trades_outside_the_book_are_not_aggregated() -> None:
    """On USD-M they have ids and no aggregate: f and l jump there."""
    fills = [
        a_trade(id=1, first_id=1, last_id=1),
        a_trade(id=2, order_book=False),
        a_trade(id=3, first_id=3, last_id=3),
    ]
    assert [(each.id, each.first_id, each.last_id) for each in aggregate(fills, 40)] == [(40, 1, 1), (41, 3, 3)]


def usdm_day() -> Iterator[Trade]:
    return trades(USDM["BTCUSDT"], 1, NOON_MS, NOON_MS + 190_000)


def test_usdm_has_bursts_off_book_trades_and_prompt_events() -> None:
    """A USD-M simulation without NA and insurance trades, or late as spot, would be spot by another name."""
    made = list(usdm_day())
    assert {(trade.price > 0, trade.qty > 0) for trade in made if not trade.order_book} == {
        (True, True),
        (False, False),
    }
    assert all(trade.price > 0 and trade.qty > 0 for trade in made if trade.order_book)
    assert max(Counter(trade.trade_time_us for trade in made).values()) == 348
    assert all(trade.event_time_us - trade.trade_time_us <= 2000 for trade in made)
    assert [trade.id for trade in made] == list(range(made[0].id, made[0].id + len(made)))


def test_usdm_writes_its_other_streams_its_own_way() -> None:
    """There bookTicker has a name and times, and depth says which update came before (docs/binance.md §7)."""
    found = {payload["stream"]: list(payload["data"]) for payload in usdm_messages() if "stream" in payload}
    assert found == {
        "btcusdt@trade": ["e", "E", "T", "s", "t", "p", "q", "X", "m"],
        "btcusdt@aggTrade": ["e", "E", "s", "a", "p", "q", "f", "l", "T", "m"],
        "btcusdt@bookTicker": ["e", "u", "s", "b", "B", "a", "A", "T", "E"],
        "btcusdt@depth@100ms": ["e", "E", "T", "s", "U", "u", "pu", "b", "a"],
    }


def usdm_messages() -> list[dict[str, Any]]:
    return [
        json.loads(payload) for _, payload in messages(list(USDM.values()), 1, NOON_MS, NOON_MS + 10_000, ["BTCUSDT"])
    ]
