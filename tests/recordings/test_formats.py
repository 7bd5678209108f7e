"""Other people's formats, each framed as what it is: receive times, hosts, rows of REST answers and of the archive,
captures, zip files."""

import contextlib
import gzip
import io
import json
import os
import threading
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.log.builders import MB
from tests.recordings.test_reading import NO_STDIN, PACKINGS, Trickle, broken, frames_in, zstd
from tradecap.cli.logs import own_log
from tradecap.digits import number
from tradecap.errors import TradecapError
from tradecap.recordings import arrays as foreign_arrays
from tradecap.recordings.reading import Frame, Source, expand, frames, raw_lines

URL = b"wss://stream.binance.us:9443/stream?streams=crvusdt@aggTrade/crvusdt@depth@100ms <-> 1633998274.5036721\n"
MESSAGE = b'{"stream":"crvusdt@aggTrade","data":{"e":"aggTrade","s":"CRVUSDT"}}'
AGG_ROW = b'{"a":26129,"p":"0.01633102","q":"4.70443515","f":27781,"l":27782,"T":1498793709153,"m":true,"M":true}'
ROW = b'{"id":28457,"price":"4.00000100","qty":"12.00000000","quoteQty":"48.000012","time":1499865549590,"isBuyerMaker":true,"isBestMatch":true}'
SPOT_TRADE = b"4253784343,42313.90000000,0.00100000,42.31390000,1704067200000,True,True"
USDM_TRADE = b"4463291101,42283.5,0.052,2198.742,1704067200050,false"
SPOT_AGG_TRADE = b"2864932113,42283.58000000,0.00174000,3371122311,3371122312,1735689600010866,True,True"
USDM_AGG_TRADE = b"2012334551,42313.9,0.024,4463291101,4463291103,1704067200050,true"


def source_of(path: Path) -> Source:
    """A file to read, as the command line names it."""
    return expand([str(path)], NO_STDIN, own_log)[0]


def file_of(path: Path, content: bytes) -> Source:
    """A file with this content."""
    path.write_bytes(content)
    return source_of(path)


def payloads(found: list[Frame]) -> list[bytes]:
    """What the frames hold."""
    return [frame.payload for frame in found]


def refused(content: bytes) -> str:
    """The sentence a recording is refused with, which comes before any frame."""
    seen, error = broken(Source("rec", stream=io.BytesIO(content)))
    assert seen == []
    return error.message


# --- F2


def test_seconds_in_front_are_a_receive_time_and_the_url_tells_the_host() -> None:
    """A recording with its address at the top would be filed under a guessed venue, or read as garbage."""
    found = frames_in(
        URL + b"1633998274.723671: " + MESSAGE + b"\n\n1633998275: " + MESSAGE + b'\nconfiguration: {"symbols":[]}\n'
    )
    host = "stream.binance.us"
    assert found == [
        Frame(MESSAGE, 1633998274_723671000, 2, host=host),
        Frame(MESSAGE, 1633998275_000000000, 4, host=host),
    ]


@pytest.mark.parametrize(
    ("text", "ns"), [("1633998512.0633569", 1633998512_063356900), ("1633998512.1234567899", 1633998512_123456789)]
)
def test_a_receive_time_is_taken_from_its_decimals(text: str, ns: int) -> None:
    """By way of a float, a time of today is wrong by up to a hundred nanoseconds."""
    assert frames_in(text.encode() + b": {}")[0].recv_ns == ns


@pytest.mark.parametrize(
    "line", [b"1633998512.06:{}", b"1633998512.: {}", b"163399851: {}", b"9999999999.5: {}", b"1633998512.06:"]
)
def test_what_only_looks_like_seconds_in_front_stays(line: bytes) -> None:
    """Part of somebody's message would be taken for a clock."""
    assert frames_in(line) == [Frame(line, None, 1)]


def test_an_answer_behind_its_url_is_a_message_by_rest() -> None:
    """Depth snapshots that lie next to a recording would be quarantined one by one."""
    (found,) = frames_in(
        b'https://api.binance.com/api/v3/depth?symbol=NKNUSDT&limit=1000 -> 1633998512.320639: {"lastUpdateId":1}\n'
    )
    assert found == Frame(b'{"lastUpdateId":1}', 1633998512_320639000, 1, host="api.binance.com", via="rest")


