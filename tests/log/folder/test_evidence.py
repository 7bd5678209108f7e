"""The sums of segments: what certificates are made of."""

import hashlib
from pathlib import Path

import pytest

from tests.log.builders import begin, lines_of, records_of, write_run
from tradecap.log.api import Damage, DamageKind, Part
from tradecap.log.folder.log import FileLog


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
    packed = hashlib.sha256((log.path / "000001.ndjson.zst").read_bytes()).hexdigest()
    expected = [Part("000001", 10, len(data), hashlib.sha256(data).hexdigest(), is_closed=True, packed=packed)]
    snapshot = log.snapshot()
    assert snapshot.evidence([]) == expected
    (log.path / "000001.json").unlink()
    assert snapshot.evidence([Damage(DamageKind.LOST_NOTE, "000001.json", "the manifest is missing")]) == expected


def test_a_manifest_is_not_believed_where_a_pass_found_damage(log: FileLog) -> None:
    """The sum of bytes that are no longer there would be certified."""
    (whole,) = log.snapshot().evidence([])
    packed = log.path / "000001.ndjson.zst"
    packed.write_bytes(packed.read_bytes()[:-20])
    (found,) = log.snapshot().evidence(
        [Damage(DamageKind.BROKEN_PART, "000001.ndjson.zst:3", "its zstd data ends too early")]
    )
    assert (found.problem, found.sha256 != whole.sha256) == ("its zstd data ends too early", True)


def test_of_a_segment_that_is_written_only_what_was_durable_then_is_summed(log: FileLog) -> None:
    """Records would be certified that the pass over the log hasn't seen."""
    with begin(log) as writer:
        first, second = records_of(writer.run, 2)
        writer.append(first)
        writer.flush()
        snapshot = log.snapshot()
        writer.append(second)
        writer.flush()
        part = snapshot.evidence([])[1]
        assert part == Part("000002", 1, len(first), hashlib.sha256(first).hexdigest(), is_closed=False)
        assert lines_of(snapshot.read())[10:] == [first]
    assert lines_of(snapshot.read())[10:] == [first]
    assert (again := log.again(part)) is not None
    assert again.sha256 == part.sha256
    assert log.again(part._replace(size=10**9)) is None
