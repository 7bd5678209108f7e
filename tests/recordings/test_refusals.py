"""Containers are read member by member; what can't be read is refused with what it is and what to run."""

import bz2
import contextlib
import gzip
import io
import lzma
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.recordings.test_formats import MESSAGE, ROW, SPOT_TRADE, USDM_AGG_TRADE, file_of, payloads, refused, zip_of
from tests.recordings.test_reading import broken, frames_in, zstd
from tradecap.errors import TradecapError
from tradecap.flows.replay.recognition import TRADE, refusal
from tradecap.recordings.reading import Frame, Source, frames

PACKS: list[Callable[[bytes], bytes]] = [bytes, gzip.compress, zstd, bz2.compress, lzma.compress]
HEADER = b"id,price,qty,quote_qty,time,is_buyer_maker\n"


def tar_of(members: dict[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar file with these members."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=form) as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return written.getvalue()


@pytest.mark.parametrize("pack", PACKS[3:])
def test_bzip2_and_xz_are_read_stream_after_stream(pack: Callable[[bytes], bytes]) -> None:
    """A packed recording would be called no recording, or end after its first part."""
    assert payloads(frames_in(pack(MESSAGE + b"\n") + pack(MESSAGE * 2))) == [MESSAGE, MESSAGE * 2]


@pytest.mark.parametrize("pack", PACKS[3:])
def test_a_cut_or_flipped_stream_is_reported_after_what_came_before(pack: Callable[[bytes], bytes]) -> None:
    """A broken download would be a traceback, or pass for whole."""
    packed = pack(b"".join(b"%d,%d\n" % (n, n * n) for n in range(50_000)))
    for content, state in (
        (packed[:-20], "cut short"),
        (packed[: len(packed) // 2] + b"\x55" * 9 + packed[len(packed) // 2 + 9 :], "damaged"),
    ):
        _, error = broken(file_source(content))
        assert state in error.message


def file_source(content: bytes) -> Source:
    """An open stream with this content."""
    return Source("rec", stream=io.BytesIO(content))


@pytest.mark.parametrize("pack", PACKS)
@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_tar_is_its_members_one_after_another(pack: Callable[[bytes], bytes], form: int) -> None:
    """The first line of each member was lost to the header in front of it."""
    members = {
        "x" * 150 + "/BTCUSDT-trades-2024-01-01.csv": HEADER + SPOT_TRADE,
        "._BTCUSDT-trades-2024-01-01.csv": b"\0\5\x16\7",
        "empty": b"",
        "ETHUSDT-aggTrades-2024.csv.gz": gzip.compress(USDM_AGG_TRADE + b"\n"),
        "rest.json": b"[" + ROW + b"]\n",
    }
    members = {
        name.removeprefix("x" * 60 if form == tarfile.USTAR_FORMAT else ""): content
        for name, content in members.items()
    }
    assert frames_in(pack(tar_of(members, form))) == [
        Frame(SPOT_TRADE, None, 2, symbol="BTCUSDT", channel="trade", via="archive"),
        Frame(USDM_AGG_TRADE, None, 3, symbol="ETHUSDT", channel="aggTrade", via="archive"),
        Frame(ROW, None, 4, channel="trade", via="rest"),
    ]


@pytest.mark.parametrize("kept", [700, 1500, 2100, 3000])
def test_a_tar_cut_anywhere_is_reported(kept: int) -> None:
    """The library takes a header that breaks off for the end of the tar."""
    content = tar_of({"a": b"{}\n" * 300, "b": b"{}\n" * 300, "c": b"{}"}, tarfile.USTAR_FORMAT)
    assert "cut short" in broken(file_source(content[:kept]))[1].message


def test_tars_joined_are_reported() -> None:
    """What follows the first tar's end would be lost without a word."""
    assert "its last members can't be read" in broken(file_source(tar_of({"a": b"{}"}) * 2))[1].message


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_damage_to_a_tar_is_a_traceback(data: st.DataObject) -> None:
    """A broken download would end the replay of a whole folder."""
    content = bytearray(
        tar_of({"a.csv": SPOT_TRADE * 5, "b": b"[" + ROW + b"]"}, data.draw(st.sampled_from([0, 1, 2])))
    )
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, 3000))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(TradecapError):
        list(frames(file_source(bytes(content[: data.draw(st.integers(1, len(content)))]))))


@pytest.mark.parametrize(
    ("start", "what", "run"),
    [
        (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "7z x -so rec | tradecap replay -"),
        (b"Rar!\x1a\7", "a RAR archive", "unrar p -inul rec | tradecap replay -"),
        (b"PAR1", "a Parquet file", "read_parquet('rec')"),
        (b"ARROW1", "an Arrow", "CSV"),
        (b"SQLite format 3\0", "a SQLite database", "sqlite3 -csv rec"),
    ],
)
@pytest.mark.parametrize("pack", PACKS[:2])
def test_a_format_that_is_not_read_is_named(start: bytes, what: str, run: str, pack: Callable[[bytes], bytes]) -> None:
    """Somebody would look for the fault in his data."""
    _, error = broken(file_source(pack(start + b"\0" * 600)))
    assert what in error.message
    assert run in error.hint


def test_a_workbook_is_named(tmp_path: Path) -> None:
    """Its members would be a thousand lines of XML."""
    path = zip_of(tmp_path / "x.xlsx", {"[Content_Types].xml": b"<x/>", "xl/workbook.xml": b"<x/>"})
    assert "an Excel workbook" in refused_file(path)


def refused_file(path: Path) -> str:
    """The sentence a file is refused with."""
    seen, error = broken(file_of(path, path.read_bytes()))
    assert seen == []
    return error.message


@pytest.mark.parametrize(
    "header",
    [
        b",id,price,qty,quote_qty,time,is_buyer_maker",
        b"price,id,qty,quote_qty,time,is_buyer_maker",
        b"timestamp;price;amount;side",
        b"unix\tdate\tsymbol",
        b"# ts, px, sz, side",
        b'"trade_id","timestamp","price"',
        b"id,price,qty,quote_qty,time,is_buyer_maker,fee",
        b"a,p,q,f,l,T,m,M",
    ],
)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_header_that_is_not_known_is_refused_with_what_it_says(header: bytes, mark: bytes) -> None:
    """An index in front would become the id, and the id the price."""
    message = refused(mark + header + b"\n0,1234567,100,5,500,1704067200000,True\n")
    assert message == f"rec:1 is a header that isn't known: '{header.decode()}'."


@pytest.mark.parametrize(
    "line", [b"error, timed out, again", b"x,y,z", b"price", b'"price","qty"', b'"a": "price, x, y"']
)
def test_a_line_of_words_inside_a_recording_is_no_header(line: bytes) -> None:
    """A slip in the middle of a recording would end its replay."""
    assert payloads(frames_in(MESSAGE + b"\n" + line)) == [MESSAGE, line]


def test_a_csv_of_tardis_is_named() -> None:
    """Its prices went through another program, but they look like the venue's."""
    assert "a CSV file of Tardis" in refused(
        b"exchange,symbol,timestamp,local_timestamp,id,side,price,amount\nbinance,btcusdt,1,2,3,buy,1,2\n"
    )


@pytest.mark.parametrize(
    ("content", "what", "run"),
    [
        (b"{'e': 'trade', 's': 'A'}", "Python dicts", "ast.literal_eval"),
        (b'{\n  "e": "trade",\n  "s": "A"\n}', "pretty-printed", "jq -c . rec"),
        (b'{"e":"trade","s":"A"}{"e":"trade"}', "share a line", "jq -c . rec"),
        (b'[[1570752011620,"13519807",null,"sell",0.00141342,23.0,0.03]]', "freqtrade's lists", "archive"),
        (b'{"type":"trade","symbol":"BTCUSDT","localTimestamp":"x"}', "tardis-machine normalises", "/replay"),
        (b'{"foo":1}', "nothing in its only line", "docs/recordings.md"),
    ],
)
def test_a_refusal_says_what_the_file_is_and_what_to_run(content: bytes, what: str, run: str) -> None:
    """'No message of a known venue' sends somebody looking in the wrong place."""
    error = refusal("rec", content.split(b"\n"), [], None)
    assert error is not None
    assert what in error.message
    assert run in error.hint
    assert refusal("rec", [], [TRADE], None) is None