def test_the_host_holds_until_another_url_and_only_for_lines_of_that_kind() -> None:
    """Two recordings joined with cat would be filed under the first one's venue, and a stranger's line between them
    too."""
    other = b"wss://FSTREAM.binance.com/stream?streams=x <-> 1633998300.0\n"
    found = frames_in(URL + b"1633998274.7: {}\n{}\n1723161255603123456 {}\n" + other + b"1633998301.0: {}\n")
    assert [frame.host for frame in found] == ["stream.binance.us", "", "", "fstream.binance.com"]


# --- arrays of rows


@pytest.mark.parametrize(("row", "channel"), [(AGG_ROW, "aggTrade"), (ROW, "trade")])
@pytest.mark.parametrize(
    "form",
    [
        b"%b",
        b'{"info":%b,"symbol":"XRP/ETH","price":0.0014,"fees":[],"fee":null}',
        b'{"id":"1","fees":[{"x":1}],"info": %b }',
    ],
)
def test_an_array_of_rows_is_its_rows(tmp_path: Path, row: bytes, channel: str, form: bytes) -> None:
    """An answer of the venue, bare or as ccxt keeps it, could not be read; or its text would not be the venue's any
    more."""
    source = file_of(tmp_path / "XRPETH-whatever-2019.json", b"[" + b",".join([form % row] * 3) + b"]\n")
    expected = Frame(row, None, 1, symbol="XRPETH", channel=channel, via="rest", is_named=b'"symbol"' in form)
    assert list(frames(source)) == [expected] * 3


def test_a_pretty_printed_array_has_rows_of_one_line() -> None:
    """A file that was made readable would end in quarantine, or its records would point at no line."""
    text = json.dumps([json.loads(AGG_ROW), {"info": json.loads(ROW)}], indent=2).replace("\n", "\r\n")
    first, second = frames_in(b"\xef\xbb\xbf\n" + text.encode())
    assert (first.line, second.line) == (3, 13)
    assert json.loads(first.payload) == json.loads(AGG_ROW)
    assert json.loads(second.payload) == json.loads(ROW)
    assert first.payload.startswith(b'{      "a": 26129,')
    assert b"\n" not in first.payload + second.payload


def test_no_line_break_is_repaired() -> None:
    """A row that was broken in the middle of a value would come out whole, and nobody would know."""
    inside = b'{"price":"4.0\n1","id":1}'
    between = b'{"price":"4.0","id":1\n2}'
    assert payloads(frames_in(b"[" + inside + b",\n" + between + b"]")) == [inside, between.replace(b"\n", b" ")]


def test_arrays_may_follow_each_other_and_be_followed_by_lines() -> None:
    """A recorder of answers, one a line, would be read up to its first answer."""
    found = frames_in(b"[" + ROW + b"]\n[]\n[ " + ROW + b" ," + ROW + b'][{"e":"trade"}]\n' + MESSAGE + b"\n")
    assert [(frame.payload, frame.line, frame.via) for frame in found] == [
        (ROW, 1, "rest"),
        (ROW, 3, "rest"),
        (ROW, 3, "rest"),
        (b'{"e":"trade"}', 3, "ws"),
        (MESSAGE, 4, "ws"),
    ]


def test_brackets_quotes_and_commas_in_strings_are_text() -> None:
    """A row would be cut where a text in it holds a bracket."""
    rows = [rb'{"a":"}],{\"[\\","b":[[1,{"c":"]"}],{}],"u":"\u007b"}', b'"},{"', b"7", b"[]", b"{}"]
    assert payloads(frames_in(b"[{}," + b" ,".join(rows) + b"]"))[1:] == rows


