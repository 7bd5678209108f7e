"""The way into ClickHouse, besides what every store promises."""

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cases import AGG, AGG_CSV, AGG_ROW, COMBINED, CSV, LEGACY, ROW, TRADE, USDM
from tests.store.builders import LOG, RUNS, at, batch_of, fill, one, record_of, run_of, values_of
from tradecap.errors import TradecapError
from tradecap.market.batch import Position, Values
from tradecap.market.records import RunWriter, frame, series_head
from tradecap.store.clickhouse.feeding import native
from tradecap.store.clickhouse.store import ClickHouseStore


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=300), st.integers(0, 2**63))
def test_a_block_has_the_layout_of_clickhouses_own_format(values: list[bytes], first: int) -> None:
    """A length written wrongly would shift every value behind it."""
    offsets = [first + 2 * n for n in range(len(values))]

    def text(value: bytes) -> bytes:
        return size(len(value)) + value

    def size(number: int) -> bytes:
        return bytes([number]) if number < 128 else bytes([number % 128 + 128]) + size(number // 128)

    columns = [text(b"raw") + text(b"String") + b"".join(map(text, values))]
    columns += [text(b"pos") + text(b"UInt64") + b"".join(offset.to_bytes(8, "little") for offset in offsets)]
    assert native(Values(values, offsets)) == size(2) + size(len(values)) + b"".join(columns)


def test_the_ledger_knows_the_partition_of_each_record(emptied: ClickHouseStore) -> None:
    """Retention and lag are of a partition: a record whose partition nobody knows can't be distinguished from a lost
    one."""
    odd = [b"no record", b'{"run":"' + RUNS[2].encode() + b'","seq":4,"recv":null,"event":"ended","detail":{}}']
    plain, strict = (line[:-1] for line in run_of([at(1), at(2)]))
    emptied.add(LOG, values_of(3, [plain, strict.replace(b'"e":', b'"e": '), *odd], [0, 1, 5, 9]))
    fill(emptied, *run_of([at(7)], RUNS[1]))
    counts = {
        row["part"]: (row["records"], row["ways"])
        for row in emptied.rows("SELECT part, count() AS records, uniqExact(outcome) AS ways FROM ledger GROUP BY part")
    }
    assert counts == {3: (4, 3), 0: (1, 1)}


@pytest.fixture(params=["1", "0"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The fast way in, and the plain one."""
    monkeypatch.setenv("TRADECAP_PLAIN", request.param)
    return str(request.param)


@pytest.fixture
def without(emptied: ClickHouseStore) -> Iterator[Callable[[str], None]]:
    """Drops a view until the test ends."""
    dropped: list[str] = []

    def drop(view: str) -> None:
        asked = (
            "SELECT create_table_query AS text FROM system.tables WHERE name = {view:String} AND database = "
            "currentDatabase()"
        )
        dropped.append(one(emptied.rows(asked, view=view))["text"])
        emptied.run(f"DROP TABLE {view}")

    yield drop
    for definition in dropped:
        emptied.run(definition)


def test_records_that_a_missing_view_swallows_are_noticed(
    emptied: ClickHouseStore, way: str, without: Callable[[str], None]
) -> None:
    """Someone who dropped a view by hand would lose all records from then on, with a position behind them."""
    assert way
    without("mv_outcomes")
    with pytest.raises(TradecapError, match="read 0 records of a batch of 1"):
        emptied.add(LOG, batch_of(run_of([at(1)])))


def test_records_that_no_view_read_are_noticed(
    emptied: ClickHouseStore, way: str, without: Callable[[str], None]
) -> None:
    """A load that counts only what arrived would move past lines whose reading is missing."""
    without("mv_open")
    with pytest.raises(TradecapError, match=f"read {way} records of a batch of 2"):
        emptied.add(LOG, batch_of([*run_of([at(1)]), b"no record\n"]))


ODD = b'{"run":"' + RUNS[2].encode() + b'","seq":%d,"recv":null,"event":"noted","detail":{}}\n'


def outcomes(store: ClickHouseStore) -> list[tuple[object, ...]]:
    """What the ledger says of each record."""
    rows = store.rows("SELECT toString(run) AS run, seq, outcome, content FROM ledger FINAL ORDER BY run, seq")
    return [tuple(row.values()) for row in rows]


def test_both_ways_in_give_the_same_rows(emptied: ClickHouseStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fast way that files a line otherwise than the plain one makes the proof depend on which of them loaded it."""
    plain, spaced = (line for line in run_of([at(1), at(2)]))
    batch = batch_of([plain, spaced.replace(b'"e":', b'"e": '), b"no record\n", ODD % 4])
    seen = []
    for way in ("1", "0"):
        monkeypatch.setenv("TRADECAP_PLAIN", way)
        assert emptied.add(LOG, batch) == {"trade": 2, "quarantined": 1, "event": 1}
        seen.append(outcomes(emptied))
        for table in ("ledger", "trades", "quarantine"):
            emptied.run(f"TRUNCATE TABLE {table}")
    assert len(seen[0]) == 4
    assert seen[0] == seen[1]


LINE = record_of(at(5, price=2 * 10**8), RUNS[0], 3, recv_ns=1_723_161_300_123_456_789).rstrip()
HOLES = {
    "seq": (b'"seq":3', b'"seq":03'),
    "recv": (b'"recv":1', b'"recv":01'),
    "id": (b'"t":5', b'"t":05'),
    "E": (b'"E":1', b'"E":01'),
    "T": (b'"T":1', b'"T":01'),
    "symbol": (b'"symbol":"BTC', b'"symbol":"BTC\x01'),
    "via": (b'"via":"ws"', b'"via":"ws",'),
    "src": (b',"data"', b',"src":"day.f1:-1,"data"'),
}


@pytest.mark.parametrize("name", HOLES)
def test_a_line_that_is_nearly_plain_and_no_json_keeps_its_identity(
    emptied: ClickHouseStore, way: str, name: str
) -> None:
    """Taken for a trade, all such lines together became the one record of run 0 and seq 0."""
    old, new = HOLES[name]
    assert old in LINE
    assert way
    spoilt = LINE.replace(old, new, 1)
    assert emptied.add(LOG, batch_of([spoilt + b"\n"])) == {"quarantined": 1}
    found = one(emptied.rows("SELECT toString(run) AS run, seq, reason, raw FROM quarantine"))
    if name != "seq":
        assert (found["run"], found["seq"]) == (RUNS[0], 3)
    assert (found["reason"], found["raw"]) == ("malformed_json", spoilt.decode())


SHAPES = {
    "spot": TRADE,
    "aggregate": AGG,
    "combined": COMBINED,
    "USD-M": USDM,
    "with order ids": LEGACY,
    "without M": TRADE.replace(b',"M":true', b""),
    "REST": ROW,
    "REST aggregate": AGG_ROW,
    "archive": CSV,
    "archive aggregate": AGG_CSV,
}


@pytest.mark.parametrize("name", SHAPES)
def test_what_venues_send_is_plain(emptied: ClickHouseStore, name: str, without: Callable[[str], None]) -> None:
    """A shape that takes the strict way loads at a fifth of the speed, with the same result, so nothing else would show
    it."""
    without("mv_open")  # the strict way
    channel = "aggTrade" if "aggregate" in name else "trade"
    for n, (venue, source) in enumerate(
        (("binance", b""), ("binance-us", b'"src":"day.f1:2",'), ("binance-usdm", b""))
    ):
        head = series_head(venue, "ETHUSDT", channel, "ws") + source
        line = RunWriter(RUNS[0], n).record(7, head, frame(SHAPES[name]))
        assert emptied.add(LOG, batch_of([line])) == {"trade": 1}
    if name not in ("REST", "REST aggregate", "archive", "archive aggregate"):  # these don't name their symbol
        assert emptied.add(LOG, values_of(0, [SHAPES[name]], [9])) == {"trade": 1}
        assert emptied.add(LOG, values_of(0, [SHAPES[name]], [9], "binance-us")) == {"trade": 1}


def test_lines_that_do_not_wait_to_be_read_are_inserted_again(
    emptied: ClickHouseStore, without: Callable[[str], None]
) -> None:
    """What waits for the second INSERT is kept in memory, within bounds: lines beyond them would be lost."""
    without("mv_odd")
    assert emptied.add(LOG, batch_of([*run_of([at(1)]), ODD % 7])) == {"trade": 1, "event": 1}
    assert [row[1:3] for row in outcomes(emptied)] == [(0, "trade"), (7, "event")]


def test_a_log_of_lines_that_are_not_plain_is_read_whole(emptied: ClickHouseStore) -> None:
    """A venue that changes its messages makes every line odd: the way in changes then, and nothing may be lost at the
    change."""
    for first in (0, 6000):
        assert emptied.add(LOG, batch_of(ODD % n for n in range(first, first + 6000))) == {"event": 6000}
    for n in range(20):
        assert emptied.add(LOG, batch_of(run_of([at(n)], first_seq=n))) == {"trade": 1}
    assert emptied.outcomes() == {"event": 12000, "trade": 20}


def test_a_position_is_kept_through_a_merge(emptied: ClickHouseStore) -> None:
    """A merge keeps one of the rows of a log: it has to be the one that goes furthest."""
    for order in (2, 9, 5):
        emptied.commit(LOG, Position(0, f"at {order}", order))
    emptied.run("OPTIMIZE TABLE positions FINAL")
    assert emptied.positions(LOG) == {0: "at 9"}
