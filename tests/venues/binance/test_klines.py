"""Files of klines: every layout in which they are kept, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradecap.market.klines import Kline, WrongRow
from tradecap.proof.klines import amount_text
from tradecap.venues.binance.klines import exact_units, read_klines

ROW = b"1723161180000,61686.40,61822.10,61686.40,61766.20,400.944,1723161239999,24757701.29660,4666,282.374,17435150.52030,0"
NEXT = b"1723161240000,61766.20,61839.80,61755.70,61807.80,196.112,1723161299999,12120132.41840,2950,103.638,6404690.00200,0"
KLINE = Kline(
    open_time_s=1723161180,
    interval_s=60,
    open=6168640000000,
    high=6182210000000,
    low=6168640000000,
    close=6176620000000,
    volume=40094400000,
    quote_volume=24757701296600000 * 10**7,
    trades=4666,
    taker_buy_volume=28237400000,
    taker_buy_quote_volume=17435150520300000 * 10**7,
)
API_HEADER = b"open,high,low,close,volume,quote_volume,trades,close_datetime"


def klines(*lines: bytes, offset_s: int | None = None) -> list[Kline | WrongRow]:
    """What is in these lines."""
    return list(read_klines(lines, offset_s))


def rest(row: bytes) -> bytes:
    """A row of the archive as GET /klines answers it."""
    cells = row.decode().split(",")
    whole = {0, 6, 8}
    return (
        f"[{','.join(cell if at in whole else f'{chr(34)}{cell}{chr(34)}' for at, cell in enumerate(cells))}]".encode()
    )


def test_a_row_of_the_archive_is_read_to_the_last_digit() -> None:
    """A rounded volume would differ from exact candles in every bar."""
    assert klines(ROW) == [KLINE]


@pytest.mark.parametrize(
    "lines",
    [
        (
            b"open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore",
            ROW,
            NEXT,
        ),
        (b"\xef\xbb\xbf" + ROW + b"\r", b"", NEXT + b"\r", b""),
        (
            ROW.replace(b"80000,", b"80000000,").replace(b"39999,", b"39999999,"),
            NEXT.replace(b"40000,", b"40000000,").replace(b"99999,", b"99999999,"),
        ),
        (b"[" + rest(ROW) + b"," + rest(NEXT) + b"]",),
        (rest(ROW), rest(NEXT)),
        (b"[", b" " + rest(ROW) + b",", b" " + rest(NEXT), b"]"),
    ],
    ids=[
        "header",
        "BOM, CRLF, blank lines",
        "microseconds",
        "REST answer",
        "REST rows",
        "REST answer over several lines",
    ],
)
def test_all_layouts_say_the_same(lines: tuple[bytes, ...]) -> None:
    """A file that somebody else saved would be refused, or read otherwise."""
    assert klines(*lines) == klines(ROW, NEXT)


def test_the_close_of_a_bar_in_local_time_is_brought_to_its_open_in_utc() -> None:
    """Every bar would be compared with the one an hour and a minute off."""
    header, one = API_HEADER, b"1,1,1,1,6.6158,638250.2950308,3577,2024-12-01 00:00:59.999000+01:00"
    found = klines(header, one, one.replace(b"00:00:59", b"00:01:59"))
    assert [(k.open_time_s, k.interval_s) for k in found if isinstance(k, Kline)] == [
        (1733007600, 60),
        (1733007660, 60),
    ]


def test_the_offset_given_is_that_of_times_without_one() -> None:
    """Local times of a file that doesn't name them would be taken for UTC."""
    lines = [API_HEADER, *(b"1,1,1,1,1,1,1,2024-12-01 00:%02d:59.999" % minute for minute in (0, 1))]
    assert [k.open_time_s for k in klines(*lines, offset_s=3600) if isinstance(k, Kline)] == [1733007600, 1733007660]
    assert [k.open_time_s for k in klines(*lines) if isinstance(k, Kline)] == [1733011200, 1733011260]