@pytest.mark.parametrize(
    "damage", [b'{"id":1,"price":"4,"qty":"1"}', b'{"id":1,"info":{"a":1}', b'{"id":1,"price":"4}']
)
def test_a_damaged_row_costs_itself_and_at_most_its_neighbour(damage: bytes) -> None:
    """One flipped bit in a file of a single line would swallow the rest of it."""
    found = payloads(frames_in(b"[" + b",".join([ROW] * 3 + [damage] + [ROW] * 5000) + b"]"))
    assert found[:3] == [ROW] * 3
    assert found[3].startswith(damage)
    assert len(found[3]) <= len(damage) + 1 + len(ROW)
    assert len(found) >= 5003
    assert found[4:] == [ROW] * (len(found) - 4)


@pytest.mark.parametrize("damage", [b'{"id":1,"price":"4,"qty":"1"}', b'{"id":1,"price":"4}'])
def test_a_row_on_a_line_of_its_own_is_damaged_alone(damage: bytes) -> None:
    """A missing quote would turn every later text inside out although the line ends."""
    found = frames_in(b"[\n" + b",\n".join([ROW, damage, ROW]) + b"\n]")
    assert payloads(found)[::2] == [ROW, ROW][: len(found)]
    assert [frame.line for frame in found[:2]] == [2, 3]


def test_an_array_that_is_not_closed_is_cut_short() -> None:
    """Half a download would pass for a whole one."""
    seen, error = broken(Source("rec", stream=io.BytesIO(b"[" + ROW + b"," + ROW + b"," + ROW[:50])))
    assert payloads(seen) == [ROW, ROW, ROW[:50]]
    assert error.message == "rec is cut short at its beginning (its JSON array isn't closed after 3 elements)."


