"""What recorders put around a message is taken off where all of it is understood, and the time in it is kept to its
digits."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cases import COMBINED, ROW, TRADE
from tests.recordings.test_formats import MESSAGE
from tests.recordings.test_reading import frames_in
from tradecap.recordings.reading import Frame
from tradecap.recordings.wrappings import symbol_of, time_ns, without_envelope, without_front

TIMES = [
    (b"2024-08-08T23:54:15.6031234Z", 1723161255_603123400),
    (b"2024-08-08T23:54:15.603123456Z", 1723161255_603123456),
    (b"2024-08-09T01:54:15.603+02:00", 1723161255_603000000),
    (b"2024-08-08 23:54:15,603", 1723161255_603000000),
    (b"2024-08-08 23:54:15.603123", 1723161255_603123000),
    (b"2024-08-08 23:54:15", 1723161255_000000000),
    (b"1723161255", 1723161255_000000000),
    (b"1723161255.6031234", 1723161255_603123400),
    (b"1723161255603", 1723161255_603000000),
    (b"1723161255603.25", 1723161255_603250000),
    (b"1723161255603123", 1723161255_603123000),
    (b"1723161255603123456", 1723161255_603123456),
]
OWN = b'{"run":"01930000-0000-7000-8000-000000000002","seq":1,"recv":5,"venue":"binance","data":%b}' % TRADE


@pytest.mark.parametrize(("time", "ns"), TIMES)
@pytest.mark.parametrize(
    "form",
    [
        b"%b %b",
        b"%b\t%b",
        b"[%b] %b",
        b"%b, %b",
        b"%b | %b",
        b"%b INFO %b",
        b"%b - feed - DEBUG - %b",
        b"%b [INFO] ws: %b",
    ],
)
def test_a_time_in_front_is_the_receive_time_to_its_last_digit(time: bytes, ns: int, form: bytes) -> None:
    """A recording with a log's prefix would be garbage, or its receive times rounded."""
    assert frames_in(form % (time, COMBINED)) == [Frame(COMBINED, ns, 1)]


@pytest.mark.parametrize(
    ("front", "recv_ns"),
    [
        (b"< ", None),
        (b"INFO:root:", None),
        (b"[DEBUG] ", None),
        (b"INFO 2024-08-08 23:54:15.603 ", 1723161255_603000000),
        (b"ETHUSDT\t", None),
        (b"CreateTime:1723161255603\t", 1723161255_603000000),
        (b"CreateTime:1723161255603\tETHUSDT\t", 1723161255_603000000),
        (b"CreateTime:1723161255603\tPartition:0\tOffset:17\tnull\t", 1723161255_603000000),
        (b"NoTimestamp\tETHUSDT\t", None),
    ],
)
@pytest.mark.parametrize("message", [TRADE, COMBINED])
def test_wscat_logs_and_consoles_of_kafka_are_taken_off(front: bytes, recv_ns: int | None, message: bytes) -> None:
    """What the usual tools print would all be quarantined."""
    assert frames_in(front + message) == [Frame(message, recv_ns, 1)]


@pytest.mark.parametrize(
    "members", [b"localTimestamp message", b"received_at json", b"ts data", b"t d", b"time msg", b"recv_ts raw"]
)
@pytest.mark.parametrize("is_text", [False, True])
@pytest.mark.parametrize(("time", "ns"), [TIMES[0], *TIMES[7:9], TIMES[11]])
@pytest.mark.parametrize("message", [TRADE, COMBINED])
def test_an_envelope_holds_a_message_next_to_a_time(
    members: bytes, is_text: bool, time: bytes, ns: int, message: bytes
) -> None:
    """Each recorder has its own envelope; one that isn't in a list would be quarantined."""
    clock, name = members.split()
    written = time if time.replace(b".", b"").isdigit() else b'"%b"' % time
    held = json.dumps(message.decode()).encode() if is_text else message
    for line in (
        b'{"%b":%b,"%b":%b}' % (clock, written, name, held),
        b'{"%b": %b, "n": 7, "%b": %b}' % (name, held, clock, written),
    ):
        assert frames_in(line) == [Frame(message, ns, 1)]


