"""Whole lines, envelope included, as a folder and as a topic hold them, and messages without one in a topic: Python and
SQL read each alike.

Where the readings differ, `verify` fails on a store that is right. `make fuzz` runs it with a million lines:
FUZZ_LINES=1000000.
"""

import os
import random
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from tests.cases import CASES
from tests.mutations import mutated_line
from tests.store.builders import LOG
from tradecap.flows.records import raw_records, read_record
from tradecap.market.batch import Batch, Lines, Position, Values
from tradecap.market.records import Envelope, RunWriter, Trade, frame, series_head
from tradecap.proof.tally import ledger_row
from tradecap.store.api import TopicFeed
from tradecap.store.clickhouse.feeding import native
from tradecap.store.clickhouse.store import ClickHouseStore
from tradecap.store.clickhouse.topics import feed_statements

LINES = int(os.environ.get("FUZZ_LINES", "5000"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
KINDS = ("folder", "topic", "messages")
PORTION = 5_000
"""Few enough for the fast way in, however many of them are odd."""
Seen = tuple[bytes, str, int, str, int, tuple[object, ...]]
"""A line (of a trade: nothing) with its identity, its class, its content and, of a trade, everything that is stored of
it."""
SEEN = """
CREATE MATERIALIZED VIEW mv_seen ENGINE = Memory AS
SELECT
    hex(if(outcome = 'trade', '', raw)) AS line, toString(run) AS run, seq, outcome, content, if(outcome = 'trade', [toString(trade_id),
        toString(first_id), toString(last_id), venue, symbol, channel, toString(toUnixTimestamp64Micro(trade_time)),
        toString(toUnixTimestamp64Micro(event_time)), toString(recv_ns), toString(price), toString(qty), toString(is_buyer_maker),
        toString(order_book), fault], []) AS stored
FROM parsed
WHERE outcome != ''
"""


def lines(rng: random.Random, count: int) -> Iterator[bytes]:
    """Records of every case, some of them spoilt anywhere."""
    run = RunWriter("01930000-0000-7000-8000-000000000000", 0)
    for _ in range(count):
        case = rng.choice(CASES)
        via = rng.choice(("ws", "rest", "archive", "inject:dupes"))
        recv = rng.choice((None, 1723161300123456789, 0, 7))
        head = series_head(
            case.venue, rng.choice(("BTCUSDT", "", "ETHUSDT")), rng.choice(("trade", "aggTrade", "")), via
        )
        head += rng.choice((b"", b"", b'"src":"day.f1:2",', b'"src":"a:b/1",', b'"src":"\\"7",', b'"src":"",'))
        line = run.record(recv, head, frame(case.payload[:3000])).removesuffix(b"\n")
        yield mutated_line(rng, line, rng.choice((0, 0, 1, 1, 2)))


def messages(rng: random.Random, count: int) -> Iterator[bytes]:
    """What other programs put into a topic: payloads alone, some of them spoilt anywhere."""
    for _ in range(count):
        yield mutated_line(rng, rng.choice(CASES).payload[:3000], rng.randint(0, 2))


def batches(rng: random.Random, count: int, kind: str) -> Iterator[Batch]:
    """The lines as a folder or a topic hands them out; messages as a topic does, some of one whose profile names a
    venue."""
    for first in range(0, count, PORTION):
        made = list((messages if kind == "messages" else lines)(rng, min(PORTION, count - first)))
        if kind == "folder":
            whole = [line for line in made if b"\n" not in line]
            yield Batch(Lines(b"".join(line + b"\n" for line in whole)), len(whole), Position(0, "000001:7", 7))
        else:
            venue = rng.choice(("", "binance", "binance-usdm")) if kind == "messages" else ""
            values = Values(made, range(first, first + len(made)), venue)
            yield Batch(values, sum(map(bool, made)), Position(3, str(first + len(made)), first + len(made)))


def by_python(batch: Batch) -> Counter[Seen]:
    """What each line is."""
    found: Counter[Seen] = Counter()
    for raw, offset in raw_records(batch, LOG):
        envelope, reading = read_record(raw, LOG, batch.end.partition, offset)
        row = ledger_row(envelope, reading, raw)
        line, stored = (b"", _stored(envelope, reading)) if isinstance(reading, Trade) else (raw, ())
        found[(line, envelope.run, envelope.seq, row.outcome, row.content, stored)] += 1
    return found


def _stored(envelope: Envelope, trade: Trade) -> tuple[str, ...]:
    numbers = trade.id, trade.first_id, trade.last_id
    times = trade.trade_time_us, trade.event_time_us, envelope.recv or 0
    amounts = (f"{Decimal(units).scaleb(-8).normalize():f}" for units in (trade.price, trade.qty))
    flags = str(trade.is_buyer_maker).lower(), str(trade.order_book).lower()
    return (
        *map(str, numbers),
        trade.venue,
        trade.symbol,
        trade.channel,
        *map(str, times),
        *amounts,
        *flags,
        envelope.fault,
    )


def by_sql(store: ClickHouseStore) -> Counter[Seen]:
    """The same, of what the store has parsed since it was last asked."""
    rows = store.rows("SELECT * FROM mv_seen")
    store.run("TRUNCATE TABLE mv_seen")
    return Counter(
        (bytes.fromhex(row["line"]), row["run"], row["seq"], row["outcome"], row["content"], tuple(row["stored"]))
        for row in rows
    )


def differing(expected: Counter[Seen], actual: Counter[Seen]) -> str:
    """Some of the lines that only one side reads so."""
    different = [*(("python", each) for each in expected - actual), *(("sql", each) for each in actual - expected)]
    return (
        (f"{len(different)}: {sorted(different, key=lambda each: (len(each[1][0]), str(each[1])))[:8]}")
        if different
        else ""
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", ["1", "0"])
def test_both_readings_give_each_line_the_same_identity_and_class(
    store: ClickHouseStore, monkeypatch: pytest.MonkeyPatch, kind: str, way: str
) -> None:
    """A line that only one side takes for a trade, or files under another record, makes the proof fail without a
    reason."""
    monkeypatch.setenv("TRADECAP_PLAIN", way)
    rng = random.Random(f"{SEED} {kind}")
    store.run(SEEN)
    for batch in batches(rng, LINES, kind):
        store.add(LOG, batch)
        assert not differing(by_python(batch), by_sql(store))


ENGINE = "CREATE TABLE kafka (raw String, _partition UInt64, _offset UInt64) ENGINE = Null"
FROM_FILE = """
INSERT INTO kafka SELECT raw, {part:UInt64}, pos FROM file({file:String}, 'Native', 'raw String, pos UInt64') WHERE notEmpty(raw)
"""


@pytest.mark.parametrize("kind", ["topic", "messages"])
def test_the_engine_reads_each_value_as_the_loader_does(store: ClickHouseStore, tmp_path: Path, kind: str) -> None:
    """A store would depend on what filled it. The engine's view is on a table with its columns: what Kafka hands over
    is tested by tests/store."""
    rng = random.Random(f"{SEED} engine {kind}")
    store.run(SEEN)
    store.run(ENGINE)
    for venue in ("",) if kind == "topic" else ("", "binance", "binance-usdm"):
        _, view = feed_statements(TopicFeed(LOG, "t", "localhost:9092", venue=venue), LOG, "market", is_embedded=False)
        store.run(view.replace(f"kafka_{LOG.replace('-', '')}", "kafka"))
        for batch in batches(rng, min(LINES, 100_000) // 3, kind):
            content = batch.content
            assert isinstance(content, Values)
            batch = batch._replace(content=Values(content.values, content.offsets, venue))
            (tmp_path / "values").write_bytes(native(content))
            store.run(FROM_FILE, file=str(tmp_path / "values"), part=batch.end.partition)
            by_engine = by_sql(store)
            store.add(LOG, batch)
            assert not differing(by_sql(store), by_engine)
            assert not differing(by_python(batch), by_engine)
        store.run("DROP TABLE mv_kafka")


def test_nesting_is_cut_off_at_the_same_depth(store: ClickHouseStore) -> None:
    """Neither reading may follow brackets without end, and both must stop at the same one."""
    store.run(SEEN)
    run = RunWriter("01930000-0000-7000-8000-000000000000", 0)
    head = series_head("binance", "BTCUSDT", "trade", "ws")
    payloads = [
        b'{"e":"kline","x":' + b"[" * deep + b"[]" * broad + b"]" * deep + b"}"
        for deep in (97, 98, 99, 100, 101)
        for broad in (0, 1)
    ]
    batch = Batch(
        Lines(b"".join(run.record(None, head, b'"data":' + payload + b"}\n") for payload in payloads)),
        len(payloads),
        Position(0, "000001:7", 7),
    )
    store.add(LOG, batch)
    expected = by_python(batch)
    assert {row[3] for row in expected} == {"ignored", "quarantined"}
    assert not differing(expected, by_sql(store))
