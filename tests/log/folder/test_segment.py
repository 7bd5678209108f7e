"""The files of one segment, and the steps that close it."""

import hashlib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.log.builders import unpack
from tradecap.log.folder.segment import (
    DurableLength,
    Head,
    Manifest,
    Segment,
    close_segment,
    durable_length,
    first_bytes,
    last_number,
    read_head,
    segment_numbers,
    write_head,
)


def a_manifest(number: int = 7, size: int = 4, log: str = "a-log") -> Manifest:
    place = {"run": "0191", "seq": 0}
    answer = {"log": log, "segment": number, "records": 1, "bytes": size, "sha256": "", "previous": "", "first": place}
    return msgspec.convert(answer | {"last": place, "ended": True, "recovered": [], "series": []}, Manifest)


@given(st.lists(st.binary(max_size=9), max_size=6), st.integers(0, 60))
def test_the_first_bytes_are_those(chunks: list[bytes], size: int) -> None:
    """What a crash left behind the last whole record would be packed with it, or the last record be cut."""
    assert b"".join(first_bytes(chunks, size)) == b"".join(chunks)[:size]


def test_a_segment_is_closed_with_the_bytes_that_count_and_their_hashes(tmp_path: Path) -> None:
    """`verify` would find damage in a sound segment, or nothing in a damaged one."""
    segment = Segment(tmp_path, 7)
    segment.plain.write_bytes(b"one\ntorn")
    closed = close_segment(segment, a_manifest())
    assert unpack(segment.packed) == b"one\n"
    assert closed.sha256 == hashlib.sha256(b"one\n").hexdigest()
    assert closed.packed == hashlib.sha256(segment.packed.read_bytes()).hexdigest()
    assert segment.read_manifest("a-log") == closed
    assert sorted(file.name for file in tmp_path.iterdir()) == ["000007.json", "000007.ndjson.zst"]
    assert (segment.is_closed(), segment.is_trimmed(), segment.is_begun()) == (True, False, True)
    assert segment.next == Segment(tmp_path, 8)
    assert not segment.next.is_begun()


@pytest.mark.parametrize(
    ("manifest", "problem"),
    [
        (None, "the manifest is missing"),
        (a_manifest(log="another"), "the manifest is of another log, another"),
        (a_manifest(number=8), "the manifest is of segment 000008"),
    ],
)
def test_a_manifest_of_something_else_is_named(tmp_path: Path, manifest: Manifest | None, problem: str) -> None:
    """A file copied from another log would vouch for records that it never described."""
    segment, source = Segment(tmp_path, 7), Segment(tmp_path, 9)
    if manifest:
        source.plain.write_bytes(b"one\n")
        close_segment(source, manifest)
        source.manifest.rename(segment.manifest)
    assert segment.read_manifest("a-log") == problem
    segment.manifest.write_bytes(b"{")
    assert segment.read_manifest("a-log") == "the manifest is unreadable"


def test_a_length_that_is_half_written_leaves_the_one_before(tmp_path: Path) -> None:
    """A reader would go beyond what is durable, and hand out records that a power cut takes back."""
    segment = Segment(tmp_path, 1)
    assert durable_length(segment) == 0
    durable = DurableLength(segment)
    before = b""
    for length in (5, 70, 900):
        before = segment.durable.read_bytes()
        durable.publish(length)
        assert durable_length(segment) == length
    after = segment.durable.read_bytes()
    for end in range(31):
        segment.durable.write_bytes(after[:end] + before[end:])
        assert durable_length(segment) in ((900,) if end == 30 else (70, 900))
    durable.close()


def test_numbers_are_those_of_segments_and_never_fall(tmp_path: Path) -> None:
    """The next segment would overwrite one that is there, or one that was there."""
    for name in (
        "000002.ndjson",
        "000010.json",
        "1000000.ndjson.zst",
        "000003.torn",
        "log.json",
        "x000004.json",
        "000005.ndjson.tmp",
    ):
        (tmp_path / name).touch()
    assert segment_numbers(tmp_path) == [2, 10, 1_000_000]
    assert last_number(tmp_path) == 1_000_000
    write_head(tmp_path, Head(1_000_001, "r"))
    assert read_head(tmp_path) == Head(1_000_001, "r")
    assert last_number(tmp_path) == 1_000_001
    (tmp_path / "head.json").write_bytes(b"{")
    assert read_head(tmp_path) is None
    assert Segment(tmp_path, 7).position(123) == "000007:123"