def test_an_element_without_end_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is one huge list would fill the memory."""
    monkeypatch.setattr(foreign_arrays, "WINDOWS", (100, 1000))
    seen, error = broken(Source("rec", stream=io.BytesIO(b"[" + ROW + b',{"x":[' + b"1," * 1000 + b"1]}]")))
    assert payloads(seen) == [ROW]
    assert "longer than 1\u202f000 bytes" in error.message


@pytest.mark.parametrize("text", [b"[1,2]", b"[ \n 5]", b"[}", b'["x"]', b"[[1,2]]"])
def test_what_is_no_array_of_objects_stays_a_line(text: bytes) -> None:
    """A message that is a list would be torn up."""
    assert payloads(frames_in(text + b"\n{}\n")) == [*text.replace(b" ", b"").split(b"\n"), b"{}"]


def test_rows_on_lines_of_their_own_are_rows(tmp_path: Path) -> None:
    """Rows saved one a line would be messages that nobody knows."""
    source = file_of(
        tmp_path / "BTCUSDT-trades.ndjson",
        AGG_ROW + b"\n" + ROW + b'\n{"info":' + ROW + b'}\n{"id":1,"result":null}\n{"a":1}\n',
    )
    assert list(frames(source)) == [
        Frame(AGG_ROW, None, 1, symbol="BTCUSDT", channel="aggTrade", via="rest"),
        Frame(ROW, None, 2, symbol="BTCUSDT", channel="trade", via="rest"),
        Frame(ROW, None, 3, symbol="BTCUSDT", channel="trade", via="rest"),
        Frame(b'{"id":1,"result":null}', None, 4),
        Frame(b'{"a":1}', None, 5),
    ]


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("XRPETH-aggTrades-2019.json", "XRPETH"),
        ("BTCUSDT_240628-trades-2024-06-01.csv", "BTCUSDT_240628"),
        ("币安人生USDT-trades-2025-10-01.csv", "币安人生USDT"),
        ("trades-2019.json", ""),
        ("2019-10-11.json", ""),
        ("BTC-USDT-trades.json", ""),
        ("XRPETH.json", ""),
    ],
)
def test_the_symbol_of_rows_is_the_beginning_of_the_name(tmp_path: Path, name: str, symbol: str) -> None:
    """Rows would be filed under a date, a folder or half a pair."""
    (tmp_path / "OTHER-x").mkdir()
    assert next(frames(file_of(tmp_path / "OTHER-x" / name, b"[" + ROW + b"]"))).symbol == symbol


# --- the archive


@pytest.mark.parametrize(
    ("row", "channel"),
    [(SPOT_TRADE, "trade"), (USDM_TRADE, "trade"), (SPOT_AGG_TRADE, "aggTrade"), (USDM_AGG_TRADE, "aggTrade")],
)
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_an_archive_row_is_recognised_by_its_columns(tmp_path: Path, row: bytes, channel: str, end: bytes) -> None:
    """Spot and futures, trades and aggregates have almost the same columns: ids would be read as quantities."""
    source = file_of(tmp_path / "BTCUSDT-trades-2024-01-01.csv", row + end + row)
    expected = Frame(row, None, 1, symbol="BTCUSDT", channel=channel, via="archive")
    assert list(frames(source))[0] == expected  # noqa: RUF015 -- the number of frames matters too
    assert [frame.line for frame in frames(source)] == [1, 2]


@pytest.mark.parametrize(
    ("header", "channel"),
    [
        (b"id,price,qty,quote_qty,time,is_buyer_maker", "trade"),
        (b"trade Id,price,qty,quoteQty,time,isBuyerMaker,isBestMatch", "trade"),
        (b"agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker", "aggTrade"),
        (
            b"Aggregate tradeId,Price,Quantity,First tradeId,Last tradeId,Timestamp,Was the buyer the maker,Was "
            b"the trade the best price match",
            "aggTrade",
        ),
    ],
)
def test_a_header_is_no_message_and_tells_the_channel(header: bytes, channel: str) -> None:
    """Each file of the archive would bring one record into quarantine, and a broken row would belong nowhere."""
    assert frames_in(b"\xef\xbb\xbf" + header + b"\nbroken,row\n" + header + b"\n") == [
        Frame(b"broken,row", None, 2, channel=channel, via="archive")
    ]


def test_a_broken_row_is_filed_with_the_rows_around_it() -> None:
    """A cut row in the archive would be taken for a message of the stream."""
    rows = [SPOT_TRADE, SPOT_TRADE[:30], b"12", SPOT_TRADE.replace(b"42313.9", b"null")]
    assert frames_in(b"\n".join(rows)) == [
        Frame(row, None, at, channel="trade", via="archive") for at, row in enumerate(rows, 1)
    ]


def test_rows_of_several_files_joined_are_recognised_each_by_itself() -> None:
    """`cat *.csv` would read aggregates as trades."""
    found = frames_in(b"\n".join([USDM_TRADE, USDM_AGG_TRADE, MESSAGE, SPOT_AGG_TRADE, b"1723161255603123456 {}"]))
    assert [frame.channel for frame in found] == ["trade", "aggTrade", "", "aggTrade", ""]
    assert [frame.via for frame in found] == ["archive", "archive", "ws", "archive", "ws"]


@pytest.mark.parametrize(
    "content",
    [
        b"1733011200000,96407.99,96524.0,96350.13,96508.29,35.87706,1733011499999,3459760.3,10233,19.01492,1833852.07,0\n",
        b"open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore\n",
        b"open,high,low,close,volume,quote_volume,trades,close_datetime\n",
        b'[[1499040000000,"0.01634790","0.80000000","0.01575800","0.01577100","148976.1",1499644799999,"2434.1",308,"1756.8","28.4","0"]]',
        b'[\n  [\n    1499040000000,\n    "0.01634790",\n    "0.80000000"\n  ]\n]\n',
    ],
)
def test_klines_are_refused_with_what_they_are_for(content: bytes) -> None:
    """A month of klines would be logged as a month of broken trades."""
    assert "klines aren't trades" in refused(content)


# --- captures


def captured(kind: str, **members: object) -> bytes:
    """A line of cryptofeed's capture format."""
    return json.dumps({"t": kind, **members}, separators=(",", ":")).encode() + b"\n"


def test_a_capture_gives_what_was_received() -> None:
    """What a capture tells about itself would be quarantined, and its messages with it."""
    content = captured("header", format=2, exchange="BINANCE_US", config={"trades": ["BTC-USD"]})
    content += captured("http", conn="BINANCE_US.http.1", ts=1633998274.0, url="https://api.binance.us/x", data="{}")
    content += captured(
        "connect", conn="BINANCE_US.ws.2", ts=1633998274.1, addr="wss://stream.binance.us:9443/stream?streams=x"
    )
    content += captured("send", conn="BINANCE_US.ws.2", ts=1633998274.2, addr="wss://stream.binance.us:9443", data="{}")
    text = '{"e":"trade",\t"x":"\\" ü"} '
    content += b'{"t":"recv","conn":"BINANCE_US.ws.2","ts":1633998274.1234567,"data":%b}\n' % json.dumps(text).encode()
    assert frames_in(zstd(content)) == [Frame(text.encode(), 1633998274_123456700, 5, host="stream.binance.us")]


