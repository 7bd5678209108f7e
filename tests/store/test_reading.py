"""The SQL's reading of a record, held against Python's: the same class for any bytes, the same reason for every
documented fault."""

import base64
import random
from pathlib import Path

import msgspec
import pytest

from tests.cases import AGG, CASES, TRADE, USDM
from tests.mutations import mutated
from tests.store.builders import LOG, fill, values_of
from tradecap.flows.records import read_record
from tradecap.market.foreign_records import adopted
from tradecap.market.records import REASONS, RunWriter, frame, series_head, source_head
from tradecap.proof.tally import RecordRow, ledger_row
from tradecap.store.clickhouse.store import ClickHouseStore

pytestmark = pytest.mark.core

RUN = "01930000-0000-7000-8000-000000000002"
HEADS = [
    series_head("binance", "ETHUSDT", "trade", "ws"),
    series_head("binance-usdm", "ETHUSDT", "aggTrade", "inject:nulls") + source_head(b"a.gz", 5),
    series_head("", "", "", ""),
    series_head("binance-usdm", "ETHUSDT", "trade", "rest"),
]

LEDGER = """
SELECT outcome, reason, field, kind, fault, venue, channel, symbol, trade_id, content, if(outcome = 'quarantined', 0, toUnixTimestamp(at)) AS at
FROM ledger FINAL
ORDER BY toUInt128(run), seq
"""


def lines_of(payloads: list[bytes], heads: list[bytes]) -> list[bytes]:
    """A record for each payload."""
    run = RunWriter(RUN)
    return [
        run.record((None, 1723161254340863867)[i % 2], heads[i % len(heads)], frame(payload))
        for i, payload in enumerate(payloads)
    ]


def read_by_sql(store: ClickHouseStore, lines: list[bytes]) -> list[RecordRow]:
    """The ledger's rows for these lines, in order of seq."""
    fill(store, *lines)
    rows = store.rows(LEDGER)
    return [msgspec.convert(row, RecordRow) for row in rows]


def read_by_python(lines: list[bytes]) -> list[RecordRow]:
    """What the ledger should say of them."""
    return [ledger_row(*read_record(line[:-1], LOG), line[:-1]) for line in lines]


def test_both_read_every_case_alike(store: ClickHouseStore) -> None:
    """Verify holds one side against the other: where they read differently, sound records look lost."""
    heads = {case[-3:]: series_head(case.venue, case.symbol, case.channel, "ws") for case in CASES}
    lines = [line for case in CASES for line in lines_of([case.payload], [heads[case[-3:]]])]
    lines = [line.replace(b'"seq":0,', b'"seq":%d,' % seq, 1) for seq, line in enumerate(lines)]
    by_sql = read_by_sql(store, lines)
    for case, of_sql, of_python in zip(CASES, by_sql, read_by_python(lines), strict=True):
        assert of_sql == of_python, case.name
        report = of_sql.kind if case.outcome == "ignored" else of_sql.reason
        assert (of_sql.outcome, report, of_sql.field) == (case.outcome, case.reason, case.field), case.name


def test_both_take_bytes_for_bytes_whatever_they_decode_to(store: ClickHouseStore) -> None:
    """A record that was altered into a trade would be one for verify, and none in the store."""
    line = RunWriter(RUN).record(None, series_head("binance", "ETHUSDT", "trade", "ws"), frame(b"\xff"))
    altered = line.replace(base64.b64encode(b"\xff"), base64.b64encode(TRADE))
    assert altered != line
    assert read_by_sql(store, [altered]) == read_by_python([altered])
    assert read_by_python([altered])[0].reason == "not_utf8"


def test_both_read_an_event_alike_whatever_it_names(store: ClickHouseStore) -> None:
    """A gap that names its series would be a record that one side doesn't know."""
    run = RunWriter(RUN)
    heads = [b"", series_head("binance", "", "", ""), series_head("binance", "ETHUSDT", "trade", "")]
    lines = [run.event(1723161254340863867, "gap_found", {"first": 1, "last": 3}, head) for head in heads]
    rows = read_by_sql(store, lines)
    assert rows == read_by_python(lines)
    assert [(row.outcome, row.kind, row.venue, row.symbol) for row in rows] == [
        ("event", "gap_found", "", ""),
        ("event", "gap_found", "binance", ""),
        ("event", "gap_found", "binance", "ETHUSDT"),
    ]


@pytest.mark.parametrize("seed", range(3))
def test_both_put_any_bytes_into_the_same_class(store: ClickHouseStore, seed: int) -> None:
    """Recordings of unknown quality hold anything; a class that differs would be a trade that one side doesn't know."""
    rng = random.Random(seed)
    lines = lines_of([mutated(rng) for _ in range(6000)], HEADS)
    for line, of_sql, of_python in zip(lines, read_by_sql(store, lines), read_by_python(lines), strict=True):
        # of several faults in one message the two may name another one first
        assert msgspec.structs.replace(of_sql, reason="", field="") == msgspec.structs.replace(
            of_python, reason="", field=""
        ), line
        assert of_sql.reason in ("", *REASONS)