def test_floats_come_back_to_the_digits_that_were_published() -> None:
    """The noise of floats would look like a difference, and 1e-05 like an error."""
    lines = [
        API_HEADER,
        *(
            (b"0.1,1e2,1e-05,0.30000000000000004,7.0,37832563.9677691,3.0,2024-12-01 00:%02d:59.999") % minute
            for minute in (0, 1)
        ),
    ]
    found = klines(*lines)[0]
    assert isinstance(found, Kline)
    assert (found.open, found.high, found.low, found.close, found.volume) == (10**7, 10**10, 1000, 3 * 10**7, 7 * 10**8)
    assert (found.quote_volume, found.trades) == (378325639677691 * 10**9, 3)
    assert (found.is_exact, found.taker_buy_volume, found.taker_buy_quote_volume) == (False, None, None)


@pytest.mark.parametrize(
    ("lines", "wrong"),
    [
        ((), WrongRow(0, "it is empty")),
        ((b"hello",), WrongRow(1, "it has 1 columns, a kline 12")),
        ((ROW, NEXT[:-2]), WrongRow(2, "it has 11 columns, a kline 12")),
        ((ROW, NEXT.replace(b"61766.20", b"-1")), WrongRow(2, "its open is '-1'")),
        ((ROW.replace(b"61822.10", b"1e5"),), WrongRow(1, "its high is '1e5'")),
        ((ROW.replace(b"400.944", b"0.123456789"),), WrongRow(1, "its volume is '0.123456789'")),
        ((ROW.replace(b",4666,", b",4666.5,"),), WrongRow(1, "its trades is '4666.5'")),
        ((ROW.replace(b"1723161180000", b"1723161"),), WrongRow(1, "its open_time is '1723161'")),
        ((NEXT, ROW), WrongRow(2, "its time isn't after that of the row before")),
        ((ROW, ROW), WrongRow(2, "its time isn't after that of the row before")),
        (
            (ROW, NEXT.replace(b"1723161299999", b"1723161539999")),
            WrongRow(2, "its times aren't 60 s apart, as in the rows before"),
        ),
        (
            (ROW.replace(b"180000", b"181000").replace(b"239999", b"240999"),),
            WrongRow(1, "it doesn't open where an interval of 60 s begins (in UTC)"),
        ),
        ((b"[[1,2]]",), WrongRow(1, "it is not an array of 12, as GET /klines answers")),
        ((b'[{"a":1}]',), WrongRow(1, "it is not an array of 12, as GET /klines answers")),
        (
            (b"[1723161180000,1.5,2,3,4,5,6,7,8,9,10,11]",),
            WrongRow(1, "its values aren't whole numbers and decimal texts"),
        ),
        ((b"[[",), WrongRow(1, "it is not a JSON array")),
        ((API_HEADER, b"1,1,1,1,1,1,1,yesterday"), WrongRow(2, "its close_datetime is 'yesterday'")),
        ((API_HEADER, b"1,1,1,nan,1,1,1,2024-12-01 00:00:59.999"), WrongRow(2, "its close is 'nan'")),
        ((API_HEADER, b"1,1,1,1,1,1,1,2024-12-01 00:00:59.999"), WrongRow(2, "its times don't show its interval")),
    ],
)
def test_what_is_no_kline_is_named_with_its_line(lines: tuple[bytes, ...], wrong: WrongRow) -> None:
    """A comparison with half of a file would look like one with all of it."""
    assert wrong in klines(*lines)


def test_two_offsets_that_differ_are_refused() -> None:
    """An option would be passed over in silence."""
    (wrong,) = klines(API_HEADER, b"1,1,1,1,1,1,1,2024-12-01 00:00:59.999+01:00", offset_s=7200)
    assert isinstance(wrong, WrongRow)
    assert "isn't the one given" in wrong.problem


@given(
    st.lists(
        st.one_of(st.binary(max_size=80), st.sampled_from([ROW, NEXT, rest(ROW), API_HEADER, b"[[" + ROW])), max_size=6
    )
)
def test_nothing_in_a_file_raises(lines: list[bytes]) -> None:
    """Somebody's file would end in a traceback."""
    assert all(isinstance(found, Kline | WrongRow) for found in read_klines(lines))


@given(st.integers(0, 10**30), st.sampled_from([8, 16]))
def test_amounts_survive_being_written_and_read(units: int, decimals: int) -> None:
    """A difference would be named with other digits than it was found with."""
    assert exact_units(amount_text(units, decimals), decimals) == units
