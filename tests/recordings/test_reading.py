"""Other people's recordings, framed: whatever they are packed in, however their lines are laid out."""

import contextlib
import gzip
import hashlib
import io
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.log.builders import MB, write_run
from tradecap.cli.logs import own_log
from tradecap.digits import number
from tradecap.errors import Exit, TradecapError
from tradecap.log.folder.log import FileLog
from tradecap.recordings import lines
from tradecap.recordings.reading import Frame, Source, expand, frames, raw_lines

NO_STDIN = io.BytesIO()
EXCHANGES = {"BINANCE": "stream.binance.com", "BINANCE_FUTURES": "fstream.binance.com"}


def frames_in(content: bytes) -> list[Frame]:
    """What an open stream with this content holds."""
    return list(frames(Source("a stream", stream=io.BytesIO(content)), EXCHANGES))


def broken(source: Source) -> tuple[list[Frame], TradecapError]:
    """The frames before the error, and the error."""
    seen: list[Frame] = []
    with pytest.raises(TradecapError) as error:
        seen.extend(frames(source, EXCHANGES))
    assert error.value.exit_code == Exit.USAGE
    assert error.value.hint
    return seen, error.value


def zstd(content: bytes) -> bytes:
    """One zstd frame with a checksum."""
    return zstandard.ZstdCompressor(write_checksum=True).compress(content)


PACKINGS: list[Callable[[bytes], bytes]] = [bytes, gzip.compress, zstd]


class Trickle(io.BytesIO):
    """A stream that gives a few bytes at a time."""

    def __init__(self, content: bytes, step: int) -> None:
        super().__init__(content)
        self._step = step

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(self._step if size is None or size < 0 else min(size, self._step))


def a_line(content: bytes) -> bytes:
    """Any bytes that are one line and no layout of their own."""
    return b"x" + content.replace(b"\n", b"")


def is_no_header(line: bytes) -> bool:
    """A header of a CSV file that isn't known is refused: `x,,` is one."""
    return sum(map(line.count, (b",", b";", b"\t"))) < 2


# --- lines


def test_a_bare_message_is_its_line() -> None:
    """What the venue sent would be changed before anybody has seen it."""
    assert frames_in(b'{"e": "trade",  "p":"1.0"}\n') == [Frame(b'{"e": "trade",  "p":"1.0"}', None, 1)]


def test_a_receive_time_in_front_is_taken_off() -> None:
    """The recorder's clock would be taken for a broken message."""
    assert frames_in(b'1723161255603123456 {"stream":"x"}\n') == [Frame(b'{"stream":"x"}', 1723161255603123456, 1)]


@pytest.mark.parametrize(
    "line",
    [
        b"1723161255603 {}",
        b"9999999999999999999 {}",
        b"17231612556031234567 {}",
        b"1723161255603123456,{}",
        b"-" * 19 + b" {}",
    ],
)
def test_other_numbers_in_front_are_no_receive_time(line: bytes) -> None:
    """Milliseconds, or a number too big for a clock, would be read as nanoseconds."""
    assert frames_in(line) == [Frame(line, None, 1)]


def test_our_own_envelopes_are_marked() -> None:
    """A segment replayed as a file would be wrapped twice."""
    line = b'{"run":"0191","seq":0,"recv":1,"data":{"run":"x"}}'
    assert frames_in(line + b"\n" + b'{"e":"trade","run":"x"}\n') == [
        Frame(line, None, 1, own=True),
        Frame(b'{"e":"trade","run":"x"}', None, 2),
    ]


def test_each_line_is_recognised_by_itself() -> None:
    """A file of two recorders, joined with cat, would be read wrongly from the second on."""
    found = frames_in(b'{"a":1}\n1723161255603123456 {"b":2}\n{"run":"0191","seq":0}\nrubbish\n')
    assert [(frame.recv_ns, frame.own) for frame in found] == [
        (None, False),
        (1723161255603123456, False),
        (None, True),
        (None, False),
    ]


def test_blank_lines_count_and_are_no_messages() -> None:
    """Line numbers in records would point at the wrong line."""
    assert frames_in(b'\n  \r\n{"a":1}\n\t\n{"b":2}') == [Frame(b'{"a":1}', None, 3), Frame(b'{"b":2}', None, 5)]


