"""The account at the end of a capture that had a hard time: the log in itself, the store against the log, and against
what the exchange traded."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from tradecap.flows.load import load
from tradecap.flows.records import Line, read_lines
from tradecap.flows.verify.verify import Wanted, verify
from tradecap.log.api import Log
from tradecap.market.records import Envelope, Trade, content
from tradecap.market.trade_ids import TradeIds
from tradecap.store.clickhouse.store import ClickHouseStore


def _once(log: Log) -> Iterator[Line]:
    """The records of a log. In a topic one may be there twice: the first counts."""
    seen: set[tuple[str, int]] = set()
    for line in read_lines(log):
        identity = (line[0].run, line[0].seq)
        if log.has_one_writer or identity not in seen:
            seen.add(identity)
            yield line


@contextmanager
def loaded_and_verified(log: Log, folder: Path) -> Iterator[ClickHouseStore]:
    """A new store with all of the log, of which `verify` finds nothing wrong."""
    with ClickHouseStore.embedded(folder, f"chdb:{folder}", create=True) as store:
        store.create()
        load(log, store, stop=lambda: False, progress=lambda _: None)
        verdict = verify(log, store, Wanted(), progress=lambda _: None)
        assert [check for check in verdict.checks if not check.ok] == []
        yield store


def the_store_has_what_was_traded(store: ClickHouseStore, traded: list[Trade]) -> None:
    """Id by id, and no digit otherwise."""
    stored = store.rows(
        "SELECT trade_id, reinterpretAsInt64(price) AS price, reinterpretAsInt128(qty) AS qty, "
        "toUnixTimestamp64Milli(trade_time) AS ms, "
        "is_buyer_maker FROM v_trades WHERE symbol = {symbol:String} ORDER BY trade_id",
        symbol=traded[0].symbol,
    )
    assert 2 * len(stored) > len(traded), "most of the time nothing was captured"
    ids = [int(str(row["trade_id"])) for row in stored]
    wanted = [trade for trade in traded if ids[0] <= trade.id <= ids[-1]]
    assert ids == [trade.id for trade in wanted]
    exact = [(row["price"], row["qty"], row["ms"], row["is_buyer_maker"]) for row in stored]
    assert exact == [(trade.price, trade.qty, trade.trade_time_us // 1000, trade.is_buyer_maker) for trade in wanted]


def nothing_was_repaired_silently(log: Log, kills: int) -> None:
    """In each run, an id that didn't come by the stream is in a gap_found, and no id is logged twice with the same
    content."""
    found: dict[tuple[str, str], TradeIds] = {}
    streamed: dict[tuple[str, str], TradeIds] = {}
    fetched: dict[tuple[str, str], TradeIds] = {}
    logged: set[tuple[str, str, int, bytes]] = set()
    events: list[str] = []
    for envelope, reading, _ in _once(log):
        if envelope.event:
            events.append(envelope.event)
            if envelope.event == "gap_found":
                gap = detail(envelope)
                found.setdefault((envelope.run, str(gap["symbol"])), TradeIds()).add_range(
                    int(str(gap["first"])), int(str(gap["last"]))
                )
        elif type(reading) is Trade:
            ways = streamed if envelope.via == "ws" else fetched
            ways.setdefault((envelope.run, reading.symbol), TradeIds()).add(reading.id)
            one = (envelope.run, reading.symbol, reading.id, content(reading))
            assert one not in logged, f"{reading.symbol} {reading.id} was logged twice in run {envelope.run}"
            logged.add(one)
    for series, ids in fetched.items():
        unseen = [
            number
            for first, last in ids
            for number in range(first, last + 1)
            if number not in streamed.get(series, TradeIds())
        ]
        assert all(number in found[series] for number in unseen), (
            f"run {series[0]} fetched ids of {series[1]} that no gap_found names"
        )
    assert events.count("recovered") <= kills
    assert events.count("started") == events.count("ended") + events.count("recovered")


def no_connection_is_forgotten(log: Log) -> None:
    """A connection that was reported up is reported ended, or still has its place: at most two have one, while the new
    one takes over."""
    up: dict[tuple[str, object], set[object]] = {}
    for envelope, _, _ in _once(log):
        if envelope.event in ("connected", "disconnected", "handed_over"):
            answer = detail(envelope)
            there = up.setdefault((envelope.run, answer["place"]), set())
            if envelope.event == "connected":
                there.add(answer["connection"])
            else:
                there.discard(answer["connection"])
            assert len(there) <= 2, f"run {envelope.run} never says what became of some of the connections {there}"


def detail(envelope: Envelope) -> dict[str, object]:
    """What an event says."""
    return msgspec.json.decode(envelope.detail, type=dict[str, object])