@pytest.mark.parametrize(
    ("exchange", "host"),
    [("BINANCE", "stream.binance.com"), ("BINANCE_FUTURES", "fstream.binance.com"), ("BINANCE_TR", "binance_tr")],
)
def test_a_capture_that_lost_its_beginning_is_recognised_by_its_connection(exchange: str, host: str) -> None:
    """Binance TR would be filed as Binance."""
    assert frames_in(captured("recv", conn=f"{exchange}.ws.1", ts="none", data="{}")) == [
        Frame(b"{}", None, 1, host=host)
    ]


@pytest.mark.parametrize(
    "content",
    [captured("header", format=2, exchange="KRAKEN"), captured("recv", conn="KRAKEN.ws.48", ts=1.5, data="[]")],
)
def test_a_capture_of_another_venue_is_refused_by_name(content: bytes) -> None:
    """Its trades would end in quarantine, or worse, as Binance's."""
    assert refused(content) == "rec is a capture of KRAKEN (line 1), which isn't supported yet."


@pytest.mark.parametrize(
    "line",
    [
        b'{"t":1}',
        b'{"t":"recv"}',
        b'{"t":"recv","conn":"BINANCE.ws","data":"\\ud800"}',
        b'{"t":"x","conn":"KRAKEN.ws"}',
    ],
)
def test_what_only_looks_like_a_capture_stays(line: bytes) -> None:
    """A message of the venue would vanish, or end the replay."""
    assert frames_in(line) == [Frame(line, None, 1)]


# --- what else is refused