def test_blanks_carriage_returns_and_a_byte_order_mark_are_no_part_of_a_message() -> None:
    """A recording from Windows would end in quarantine, line by line."""
    assert frames_in(b'\xef\xbb\xbf{"a":1}\r\n \t{"b":2} \r\n') == [
        Frame(b'{"a":1}', None, 1),
        Frame(b'{"b":2}', None, 2),
    ]


def test_a_last_line_without_newline_is_a_line() -> None:
    """The last trade of a recording would be lost."""
    assert [frame.payload for frame in frames_in(b"a\nb")] == [b"a", b"b"]


@pytest.mark.parametrize("pack", PACKINGS)
def test_nothing_holds_nothing(pack: Callable[[bytes], bytes]) -> None:
    """An empty file would be an error, or one empty message."""
    assert frames_in(pack(b"")) == []


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.just(b"") | st.binary(max_size=40).map(a_line).filter(is_no_header), max_size=30),
    st.integers(1, 50),
    st.sampled_from(PACKINGS),
)
def test_lines_are_the_same_however_they_arrive(lines: list[bytes], step: int, pack: Callable[[bytes], bytes]) -> None:
    """A pipe that gives half a line at a time, or a packing, would change what is read."""
    found = frames(Source("a pipe", stream=Trickle(pack(b"\n".join(lines)), step)))
    assert list(found) == [Frame(line.strip(b" \t\r"), None, number) for number, line in enumerate(lines, 1) if line]


def test_a_pipe_is_read_as_it_fills() -> None:
    """`tail -f | tradecap replay -` would show nothing until some buffer is full."""
    out, into = os.pipe()
    with open(out, "rb") as reading, open(into, "wb", buffering=0) as writing:  # noqa: PTH123 -- file descriptors, no paths
        writing.write(b"first\nsecond\n")
        found = frames(Source("stdin", stream=reading))
        closing = threading.Timer(5, writing.close)
        closing.start()
        assert [next(found).payload, next(found).payload] == [b"first", b"second"]
        assert not writing.closed
        closing.cancel()


def test_raw_lines_are_taken_as_they_are(tmp_path: Path) -> None:
    """Bad records that somebody wrote down on purpose would be repaired on the way in."""
    (tmp_path / "bad").write_bytes(b'1723161255603123456 {"a":1}\r\n\n  {"b":2} \n')
    assert list(raw_lines(str(tmp_path / "bad"), NO_STDIN)) == [b'1723161255603123456 {"a":1}\r', b'  {"b":2} ']


# --- long lines


def test_a_line_too_long_to_hold_is_its_beginning_with_size_and_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file without newlines would fill the memory, or a cut record would claim to be whole."""
    monkeypatch.setattr(lines, "MAX_LINE", MB)
    payload = b"{" + b"x" * (2 * MB) + b"}"
    head = payload[: 64 * 1024]
    expected = Frame(head, 1723161255603123456, 2, False, len(payload), hashlib.sha256(payload).hexdigest())
    found = frames_in(b"short\n  1723161255603123456 " + payload + b" \r\nafter\n")
    assert found == [Frame(b"short", None, 1), expected, Frame(b"after", None, 3)]


def test_a_long_line_at_the_end_of_a_file_needs_no_newline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A binary file would be dropped instead of being quarantined."""
    monkeypatch.setattr(lines, "MAX_LINE", MB)
    payload = b"\0" * (MB + 1)
    assert frames_in(payload) == [
        Frame(payload[: 64 * 1024], None, 1, False, MB + 1, hashlib.sha256(payload).hexdigest())
    ]


def test_a_raw_line_too_long_to_hold_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its beginning would be injected in its place."""
    monkeypatch.setattr(lines, "MAX_LINE", MB)
    (tmp_path / "bad").write_bytes(b"short\n" + b"x" * (MB + 1))
    with pytest.raises(TradecapError, match="bad:2 is longer than 1\u202f048\u202f576 bytes"):
        list(raw_lines(str(tmp_path / "bad"), NO_STDIN))


def test_a_line_of_just_the_limit_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound would be one byte off."""
    monkeypatch.setattr(lines, "MAX_LINE", MB)
    assert frames_in(b"x" * MB + b"\n") == [Frame(b"x" * MB, None, 1)]