def test_a_line_without_an_envelope_gets_an_identity(store: ClickHouseStore) -> None:
    """Two unreadable lines that collapsed into one ledger row would hide that one was lost."""
    whole = lines_of([CASES[0].payload], HEADS)[0]
    lines = [b"garbage\n", b"more garbage\n", b'{"e":"trade"}\n', whole[:80] + b"\n", b'{"run":"x","seq":1}\n']
    by_sql = read_by_sql(store, lines)
    assert len(by_sql) == len(lines)
    assert sorted(map(repr, by_sql)) == sorted(map(repr, read_by_python(lines)))


def test_reading_leaves_no_file_behind(store: ClickHouseStore, tmp_path: Path) -> None:
    """Lines are handed over through a file in the store's folder: forgotten, it would fill the disk."""
    read_by_sql(store, lines_of([CASES[0].payload], HEADS))
    assert not list((tmp_path / "db").glob("*.ndjson"))


# ---- values that no tradecap wrote -----------------------------------------------------------------------------------


def read_values(
    store: ClickHouseStore, values: list[bytes], venue: str = ""
) -> tuple[list[RecordRow], list[RecordRow]]:
    """The ledger's rows for values of a topic, and what they should be, in the order of offsets (with a hole after
    each)."""
    offsets = [2 * number for number in range(len(values))]
    store.add(LOG, values_of(3, values, offsets, venue))
    rows = store.rows(LEDGER)
    lines = [adopted(value, LOG, 3, offset, venue) for value, offset in zip(values, offsets, strict=True)]
    expected = [
        ledger_row(*read_record(line, LOG, 3, offset), line) for line, offset in zip(lines, offsets, strict=True)
    ]
    return [msgspec.convert(row, RecordRow) for row in rows], expected


def test_a_message_that_no_tradecap_wrote_is_read_as_a_payload(store: ClickHouseStore) -> None:
    """A topic that others write to would be one of unreadable lines."""
    values = [case.payload for case in CASES if case.payload and b"\n" not in case.payload]
    of_sql, of_python = read_values(store, values)
    assert of_sql == of_python
    trade, usdm = read_by_python(lines_of([TRADE, USDM], [b""]))
    assert [row.outcome for row in (trade, usdm)] == ["trade", "trade"]
    assert {trade, usdm} <= set(of_sql)


@pytest.mark.parametrize("venue", ["", "binance-us"])
def test_plain_messages_of_others_need_no_strict_reading(store: ClickHouseStore, venue: str) -> None:
    """A topic that others fill would be loaded many times more slowly."""
    store.run("DROP TABLE mv_binance_strict")
    of_sql, of_python = read_values(
        store, [TRADE, USDM, AGG, b'{"stream":"ethusdt@trade","data":' + TRADE + b"}"], venue
    )
    assert of_sql == of_python
    assert {row.outcome for row in of_sql} == {"trade"}
    assert {row.venue for row in of_sql} == {venue} if venue else {"binance", "binance-usdm"}


def test_messages_of_others_are_of_the_venue_that_is_named(store: ClickHouseStore) -> None:
    """Binance.US sends what Binance sends, so its trades would be counted as Binance's."""
    values = [case.payload for case in CASES if case.payload and b"\n" not in case.payload]
    of_sql, of_python = read_values(store, values, "binance-us")
    assert of_sql == of_python
    assert {row.venue for row in of_sql if row.outcome == "trade"} == {"binance-us"}


@pytest.mark.parametrize(
    "value",
    [
        b"\x00\xff\xfe",
        b"hello",
        b"[]",
        b'{"a":1}\n{"b":2}',
        b'{"a":1},"event":"ended","x":{}',
        b'{"run":"x"}',
        b'{"a":' + b"[" * 120 + b"]" * 120 + b"}",
        TRADE + b"\n",
        b'{"e":"trade",\n"E":1}',
        b"{" + b" " * 900_000 + b"}",
    ],
)
def test_whatever_else_is_in_a_value_stops_nothing_and_is_quarantined_whole(
    store: ClickHouseStore, value: bytes
) -> None:
    """One producer gone wrong would stop the feed, forge an event, or have its value thrown away."""
    of_sql, of_python = read_values(store, [value, TRADE])
    assert of_sql == of_python
    assert sorted(row.outcome for row in of_sql) == ["quarantined", "trade"]
    (kept,) = store.rows("SELECT hex(raw) AS raw FROM quarantine FINAL")
    assert value.hex().upper() in kept["raw"]


@pytest.mark.parametrize("seed", range(2))
def test_both_put_any_value_into_the_same_class(store: ClickHouseStore, seed: int) -> None:
    """A foreign value that the two sides read differently would look lost."""
    rng = random.Random(100 + seed)
    values = [value for value in (mutated(rng) for _ in range(5000)) if value]
    of_sql, of_python = read_values(store, values)
    assert len(of_sql) == len(values)
    for value, sql, python in zip(values, of_sql, of_python, strict=True):
        assert msgspec.structs.replace(sql, reason="", field="") == msgspec.structs.replace(
            python, reason="", field=""
        ), value
