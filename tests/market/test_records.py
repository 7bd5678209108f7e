"""The record: whatever a venue sends comes out of a line of the log as it went in, and every line has one identity."""

import base64
import hashlib
import json
import uuid
import zlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.builders import a_trade
from tradecap.market.records import (
    KEPT_OF_OVERSIZE,
    MAX_DEPTH,
    Envelope,
    RunWriter,
    content,
    content_hash,
    frame,
    is_plain_object,
    json_text,
    line_hash,
    new_run,
    read_envelope,
    series_head,
    shortened,
    source_head,
)

RUN = "01930000-0000-7000-8000-000000000002"
LOG = "01930000-0000-7abc-9def-000000000001"
HEAD = series_head("binance", "BTCUSDT", "trade", "ws")


def a_line(payload: bytes, head: bytes = HEAD) -> bytes:
    """The record of a payload, with its newline."""
    return RunWriter(RUN, 42).record(1723161300123456789, head, frame(payload))


def taken_apart(line: bytes) -> Envelope:
    """A line that has to be a record: one line, and valid JSON for any parser."""
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    json.loads(line)
    envelope = read_envelope(line[:-1])
    assert envelope is not None
    return envelope


def nested(depth: int) -> bytes:
    """A JSON object that nests so deep, itself included."""
    return b'{"z":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=5)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
OBJECTS = st.dictionaries(st.text(), JSON).map(
    lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
)
PAYLOADS = st.binary() | st.text().map(str.encode) | OBJECTS


@given(PAYLOADS)
@example(b"")
@example(b"{}")
@example(b"\n")
@example(b'{"a":\n1}')
@example(b'{"a":1}\r')
@example(b'"},"seq":7')
@example(b"\xff\x00")
@example("\u2028\x00\ud7ff\U0001f600".encode())
@example(b'{"run":"x","seq":0,"data":{}}')
@example(b'{"a":1,"a":2}')
@example(b'{ "a" : 1.50, "b":1E5 }')
@example(nested(MAX_DEPTH))
@example(nested(MAX_DEPTH + 1))
@example(nested(100_000))
def test_any_payload_comes_out_byte_for_byte(payload: bytes) -> None:
    """The line is the evidence: a byte that changed on the way in would be held against the venue."""
    envelope = taken_apart(a_line(payload))
    assert envelope.payload == payload
    assert (envelope.run, envelope.seq, envelope.recv) == (RUN, 42, 1723161300123456789)
    assert (envelope.venue, envelope.symbol, envelope.channel, envelope.via) == ("binance", "BTCUSDT", "trade", "ws")
    assert [bool(envelope.data), envelope.text is not None, envelope.b64 is not None, bool(envelope.event)].count(
        True
    ) == 1


@pytest.mark.parametrize(
    ("payload", "member"),
    [
        (b'{"e":"trade"}', "data"),
        (b'{"a":1,"a":2}', "data"),
        (nested(MAX_DEPTH), "data"),
        (nested(MAX_DEPTH + 1), "text"),
        (b'{"e":"tra', "text"),
        (b'{"a":\n1}', "text"),
        (b' {"a":1}', "text"),
        (b'{"a":1}\r', "text"),
        (b"[1]", "text"),
        (b"", "text"),
        (b'{"a":NaN}', "text"),
        (b'{"a":1e400}', "text"),
        (b'{"a":"\\ud83d"}', "text"),
        (b'{"a":"\xff"}', "b64"),
    ],
)
def test_a_payload_is_written_as_the_plainest_thing_it_surely_is(payload: bytes, member: str) -> None:
    """What is given as data is put into the line as it is: if it weren't a sound object, it would break the line for
    every reader."""
    assert list(json.loads(a_line(payload)))[-1] == member


def test_a_record_is_written_as_the_design_shows_it() -> None:
    """Another key order or a blank sends every line down the slow way into the store."""
    head = series_head("binance", "BTCUSDT", "", "ws") + source_head(json_text('a"b.gz'), 5)
    data = RunWriter(RUN, 42).record(None, head, frame(b'{"e":1}')).decode()
    report = '"recv":null,"venue":"binance","symbol":"BTCUSDT","via":"ws","src":"a\\"b.gz:5","data":{"e":1}}'
    assert data == f'{{"run":"{RUN}","seq":42,{report}\n'
    event = RunWriter(RUN, 0).event(7, "disconnected", {"code": 1006}, series_head("binance", "", "", ""))
    assert (
        event.decode()
        == f'{{"run":"{RUN}","seq":0,"recv":7,"venue":"binance","event":"disconnected","detail":{{"code":1006}}}}\n'
    )
    assert taken_apart(event).payload == b""


def test_seq_counts_without_a_hole() -> None:
    """A hole is a lost record: numbering that skips would accuse the log."""
    writer = RunWriter(RUN)
    lines = [writer.event(1, "started", {}), writer.record(1, HEAD, frame(b"{}")), writer.event(1, "ended", {})]
    assert [taken_apart(line).seq for line in lines] == [0, 1, 2]
    assert writer.seq == 3


