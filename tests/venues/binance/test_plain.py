"""Python's reading of Binance's messages."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cases import AGG, CASES, COMBINED, LEGACY, OFF_BOOK, ROW, TRADE, USDM, Case
from tradecap.market.records import REASONS, Ignored, Rejected, Trade, content_hash, frame, is_plain_object
from tradecap.store.clickhouse.reading import schema
from tradecap.venues.binance.limits import scaled
from tradecap.venues.binance.plain import _fast_row, decode
from tradecap.venues.binance.strict import IGNORED, read_strictly


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_case_is_what_the_table_says(case: Case) -> None:
    """A wrong class loses a trade or stores a false one; a wrong reason sends somebody looking in the wrong place."""
    reading = decode(case.payload, case.venue, case.symbol, case.channel)
    match reading:
        case Trade():
            assert (case.outcome, case.reason, case.field) == ("trade", "", "")
        case Ignored(kind):
            assert ("ignored", kind) == (case.outcome, case.reason)
        case Rejected(reason, field):
            assert ("quarantined", reason, field) == (case.outcome, case.reason, case.field)
            assert reason in REASONS


def test_a_spot_trade_is_read_to_the_last_digit() -> None:
    """A rounded price or a wrong side would be stored as the truth."""
    assert decode(TRADE) == Trade(
        "binance",
        "ETHUSDT",
        "trade",
        1520538925,
        1520538925,
        1520538925,
        268380000000,
        200000,
        1723161255611000,
        1723161255612000,
        True,
        True,
    )


def test_an_aggregate_keeps_its_first_and_last_trade() -> None:
    """Without them the number of trades in it is lost."""
    reading = decode(AGG)
    assert isinstance(reading, Trade)
    assert (reading.channel, reading.id, reading.first_id, reading.last_id) == ("aggTrade", 5, 7, 9)


def test_venue_is_recognised_by_shape_where_none_is_named() -> None:
    """A USD-M trade filed under spot would share ids with other trades."""
    readings = [decode(message) for message in (TRADE, USDM, COMBINED)]
    assert [reading.venue for reading in readings if isinstance(reading, Trade)] == [
        "binance",
        "binance-usdm",
        "binance",
    ]


def test_a_trade_outside_the_book_is_kept_apart() -> None:
    """An insurance trade at price 0 in a candle would make its low 0."""
    reading = decode(OFF_BOOK)
    assert isinstance(reading, Trade)
    assert not reading.order_book
    assert reading.price == 0


def test_wrapper_and_order_ids_change_nothing() -> None:
    """The same trade by two ways would count as a conflict."""
    hashes = {
        content_hash(reading) for message in (TRADE, COMBINED, LEGACY) if isinstance(reading := decode(message), Trade)
    }
    assert len(hashes) == 1


ARCHIVE_ROWS = (
    (b"3722410118,61000.01000000,0.00215000,131.15002150,1723161600033,True,True", "trade"),
    (b"5,61000.1,0.002,131.1,1723161600033,false", "trade"),
    (b"77,61000.01,0.2,70,75,1723161600033000,True,True", "aggTrade"),
    (b"77,61000.01,0.2,70,75,1723161600033,True", "aggTrade"),
)


CHANGES = st.tuples(st.integers(0, 80), st.sampled_from(b"0123456789.,-+eETrueFals \t"), st.booleans())


@settings(max_examples=500)
@given(st.sampled_from(ARCHIVE_ROWS), st.lists(CHANGES, max_size=3))
def test_the_quick_look_at_a_row_sees_what_the_close_one_sees(
    row: tuple[bytes, str], changes: list[tuple[int, int, bool]]
) -> None:
    """One of two readings of the same row would be wrong, and which one is used would depend on how it is written."""
    payload, channel = bytearray(row[0]), row[1]
    for at, byte, is_more in changes:
        payload[min(at, len(payload)) : min(at, len(payload)) + (not is_more)] = bytes([byte])
    for venue in ("", "binance", "binance-usdm"):
        quick = _fast_row(bytes(payload), venue, "BTCUSDT", channel)
        assert quick in (None, read_strictly(bytes(payload), venue, "BTCUSDT", channel))
        assert changes or quick


def test_a_row_without_a_symbol_needs_one_from_outside() -> None:
    """A row filed under a guessed symbol would be somebody else's trade."""
    assert decode(ROW) == Rejected("unknown_message")
    reading = decode(ROW, "binance", "XRPETH", "trade")
    assert isinstance(reading, Trade)
    assert reading.symbol == "XRPETH"


@given(st.binary())
def test_no_bytes_make_it_raise(payload: bytes) -> None:
    """An exception on a strange message would end a capture."""
    assert isinstance(decode(payload), Trade | Ignored | Rejected)


@given(st.sampled_from(CASES), st.data())
def test_no_mutation_makes_it_raise(case: Case, data: st.DataObject) -> None:
    """Messages that are nearly right reach the deepest checks."""
    message = bytearray(case.payload[:2000])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(message)))
        message[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    reading = decode(bytes(message), case.venue, case.symbol, case.channel)
    assert isinstance(reading, Trade | Ignored | Rejected)
    if isinstance(reading, Trade) and message[:1] == b"{":
        assert is_plain_object(bytes(message)), "what is a trade must be framed as data"


@given(st.sampled_from(CASES))
def test_a_trade_is_always_framed_as_data(case: Case) -> None:
    """The SQL reads only `data` as a message (and rows of the archive as text): another frame would lose the trade
    there."""
    assert frame(case.payload).startswith(b'"data":') == is_plain_object(case.payload) or len(case.payload) > 512 * 1024
    if case.outcome == "trade":
        assert is_plain_object(case.payload) or case.payload[:1].isdigit()


@given(st.integers(0, 10**18), st.integers(0, 8))
def test_a_decimal_text_is_scaled_exactly(units: int, decimals: int) -> None:
    """A float on the way would change the last digits of large quantities."""
    units -= units % 10 ** (8 - decimals)
    text = f"{units // 10**8}.{units % 10**8:08d}"[: -(8 - decimals) or None].rstrip(".")
    assert scaled(text) == units


def test_the_sql_ignores_the_same_kinds() -> None:
    """A kind that only one side knows would be quarantined by the other."""
    strict = next(statement for statement in schema() if "EXISTS mv_binance_strict" in statement)
    listed = re.search(r"name IN \(('depthUpdate'.*?)\), name", strict, re.DOTALL)
    assert listed
    assert set(re.findall(r"'(\w+)'", listed[1])) == set(IGNORED) - {"snapshot", "reply", "event"}