def test_trades_of_another_program_are_refused() -> None:
    """Prices that went through a float would be proven to the last digit."""
    assert "not what the venue sent" in refused(b'[\n {"Item":{"Ok":{"kind":{"Trade":{"price":96962.51}}}}}]')


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("pack", PACKINGS)
def test_utf_16_is_reported_with_the_way_round_it(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    """What PowerShell's `>` writes would be a file of garbage."""
    assert refused(pack(MESSAGE.decode().encode(encoding))) == "rec is UTF-16 text."


# --- byte-order marks


def test_files_with_marks_joined_have_marks_inside() -> None:
    """The first message of each but the first file would be malformed."""
    assert payloads(frames_in((b"\xef\xbb\xbf" + MESSAGE + b"\n") * 2 + b"\xef\xbb\xbf\n")) == [MESSAGE] * 2


def test_a_line_of_nothing_but_marks_is_one_line() -> None:
    """A damaged file would end in a traceback."""
    assert len(frames_in(MESSAGE + b"\n" + b"\xef\xbb\xbf" * 5000)) == 2


# --- zip


def zip_of(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    """A zip file with these members."""
    with zipfile.ZipFile(path, "w", method) as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return path


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_a_zip_is_its_members_one_after_another(tmp_path: Path, method: int) -> None:
    """The venue's archive would have to be unpacked by hand, or rows would be filed under the name of the zip."""
    members = {
        "spot/BTCUSDT-trades-2024-01-01.csv": SPOT_TRADE + b"\n",
        "spot/": b"",
        "__MACOSX/spot/._x": b"\0\5\x16\7",
        "empty.csv": b"",
        "ETHUSDT-aggTrades-2024-01-01.csv": b"agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker\n"
        + USDM_AGG_TRADE,
        "rest.json": b"[" + ROW + b"]\n",
        "packed.gz": gzip.compress(b"broken"),
    }
    found = list(frames(source_of(zip_of(tmp_path / "all", members, method))))
    assert found == [
        Frame(SPOT_TRADE, None, 1, symbol="BTCUSDT", channel="trade", via="archive"),
        Frame(USDM_AGG_TRADE, None, 3, symbol="ETHUSDT", channel="aggTrade", via="archive"),
        Frame(ROW, None, 4, channel="trade", via="rest"),
        Frame(b"broken", None, 5),
    ]


def test_lines_are_counted_through_a_zip(tmp_path: Path) -> None:
    """`unzip -p` could not be used to look a record up."""
    path = zip_of(tmp_path / "x.zip", {"a": b"{}\n\n{}\n", "b": b"[{},\n{}]\n", "c": b"{}\n"})
    assert [frame.line for frame in frames(source_of(path))] == [1, 3, 4, 5, 6]
    assert list(raw_lines(str(path), NO_STDIN)) == [b"{}", b"{}", b"[{},", b"{}]", b"{}"]


def test_an_empty_zip_holds_nothing(tmp_path: Path) -> None:
    """It would be called damaged."""
    assert list(frames(source_of(zip_of(tmp_path / "x.zip", {})))) == []


def a_long_zip(path: Path) -> tuple[Path, list[bytes]]:
    """A zip with two members of 20 000 lines that don't pack well, and the lines of the first."""
    lines = [b"%d,%d" % (at, hash((at, 1))) for at in range(20_000)]
    return zip_of(path, {"first.csv": b"\n".join(lines) + b"\n", "second.csv": b"\n".join(lines) + b"\n"}), lines


def test_a_named_pipe_is_read_and_a_zip_in_it_reported(tmp_path: Path) -> None:
    """`tradecap replay <(zcat x.gz)` would fail, because a pipe can't be wound back."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    content = zip_of(tmp_path / "x.zip", {"a": b"{}"}).read_bytes()
    for written in (gzip.compress(MESSAGE), content):
        writing = threading.Thread(target=path.write_bytes, args=(written,))
        writing.start()
        if written is content:
            assert "only be read as a file" in broken(source_of(path))[1].message
        else:
            assert payloads(list(frames(source_of(path)))) == [MESSAGE]
        writing.join()


@pytest.mark.parametrize("kept", [0.4, 0.9])
def test_a_zip_cut_short_gives_what_came_before(tmp_path: Path, kept: float) -> None:
    """A download that broke off would be worthless, because the directory of a zip is at its end."""
    path, lines = a_long_zip(tmp_path / "x.zip")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    seen, error = broken(source_of(path))
    assert payloads(seen) == (lines + lines)[: len(seen)]
    assert 0.7 * kept < len(seen) / 40_000 < kept * 1.2
    assert (
        error.message
        == f"{path} is cut short in {'second' if kept > 0.5 else 'first'}.csv after line {number(len(seen))} (its "
        "zip data ends too early)."
    )


def test_a_zip_that_only_lost_its_directory_is_read_whole(tmp_path: Path) -> None:
    """Every row is there, but the reader would have none."""
    path, lines = a_long_zip(tmp_path / "x.zip")
    content = path.read_bytes()
    path.write_bytes(content[: content.rindex(b"PK\1\2") - 10])
    seen, error = broken(source_of(path))
    assert len(seen) > len(lines) * 1.9
    path.write_bytes(content[: content.index(b"PK\1\2")])
    seen, error = broken(source_of(path))
    assert payloads(seen) == lines + lines
    assert "the directory at its end is missing" in error.message


def test_a_flipped_bit_in_a_zip_is_reported_after_its_rows(tmp_path: Path) -> None:
    """Damaged rows would pass for the venue's; or the sound ones before the checksum would be lost."""
    path = zip_of(tmp_path / "x.zip", {"first.csv": b"a\nb\nc\n"}, zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"a\nb\nc\n", b"a\nb\nd\n"))
    seen, error = broken(source_of(path))
    assert payloads(seen) == [b"a", b"b", b"d"]
    assert error.message == f"{path} is damaged in first.csv after line 3 (zip checksum)."


def test_an_encrypted_zip_is_reported(tmp_path: Path) -> None:
    """It would be called damaged, and downloaded again and again."""
    path = zip_of(tmp_path / "x.zip", {"first.csv": b"a\n"}, zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(content)
    seen, error = broken(source_of(path))
    assert seen == []
    assert error.message == f"{path} can't be read in first.csv at its beginning (it is encrypted)."


def test_a_zip_in_an_unusual_packing_is_reported(tmp_path: Path) -> None:
    """bzip2 in a zip unpacks without bounds."""
    _, error = broken(source_of(zip_of(tmp_path / "x.zip", {"first.csv": b"a\n"}, zipfile.ZIP_BZIP2)))
    assert "first.csv at its beginning (it isn't packed by deflate)" in error.message


def test_a_zip_in_a_zip_is_reported(tmp_path: Path) -> None:
    """Its bytes would be logged as garbage."""
    inner = zip_of(tmp_path / "inner.zip", {"a": b"{}"}).read_bytes()
    _, error = broken(source_of(zip_of(tmp_path / "x.zip", {"inner.zip": inner})))
    assert "inside another zip" in error.message


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_no_damage_to_a_zip_is_a_traceback(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """A broken download would end the replay of a whole folder."""
    path = tmp_path_factory.mktemp("zip") / "x.zip"
    content = bytearray(
        zip_of(path, {"a.csv": SPOT_TRADE * 5, "b": b"[" + ROW + b"]"}, data.draw(st.sampled_from([0, 8]))).read_bytes()
    )
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(4, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(4, len(content)))])
    with contextlib.suppress(TradecapError):
        list(frames(source_of(path)))


# --- laws


LINES = [
    URL,
    b"1633998274.72: {}\n",
    b"1723161255603123456 {}\n",
    MESSAGE,
    SPOT_TRADE,
    SPOT_AGG_TRADE,
    ROW,
    AGG_ROW,
    b"configuration: 1\n",
]
BITS = [
    b"\n",
    b"\r\n",
    b" ",
    b",",
    b",",
    b",",
    b"[",
    b"]",
    b"{",
    b"}",
    b'"',
    b"\\",
    b'"},{"',
    b"\xef\xbb\xbf",
    b"x",
    b"[\n {",
    b'{"f":[1,{}]}',
]
PARTS = st.sampled_from([*LINES, *BITS])
CONTENT = st.tuples(st.sampled_from([b"", b"[", b"[{},", b"[\n  "]), st.lists(PARTS, max_size=25)).map(
    lambda parts: parts[0] + b"".join(parts[1])
)


def report(pieces: Iterator[Frame]) -> tuple[list[Frame], str]:
    """The frames, and how they ended."""
    seen: list[Frame] = []
    try:
        seen.extend(pieces)
    except TradecapError as error:
        return seen, error.message
    return seen, ""


@settings(max_examples=400, deadline=None)
@given(CONTENT, st.integers(1, 9), st.sampled_from(PACKINGS), st.sampled_from([(20, 80, 300), foreign_arrays.WINDOWS]))
def test_the_frames_are_the_same_however_the_bytes_arrive(
    content: bytes, step: int, pack: Callable[[bytes], bytes], windows: tuple[int, ...]
) -> None:
    """A slow pipe or a packing would change where rows begin and end."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(foreign_arrays, "WINDOWS", windows)
        at_once = report(frames(Source("rec", stream=io.BytesIO(content))))
        assert report(frames(Source("rec", stream=Trickle(pack(content), step)))) == at_once


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.dictionaries(
            st.text(max_size=5), st.text(max_size=9) | st.integers() | st.lists(st.text(max_size=3)), max_size=5
        ),
        max_size=9,
    )
)
def test_an_array_that_any_library_writes_is_its_elements(rows: list[dict[str, object]]) -> None:
    """A text with brackets, quotes or escapes would move the border between two rows."""
    rows = [{key: value for key, value in row.items() if key not in ("info", "Item", "Reconnecting")} for row in rows]
    for indent, separators in ((None, (",", ":")), (1, None)):
        found = frames_in(json.dumps(rows, indent=indent, separators=separators, ensure_ascii=False).encode())
        assert [json.loads(frame.payload) for frame in found] == rows


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=12) | PARTS, max_size=20).map(b"".join))
def test_no_bytes_are_lost_or_read_twice_in_lines(content: bytes) -> None:
    """A byte that no frame holds would be lost without a record."""
    if not content.lstrip().removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"["):
        found, ended = report(frames(Source("rec", stream=io.BytesIO(content))))
        lines = content.split(b"\n")
        for frame in found:
            assert frame.payload in lines[frame.line - 1]
        assert ended or len({frame.line for frame in found}) == len(found)


@pytest.mark.parametrize("unit", [ROW + b",", b'{"x":[' + ROW + b"]},\n", SPOT_TRADE + b"\n"])
def test_memory_is_constant(tmp_path: Path, unit: bytes) -> None:
    """A file of a year would not fit."""
    begin, end = (b"", b"") if unit.startswith(b"4") else (b"[", b"{}]")
    path = zip_of(tmp_path / "x.zip", {"a": begin + unit * (16 * MB // len(unit)) + end})
    tracemalloc.start()
    try:
        assert sum(1 for _ in frames(source_of(path))) >= 16 * MB // len(unit)
        assert tracemalloc.get_traced_memory()[1] < 8 * MB
    finally:
        tracemalloc.stop()


# --- real recordings


@pytest.mark.recordings
@pytest.mark.parametrize(
    ("name", "messages", "host"),
    [
        ("cf_binance_spot_20211012", 265, "stream.binance.com"),
        ("cf_binance_us_20211012", 480, "stream.binance.us"),
        ("cf_binance_tr_20230410", 139, "stream-cloud.trbinance.com"),
    ],
)
def test_real_recordings_with_their_address_are_framed(recordings: Path, name: str, messages: int, host: str) -> None:
    """The blank line or the configuration at the end of a real file would be a message."""
    found = list(frames(source_of(recordings / f"ws/{name}.txt.gz")))
    assert len(found) == messages
    assert {(frame.host, frame.via, frame.payload[:10], frame.payload[-2:]) for frame in found} == {
        (host, "ws", b'{"stream":', b"}}")
    }
    assert [frame.recv_ns or 0 for frame in found] == sorted(frame.recv_ns or 0 for frame in found)


@pytest.mark.recordings
def test_real_answers_behind_their_url_are_framed(recordings: Path) -> None:
    """A line of 40 kB would be cut or torn."""
    found = list(frames(source_of(recordings / "rest/cf_binance_spot_depth1000_20211012.txt.gz")))
    assert [(frame.host, frame.via, json.loads(frame.payload)["lastUpdateId"] > 0) for frame in found] == [
        ("api.binance.com", "rest", True)
    ] * 4


@pytest.mark.recordings
def test_real_rows_of_ccxt_are_the_venues_own(recordings: Path) -> None:
    """The venue's text inside another library's would be lost, or a row of 12 477 with it."""
    path = recordings / "rest/XRPETH-aggTrades-20191011_20191013.ccxt.json.gz"
    found = list(frames(source_of(path)))
    assert len(found) == 12_477
    assert {(frame.symbol, frame.channel, frame.via, frame.line) for frame in found} == {
        ("XRPETH", "aggTrade", "rest", 1)
    }
    whole = gzip.decompress(path.read_bytes())
    assert all(b'"info":%b,"timestamp"' % frame.payload in whole for frame in found[::500])
    assert (
        found[0].payload
        == b'{"a":13519807,"p":"0.00141342","q":"23.00000000","f":15373518,"l":15373518,"T":1570752011620,"m":true,"M":true}'
    )


@pytest.mark.recordings
@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("ws/barter_spot_trades_reconnects_20241220.json", "as another program (barter) wrote them"),
        ("other_venues/cf_coinbase.jsonl.zst", "a capture of COINBASE"),
        ("other_venues/cf_bybit.jsonl.zst", "a capture of BYBIT"),
        ("other_venues/cf_okx.jsonl.zst", "a capture of OKX"),
        ("other_venues/cf_kraken.jsonl.zst", "a capture of KRAKEN"),
        ("klines/BTCUSDT-5m-2025-01.csv.gz", "klines aren't trades"),
        ("klines/BTCUSDT-1m-2024-12.api.csv.gz", "klines aren't trades"),
    ],
)
def test_real_files_of_others_are_refused_at_once(recordings: Path, name: str, answer: str) -> None:
    """They would fill the log with what can never be a trade."""
    seen, error = broken(source_of(recordings / name))
    assert seen == []
    assert answer in error.message
