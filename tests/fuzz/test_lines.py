"""Whole lines, envelope included, as a folder and as a topic hold them, and messages without one in a topic: Python and SQL read each alike.

Where the readings differ, `verify` fails on a store that is right. `make fuzz` runs it with a million lines: FUZZ_LINES=1000000.
"""

import os
import random
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.cases import CASES
from tests.mutations import mutated_line
from tests.store.builders import LOG
from tradecap.flows.records import raw_records, read_record
from tradecap.market.batch import Batch, Lines, Position, Values
from tradecap.market.records import RunWriter, frame, series_head
from tradecap.proof.tally import ledger_row
from tradecap.store.clickhouse.store import ClickHouseStore

LINES = int(os.environ.get("FUZZ_LINES", "5000"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
KINDS = ("folder", "topic", "messages")
PORTION = 5_000
"""Few enough for the fast way in, however many of them are odd."""
Seen = tuple[bytes, str, int, str, int, int]
"""A line with its identity, its class, id and content."""
SEEN = "CREATE MATERIALIZED VIEW mv_seen ENGINE = Memory AS SELECT raw, run, seq, outcome, trade_id, content FROM parsed"


def lines(rng: random.Random, count: int) -> Iterator[bytes]:
    """Records of every case, some of them spoilt anywhere."""
    run = RunWriter("01930000-0000-7000-8000-000000000000", 0)
    for _ in range(count):
        case = rng.choice(CASES)
        via = rng.choice(("ws", "rest", "archive", "inject:dupes"))
        recv = rng.choice((None, 1723161300123456789, 0, 7))
        head = series_head(case.venue, rng.choice(("BTCUSDT", "", "ETHUSDT")), rng.choice(("trade", "aggTrade", "")), via)
        line = run.record(recv, head, frame(case.payload[:3000])).removesuffix(b"\n")
        yield mutated_line(rng, line, rng.randint(0, 2))


def messages(rng: random.Random, count: int) -> Iterator[bytes]:
    """What other programs put into a topic: payloads alone, some of them spoilt anywhere."""
    for _ in range(count):
        yield mutated_line(rng, rng.choice(CASES).payload[:3000], rng.randint(0, 2))


def batches(rng: random.Random, count: int, kind: str) -> Iterator[Batch]:
    """The lines as a folder or a topic hands them out; messages as a topic does, some of one whose profile names a venue."""
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
    """What each line is: its identity, its class, and of a trade id and content."""
    found: Counter[Seen] = Counter()
    for raw, offset in raw_records(batch, LOG):
        envelope, reading = read_record(raw, LOG, batch.end.partition, offset)
        row = ledger_row(envelope, reading, raw)
        found[(raw, envelope.run, envelope.seq, row.outcome, row.trade_id, row.content)] += 1
    return found


def by_sql(store: ClickHouseStore) -> Counter[Seen]:
    """The same, of what the store has parsed since it was last asked."""
    rows = store.rows("SELECT hex(raw) AS raw, toString(run) AS run, seq, outcome, trade_id, content FROM mv_seen")
    store.run("TRUNCATE TABLE mv_seen")
    return Counter((bytes.fromhex(row["raw"]), row["run"], row["seq"], row["outcome"], row["trade_id"], row["content"]) for row in rows)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", ["1", "0"])
def test_both_readings_give_each_line_the_same_identity_and_class(
    store: ClickHouseStore, monkeypatch: pytest.MonkeyPatch, kind: str, way: str
) -> None:
    """A line that only one side takes for a trade, or files under another record, makes the proof fail without a reason."""
    monkeypatch.setenv("TRADECAP_PLAIN", way)
    rng = random.Random(f"{SEED} {kind}")
    store.run(SEEN)
    for batch in batches(rng, LINES, kind):
        store.add(LOG, batch)
        expected, actual = by_python(batch), by_sql(store)
        different = [*(("python", each) for each in expected - actual), *(("sql", each) for each in actual - expected)]
        assert not different, f"{len(different)} of {batch.records}: {sorted(different, key=lambda each: (len(each[1][0]), each[1][0]))[:8]}"


def test_nesting_is_cut_off_at_the_same_depth(store: ClickHouseStore) -> None:
    """Neither reading may follow brackets without end, and both must stop at the same one."""
    store.run(SEEN)
    run = RunWriter("01930000-0000-7000-8000-000000000000", 0)
    head = series_head("binance", "BTCUSDT", "trade", "ws")
    payloads = [b'{"e":"kline","x":' + b"[" * deep + b"[]" * broad + b"]" * deep + b"}" for deep in (97, 98, 99, 100, 101) for broad in (0, 1)]
    batch = Batch(
        Lines(b"".join(run.record(None, head, b'"data":' + payload + b"}\n") for payload in payloads)), len(payloads), Position(0, "000001:7", 7)
    )
    store.add(LOG, batch)
    expected = by_python(batch)
    assert {row[3] for row in expected} == {"ignored", "quarantined"}
    assert by_sql(store) == expected
