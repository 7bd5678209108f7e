"""The way into ClickHouse beside what every store promises."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.store.builders import LOG, RUNS, at, batch_of, one, pour, run_of, values_of
from tradecap.errors import TradecapError
from tradecap.market.batch import Position, Values
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
    """Retention and lag are of a partition: a record whose partition nobody knows can't be told from a lost one."""
    odd = [b"no record", b'{"run":"' + RUNS[2].encode() + b'","seq":4,"recv":null,"event":"ended","detail":{}}']
    plain, strict = (line[:-1] for line in run_of([at(1), at(2)]))
    emptied.add(LOG, values_of(3, [plain, strict.replace(b'"e":', b'"e": '), *odd], [0, 1, 5, 9]))
    pour(emptied, *run_of([at(7)], RUNS[1]))
    counts = {
        row["part"]: (row["records"], row["ways"])
        for row in emptied.rows("SELECT part, count() AS records, uniqExact(outcome) AS ways FROM ledger GROUP BY part")
    }
    assert counts == {3: (4, 3), 0: (1, 1)}


def test_records_that_a_missing_view_swallows_are_noticed(emptied: ClickHouseStore) -> None:
    """Who dropped a view by hand would lose all records from then on, with a position behind them."""
    definition = one(emptied.rows("SELECT create_table_query AS text FROM system.tables WHERE name = 'mv_arrivals' AND database = currentDatabase()"))
    emptied.run("DROP TABLE mv_arrivals")
    try:
        with pytest.raises(TradecapError, match="took 0 records of a batch of 1"):
            emptied.add(LOG, batch_of(run_of([at(1)])))
    finally:
        emptied.run(definition["text"])


def test_a_position_is_kept_through_a_merge(emptied: ClickHouseStore) -> None:
    """Of the rows of one log a merge keeps one: it has to be the one that goes furthest."""
    for order in (2, 9, 5):
        emptied.commit(LOG, Position(0, f"at {order}", order))
    emptied.run("OPTIMIZE TABLE positions FINAL")
    assert emptied.positions(LOG) == {0: "at 9"}