@given(st.text(), st.text(max_size=20), st.text(max_size=20))
def test_names_never_spoil_the_envelope(name: str, symbol: str, via: str) -> None:
    """A file is named by anybody: a quote in its name must not make records unreadable."""
    envelope = taken_apart(
        a_line(b"{}", series_head("binance", symbol, "trade", via) + source_head(json_text(name), 3))
    )
    assert (envelope.symbol, envelope.via, envelope.src) == (symbol, via, f"{name}:3")


@pytest.mark.parametrize(
    ("sign", "size", "is_cut"),
    [
        (b"x", 860_000, False),
        (b"x", 880_000, True),
        (b"\xff", 640_000, False),
        (b"\xff", 660_000, True),
        (b"\x01", 140_000, False),
        (b"\x01", 150_000, True),
        (b"x", 2_000_000, True),
    ],
)
def test_only_of_a_huge_payload_the_beginning_is_kept_with_the_sum_of_the_whole(
    sign: bytes, size: int, is_cut: bool
) -> None:
    """The one exception to 'kept whole' must still prove what the whole was."""
    payload = sign * size
    line = a_line(payload)
    assert len(line) < 900_000
    envelope = taken_apart(line)
    assert envelope.payload == (payload[:KEPT_OF_OVERSIZE] if is_cut else payload)
    assert envelope.size == (size if is_cut else None)
    assert envelope.sha256 == (hashlib.sha256(payload).hexdigest() if is_cut else "")


@pytest.mark.parametrize(("via", "fault"), [("inject:nulls", "nulls"), ("ws", ""), ("", ""), ("inject:", "")])
def test_the_way_says_whether_a_record_was_injected(via: str, fault: str) -> None:
    """What was spoilt on purpose must be distinguished from what a venue spoilt."""
    assert taken_apart(a_line(b"{}", series_head("binance", "BTCUSDT", "trade", via))).fault == fault


@given(st.binary() | PAYLOADS)
@example(b"[" * 100_000)
@example(b'{"run":' + b"[" * 100_000)
def test_no_bytes_make_reading_raise(line: bytes) -> None:
    """One broken line would stop the reading of the whole log."""
    envelope = read_envelope(line)
    assert envelope is None or envelope.seq >= 0


@pytest.mark.parametrize(
    "start",
    [
        b'{"run":"01930000-0000-7000-8000-00000000000","seq":0',
        b'{"run":"01930000-0000-7000-8000-0000000000ZZ","seq":0',
        b'{"run":"01930000-0000-7000-8000-0000000000AA","seq":0',
        b'{"run":"019300000000700080000000000000020000","seq":0',
        b'{"run":"01930000-0000-7000-8000-000000000002","seq":-1',
        b'{"run":"01930000-0000-7000-8000-000000000002","seq":1000000000000000000',
        b'{"run":"01930000-0000-7000-8000-000000000002","seq":"0"',
        b'{"run":"01930000-0000-7000-8000-000000000002"',
        b'{"seq":0',
    ],
)
def test_a_line_without_a_proper_identity_is_no_record(start: bytes) -> None:
    """An identity that the store reads otherwise would be counted on one side only."""
    assert read_envelope(start + b',"recv":1,"data":{}}') is None


# ---- runs ------------------------------------------------------------------------------------------------------------

RANDOMNESS = st.binary(min_size=10, max_size=10)
NOW = st.integers(0, 2**47)


@given(NOW, RANDOMNESS)
def test_a_run_is_a_uuid7_of_now(now_ms: int, randomness: bytes) -> None:
    """RFC 9562: 48 bits of milliseconds, version 7, variant 10, and 74 bits of randomness that all count."""
    text = new_run(now_ms, "", randomness)
    run = uuid.UUID(text)
    assert text == str(run)
    assert (run.version, run.variant) == (7, uuid.RFC_4122)
    assert run.int >> 80 == now_ms
    expected = int.from_bytes(randomness[:2], "big") & 0xFFF, int.from_bytes(randomness[2:], "big") & (1 << 62) - 1
    assert ((run.int >> 64) & 0xFFF, run.int & (1 << 62) - 1) == expected


@given(st.lists(st.tuples(NOW, RANDOMNESS), min_size=2, max_size=20))
def test_every_run_is_greater_than_the_one_before_whatever_the_clock_says(moments: list[tuple[int, bytes]]) -> None:
    """The first record by (run, seq) is the trade: a run that sorted before an older one would rewrite history."""
    runs: list[str] = []
    for now_ms, randomness in moments:
        runs.append(new_run(now_ms, runs[-1] if runs else "", randomness))
    numbers = [uuid.UUID(run).int for run in runs]
    assert numbers == sorted(set(numbers))
    assert runs == sorted(runs)