def test_kcat_gives_the_message_and_our_own_records() -> None:
    """A dump of a topic could not be replayed."""
    line = b'{"topic":"t","partition":0,"offset":1723161255,"tstype":"create","ts":1723161255603,"broker":1,"key":"ETHUSDT","payload":%b}'
    assert frames_in(line % json.dumps(TRADE.decode()).encode()) == [Frame(TRADE, 1723161255_603000000, 1)]
    assert frames_in(line % json.dumps(OWN.decode()).encode()) == [Frame(OWN, None, 1, own=True)]
    assert frames_in(b"CreateTime:1723161255603\tETHUSDT\t" + OWN) == [Frame(OWN, None, 1, own=True)]


def test_one_wrapping_may_be_in_another_and_the_inner_time_is_the_recorders() -> None:
    """A log of a recorder's envelopes would be quarantined, or have the times of the log."""
    inner = b'{"recv":1723161255603123456,"data":%b}' % TRADE
    assert frames_in(b"2024-08-09 00:00:00 INFO " + inner) == [Frame(TRADE, 1723161255_603123456, 1)]


def test_a_row_in_an_envelope_is_of_the_symbol_next_to_it() -> None:
    """Rows of many symbols in one file would share one series."""
    found = frames_in(b'{"ts":1723161255603,"symbol":"XRP/ETH","row":%b}' % ROW)
    assert found == [Frame(ROW, 1723161255_603000000, 1, symbol="XRPETH", channel="trade", via="rest", is_named=True)]


@pytest.mark.parametrize(
    "line",
    [
        b"12 " + TRADE,
        b"hello " + TRADE,
        b"99999999999999 " + TRADE,
        b"9999999999.5: " + TRADE,
        b"2024-13-08 23:54:15 " + TRADE,
        b"1723161255603 {}",
        b"1723161255603 " + TRADE[:60],
        b'{"foo":{"bar":1}}',
        b'{"error":%b,"id":1}' % TRADE,
        b'{"a1":%b,"b1":%b}' % (TRADE, TRADE),
        b'{"E":1,"e":"kline","k":%b}' % TRADE,
        b'{"x":"{\\"e\\":\\n1}"}',
        b'{"d":' * 5000 + TRADE + b"}" * 5000,
        b'{"d":' * 400 + TRADE + b"}" * 400,
    ],
)
def test_what_is_not_understood_stays_whole(line: bytes) -> None:
    """Half of somebody's line would be in the log, or a trade would be made of what isn't one."""
    assert [frame.payload for frame in frames_in(line)] == [line]


@pytest.mark.parametrize(
    ("answer", "symbol"),
    [
        ("XRP/ETH", "XRPETH"),
        ("BTC/USDT:USDT", "BTCUSDT"),
        ("BTC/USDT:USDT-210625", "BTCUSDT_210625"),
        ("BTC/USD:BTC", "BTCUSD_PERP"),
        ("BTC/USD:BTC-210625", "BTCUSD_210625"),
        ("BTC/USDT:USDT-251230-100000-C", "BTC-251230-100000-C"),
        ("ETHUSDT", "ETHUSDT"),
        ("eth/usdt", "ethusdt"),
        ("a/b/c", "a/b/c"),
    ],
)
def test_a_symbol_in_ccxts_spelling_is_the_venues(answer: str, symbol: str) -> None:
    """A coin-margined future would be filed as the spot pair of the same coins."""
    assert symbol_of(json.dumps(answer).encode()) == symbol


@given(st.binary(max_size=80))
def test_no_bytes_make_it_raise(text: bytes) -> None:
    """A strange line would end a replay."""
    for line in (text, text + TRADE, b'{"t":"' + text + b'","d":{"e":1}}'):
        without_front(line)
        without_envelope(line)
        time_ns(line)


@pytest.mark.parametrize(
    "part", [b"a   ,", b"\t", b" ", b'"a" ,', b"a,", b"INFO ", b"a-", b"[", b"1723161255603 ", b"- ", b"a: "]
)
def test_no_line_takes_long_to_tell(part: bytes) -> None:
    """One line of blanks, tabs or words would hold a replay up for hours."""
    began = time.process_time()
    for end in (b"!", b"!" + TRADE):
        frames_in(MESSAGE + b"\n" + b"a" + (part * 390)[:390] + end + b"\n" + (part * 2000)[:3000] + end)
    assert time.process_time() - began < 1