# --- packings


def test_concatenated_members_are_one_recording() -> None:
    """Files rotated and joined with cat would end after the first part; gzip pads with zeros on tape."""
    assert [f.payload for f in frames_in(gzip.compress(b"a\nb") + gzip.compress(b"c\n") + b"\0" * 100)] == [b"a", b"bc"]
    assert [f.payload for f in frames_in(zstd(b"a\nb") + zstd(b"c\n"))] == [b"a", b"bc"]


@pytest.mark.parametrize("pack", PACKINGS[1:])
def test_a_file_cut_short_gives_what_came_before_and_says_so(pack: Callable[[bytes], bytes]) -> None:
    """Half a recording would pass for a whole one."""
    lines = [os.urandom(40).hex().encode() for _ in range(20_000)]
    packed = pack(b"\n".join(lines) + b"\n")
    seen, error = broken(Source("rec.gz", stream=io.BytesIO(packed[: len(packed) * 2 // 3])))
    assert 5_000 < len(seen) < 20_000
    assert [frame.payload for frame in seen] == lines[: len(seen)]
    assert error.message.startswith(f"rec.gz is cut short after line {number(len(seen))} (")


@pytest.mark.parametrize("pack", PACKINGS[1:])
@pytest.mark.parametrize("lost", [1, 3, 6])
def test_a_cut_in_the_checksum_costs_no_line(pack: Callable[[bytes], bytes], lost: int) -> None:
    """The last lines of a file that lost a few bytes would be dropped although they are there."""
    if pack is zstd and lost > 4:
        return
    seen, error = broken(Source("rec", stream=io.BytesIO(pack(b"a\nb\n")[:-lost])))
    assert [frame.payload for frame in seen] == [b"a", b"b"]
    assert "after line 2 " in error.message


@pytest.mark.parametrize(("pack", "place"), [(gzip.compress, -6), (zstd, -2)])
def test_a_wrong_checksum_is_damage(pack: Callable[[bytes], bytes], place: int) -> None:
    """A flipped bit in somebody's archive would be taken for what the venue sent."""
    packed = bytearray(pack(b"a\nb\n"))
    packed[place] ^= 1
    seen, error = broken(Source("rec", stream=io.BytesIO(bytes(packed))))
    assert [frame.payload for frame in seen] == [b"a", b"b"]
    assert error.message.startswith("rec is damaged after line 2 (")
    assert "checksum" in error.message


def test_a_zip_is_refused_with_the_way_round_it() -> None:
    """Its bytes would be logged as garbage."""
    _, error = broken(Source("x.zip", stream=io.BytesIO(b"PK\x03\x04rest")))
    assert "unzip -p" in error.hint


def test_a_packed_line_of_zeros_stays_small() -> None:
    """A few bytes of zstd could be blown up to gigabytes at once."""
    found = frames_in(zstd(b"a\n" + b"\0" * (20 * MB) + b"\nb\n"))
    assert [len(frame.payload) for frame in found] == [1, 20 * MB, 1]


def skippable(kind: int, content: bytes) -> bytes:
    """A zstd frame of which a reader makes nothing."""
    return bytes([0x50 + kind]) + b"\x2a\x4d\x18" + len(content).to_bytes(4, "little") + content


def test_skippable_frames_hold_no_line() -> None:
    """pzstd begins each file with one: such a recording was taken for a binary file."""
    for kind in range(16):
        assert [
            f.payload
            for f in frames_in(skippable(kind, b"size") + zstd(b"a\n") + skippable(kind, b"\n" * 3000) + zstd(b"b\n"))
        ] == [b"a", b"b"]
    found, error = broken(Source("r", stream=io.BytesIO(zstd(b"a line\n") + skippable(0, b"size")[:-1])))
    assert [f.payload for f in found] == [b"a line"]
    assert "cut short" in error.message


@pytest.mark.parametrize("window_log", [27, 28, 31])
def test_a_long_window_is_read(window_log: int) -> None:
    """What `zstd --long=31` packed could not be read at all. A window takes memory only as it fills."""
    parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=window_log, enable_ldm=True)
    # without its size a frame declares the whole window
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    packed = packer.compress(b"a\n" * 1000) + packer.flush()
    assert zstandard.get_frame_parameters(packed).window_size == 2**window_log
    assert len(frames_in(packed)) == 1000


# --- sources


def test_a_packing_is_recognised_by_content_not_by_name(tmp_path: Path) -> None:
    """A download that lost its ending could not be read."""
    for name, pack in (("plain.gz", bytes), ("packed.json", gzip.compress), ("packed", zstd)):
        (tmp_path / name).write_bytes(pack(b"a\nb\n"))
    for source in expand([str(path) for path in sorted(tmp_path.iterdir())], NO_STDIN, own_log):
        assert [frame.payload for frame in frames(source)] == [b"a", b"b"]


def test_a_log_of_ours_is_a_recording(tmp_path: Path) -> None:
    """A capture could not be replayed without unpacking it by hand."""
    log = FileLog(tmp_path / "log", create=True)
    lines = write_run(log, 20, segment_bytes=1000) + write_run(log, 3)
    (source,) = expand([str(tmp_path / "log")], NO_STDIN, own_log)
    found = list(frames(source))
    assert [frame.payload + b"\n" for frame in found] == lines
    assert all(frame.own for frame in found)


def test_a_damaged_log_of_ours_is_reported_as_one(tmp_path: Path) -> None:
    """Records would be missing from the replay without a word."""
    write_run(FileLog(tmp_path / "log", create=True), 20, segment_bytes=1000)
    (tmp_path / "log" / "000002.ndjson.zst").unlink()
    (source,) = expand([str(tmp_path / "log")], NO_STDIN, own_log)
    seen, error = broken(source)
    assert len(seen) >= 5
    assert "000002.ndjson.zst" in error.message


def test_a_dash_is_stdin() -> None:
    """Recordings could not be piped in."""
    (source,) = expand(["-"], io.BytesIO(gzip.compress(b"a\n")), own_log)
    assert (source.name, [frame.payload for frame in frames(source)]) == ("stdin", [b"a"])


@pytest.mark.parametrize(
    ("path", "report"),
    [("none.gz", "No such file"), ("plain/below", "Not a directory"), ("folder", "is a folder, but no log")],
)
def test_what_is_not_there_is_reported_before_anything_is_read(tmp_path: Path, path: str, report: str) -> None:
    """The first of two files would be logged before the typing error in the second shows."""
    (tmp_path / "plain").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(TradecapError) as error:
        expand([str(tmp_path / "plain"), str(tmp_path / path)], NO_STDIN, own_log)
    assert str(tmp_path / path) in error.value.message
    assert report in error.value.message
    assert error.value.hint


def test_a_file_that_vanishes_is_one_sentence(tmp_path: Path) -> None:
    """A traceback instead of a sentence."""
    (tmp_path / "plain").touch()
    (source,) = expand([str(tmp_path / "plain")], NO_STDIN, own_log)
    (tmp_path / "plain").unlink()
    _, error = broken(source)
    assert error.message == f"{tmp_path / 'plain'} can't be read at its beginning: No such file or directory."


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=200),
    st.sampled_from([b"", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\x1f\x8b\x08\0", b"\x28\xb5\x2f\xfd\x24"]),
)
def test_no_bytes_whatever_make_anything_but_frames_or_one_error(content: bytes, magic: bytes) -> None:
    """A broken download would end in a traceback."""
    with contextlib.suppress(TradecapError):
        frames_in(magic + content)


@pytest.mark.recordings
def test_a_real_recording_with_receive_times_is_framed() -> None:
    """Blank lines and snapshots between the messages of a real recorder would upset it."""
    path = Path(os.environ["TRADECAP_RECORDINGS"]) / "ws/hft_spot_ethusdt_20240808.gz"
    (source,) = expand([str(path)], NO_STDIN, own_log)
    found = list(frames(source))
    assert len(found) == 33_618
    assert all(frame.recv_ns for frame in found)
    assert all(frame.payload.startswith(b"{") and frame.payload.endswith(b"}") for frame in found)