def test_a_clock_that_is_behind_gives_the_millisecond_after_the_last_run() -> None:
    """A clock set back an hour must neither stop a capture nor let it run ahead by more than it has to."""
    last = new_run(1_000_000, "", b"\xff" * 10)
    assert uuid.UUID(new_run(5, last, b"\x00" * 10)).int >> 80 == 1_000_001
    assert uuid.UUID(new_run(1_000_000, last, b"\x00" * 10)).int >> 80 == 1_000_001
    assert uuid.UUID(new_run(2_000_000, last, b"\x00" * 10)).int >> 80 == 2_000_000


# ---- what makes two records equal ------------------------------------------------------------------------------------


def test_the_content_of_a_trade_is_one_canonical_text() -> None:
    """SQL writes the same text: a sign that differs would make every record of the store look changed."""
    assert content(a_trade()) == b"10000000000|100000000|1723204800000|0|7|7"
    assert content_hash(a_trade()) == zlib.crc32(b"10000000000|100000000|1723204800000|0|7|7")
    assert line_hash(b"123456789") == 0xCBF43926  # the check value of CRC-32, as ClickHouse's CRC32 and zlib's


@pytest.mark.parametrize(
    "other",
    [
        {"price": 1},
        {"qty": 1},
        {"trade_time_us": a_trade().trade_time_us + 1000},
        {"is_buyer_maker": True},
        {"first_id": 6},
        {"last_id": 8},
    ],
)
def test_each_part_of_the_content_makes_a_conflict(other: dict[str, int]) -> None:
    """A conflict that isn't seen is a wrong trade taken for a repeat."""
    assert content_hash(a_trade(**other)) != content_hash(a_trade())


@pytest.mark.parametrize(
    "other",
    [{"event_time_us": 0}, {"order_book": False}, {"trade_time_us": a_trade().trade_time_us + 999}, {"symbol": "X"}],
)
def test_how_a_trade_was_delivered_makes_no_conflict(other: dict[str, int]) -> None:
    """The same trade by the stream, by REST and from the archive differs in event time and in the precision of its
    time."""
    assert content_hash(a_trade(**other)) == content_hash(a_trade())


def test_binary_payloads_are_plain_base64() -> None:
    """Whoever reads the log with other tools has to get at the bytes."""
    assert json.loads(a_line(b"\xff\xfe"))["b64"] == base64.b64encode(b"\xff\xfe").decode()


@pytest.mark.parametrize("payload", [b'{"a":%b}' % (b"1" * 60_000), b"x" * 200_000, b"\xff" * 90_000, b"x" * 2_000_000])
@pytest.mark.parametrize("longest", [1_000, 20_000, 100_000])
def test_a_shortened_record_fits_and_says_what_it_was(payload: bytes, longest: int) -> None:
    """A record too long for a broker would be lost, or be there without a sign that it was cut."""
    run = "01912345-6789-7abc-8def-0123456789ab"
    head = series_head("binance", "BTCUSDT", "trade", "ws") + source_head(b"file", 9)
    whole = read_envelope(RunWriter(run, 7).record(5, head, frame(payload))[:-1])
    assert whole is not None
    line = shortened(whole, longest)
    cut = read_envelope(line[:-1])
    assert cut is not None
    assert longest * 0.9 < len(line) <= longest or len(cut.payload) in (KEPT_OF_OVERSIZE, len(payload))
    assert (cut.run, cut.seq, cut.recv, cut.venue, cut.symbol, cut.channel, cut.via, cut.src) == (
        run,
        7,
        5,
        "binance",
        "BTCUSDT",
        "trade",
        "ws",
        "file:9",
    )
    assert (cut.size, cut.sha256) == (len(payload), hashlib.sha256(payload).hexdigest())
    assert payload.startswith(cut.payload)


def test_what_cannot_be_shortened_gives_nothing() -> None:
    """An event has no payload to cut, and a limit below the envelope has no room for one."""
    run = "01912345-6789-7abc-8def-0123456789ab"
    event = read_envelope(RunWriter(run).event(1, "ended", {"why": "x" * 5000})[:-1])
    record = read_envelope(RunWriter(run).record(1, b"", frame(b"x" * 5000))[:-1])
    assert event is not None
    assert record is not None
    assert shortened(event, 1000) == b""
    assert shortened(record, 100) == b""


@pytest.mark.parametrize(
    ("payload", "is_plain"),
    [
        (b'{"x":' + b"[" * 99 + b"]" * 99 + b"}", True),
        (b'{"x":' + b"[" * 100 + b"]" * 100 + b"}", False),
        (b'{"x":' + b"[" * 120 + b"]" * 120 + b',"x":1}', False),
        (b'{"x":"' + b"[" * 120 + b'\\"","y":[1]}', True),
        (b'{"x":[' + b"[]," * 120 + b"[]]}", True),
    ],
)
def test_nesting_counts_wherever_it_is(payload: bytes, is_plain: bool) -> None:
    """The store counts brackets: what a repeated key hides from Python would be another reason there."""
    assert is_plain_object(payload) is is_plain
