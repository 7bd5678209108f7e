"""Whole lines, envelope included, as a folder and as a topic hold them: Python and SQL read each alike.

Where the readings differ, `verify` fails on a store that is right. `make fuzz` runs it with a million lines: FUZZ_LINES=1000000.
"""

import os
import random
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

LINES = int(os.environ.get("FUZZ_LINES", "6000"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
PORTION = 20_000
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


def batches(rng: random.Random, count: int, kind: str) -> Iterator[Batch]:
    """The lines as a folder hands them out, or as a topic does."""
    for first in range(0, count, PORTION):
        made = list(lines(rng, min(PORTION, count - first)))
        if kind == "folder":
            whole = [line for line in made if b"\n" not in line]
            yield Batch(Lines(b"".join(line + b"\n" for line in whole)), len(whole), Position(0, "000001:7", 7))
        else:
            yield Batch(Values(made, range(first, first + len(made))), sum(map(bool, made)), Position(3, str(first + len(made)), first + len(made)))


def by_python(batch: Batch) -> dict[bytes, tuple[object, ...]]:
    """What each line is: its identity, its class, and of a trade id and content."""
    found: dict[bytes, tuple[object, ...]] = {}
    for raw, offset in raw_records(batch, LOG):
        envelope, reading = read_record(raw, LOG, batch.end.partition, offset)
        row = ledger_row(envelope, reading, raw)
        found[raw] = (envelope.run, envelope.seq, row.outcome, row.trade_id, row.content)
    return found


@pytest.mark.parametrize("kind", ["folder", "topic"])
def test_both_readings_give_each_line_the_same_identity_and_class(store: ClickHouseStore, kind: str) -> None:
    """A line that only one side takes for a trade, or files under another record, makes the proof fail without a reason."""
    rng = random.Random(f"{SEED} {kind}")
    store.run(SEEN)
    for batch in batches(rng, LINES, kind):
        store.add(LOG, batch)
        expected = by_python(batch)
        rows = store.rows("SELECT hex(raw) AS raw, toString(run) AS run, seq, outcome, trade_id, content FROM mv_seen")
        actual = {bytes.fromhex(row["raw"]): (row["run"], row["seq"], row["outcome"], row["trade_id"], row["content"]) for row in rows}
        store.run("TRUNCATE TABLE mv_seen")
        different = [(raw, expected.get(raw), actual.get(raw)) for raw in expected.keys() | actual.keys() if expected.get(raw) != actual.get(raw)]
        assert not different, f"{len(different)} of {len(expected)}: {sorted(different, key=lambda each: len(each[0]))[:8]}"


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
    assert {row[2] for row in expected.values()} == {"ignored", "quarantined"}
    rows = store.rows("SELECT hex(raw) AS raw, toString(run) AS run, seq, outcome, trade_id, content FROM mv_seen")
    assert {bytes.fromhex(row["raw"]): (row["run"], row["seq"], row["outcome"], row["trade_id"], row["content"]) for row in rows} == expected
