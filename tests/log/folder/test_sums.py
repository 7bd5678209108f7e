"""The sums of segments: what certificates are made of."""

import hashlib
from pathlib import Path

import pytest

from tests.log.builders import begin, lines_of, records_of, write_run
from tradecap.log.api import Damage
from tradecap.log.folder.log import FileLog
from tradecap.log.folder.sums import Mark, Sum, marks, prefix_sha256, sums


@pytest.fixture
def log(tmp_path: Path) -> FileLog:
    """A log of one closed segment."""
    made = FileLog(tmp_path / "log", create=True)
    write_run(made, 9)
    return made


def plain_bytes(log: FileLog) -> bytes:
    """All lines."""
    return b"".join(lines_of(log.read()))


def test_a_segment_is_summed_over_its_uncompressed_bytes(log: FileLog) -> None:
    """Another level of compression would look like a change of the records."""
    data = plain_bytes(log)
    expected = [Sum(1, 10, len(data), hashlib.sha256(data).hexdigest(), True)]
    assert sums(log, marks(log), []) == expected
    (log.path / "000001.json").unlink()
    assert sums(log, [Mark(1, None)], [Damage("000001.json", 0, "the manifest is missing")]) == expected


def test_a_manifest_is_not_believed_where_a_pass_found_damage(log: FileLog) -> None:
    """The sum of bytes that are no longer there would be certified."""
    (whole,) = sums(log, marks(log), [])
    packed = log.path / "000001.ndjson.zst"
    packed.write_bytes(packed.read_bytes()[:-20])
    (found,) = sums(log, marks(log), [Damage("000001.ndjson.zst", 3, "its zstd data ends too early")])
    assert (found.problem, found.sha256 != whole.sha256) == ("its zstd data ends too early", True)


def test_of_a_segment_that_is_written_only_what_was_durable_then_is_summed(log: FileLog) -> None:
    """Records would be certified that the pass over the log hasn't seen."""
    with begin(log) as writer:
        first, second = records_of(writer.run, 2)
        writer.append(first)
        writer.flush()
        before = marks(log)
        writer.append(second)
        writer.flush()
        assert before == [Mark(1, None), Mark(2, len(first))]
        assert sums(log, before, [])[1] == Sum(2, 1, len(first), hashlib.sha256(first).hexdigest(), False)
    assert prefix_sha256(log, 2, len(first)) == hashlib.sha256(first).hexdigest()
    assert prefix_sha256(log, 2, 10**9) == ""
