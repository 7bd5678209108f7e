"""Trimmed segments: their records are elsewhere, and what the next writer must know of them stays."""

import json
from pathlib import Path

import msgspec
import pytest

from tests.flows.builders import begun, replayed, some_messages
from tests.log.builders import lines_of, manifest_of, strand
from tradecap.errors import TradecapError
from tradecap.flows.capture.resume import known_ids
from tradecap.flows.records import read_record
from tradecap.log.api import Damage
from tradecap.log.folder import log as formats
from tradecap.log.folder import trimming
from tradecap.log.folder.log import FileLog
from tradecap.log.folder.segment import read_folded
from tradecap.log.folder.trimming import trim

pytestmark = pytest.mark.core


@pytest.fixture
def log(folder: Path) -> FileLog:
    return FileLog(folder, create=True)


def trimmed(log: FileLog, before: int) -> int:
    return trim(log.path, log.id, before, (), read_record)


def known(log: FileLog) -> list[tuple[int, int]]:
    return known_ids(log, "binance", "trade", ["BTCUSDT"])["BTCUSDT"].intervals()


def some_segments(log: FileLog) -> None:
    """A whole log of some segments in two runs."""
    replayed(log, some_messages([*range(100), *range(150, 200)]), segment_bytes=5000)
    replayed(log, some_messages(range(200, 300)), segment_bytes=5000)


def test_a_trimmed_segment_is_no_damage_and_its_ids_are_known(log: FileLog) -> None:
    """A spool would look broken, or a capture would fetch again what the topic has."""
    some_segments(log)
    lines, ids, numbers = lines_of(log.read()), known(log), sorted(log.path.glob("*.ndjson.zst"))
    assert trimmed(log, 6) == 5
    assert sorted(log.path.glob("*.ndjson.zst")) == numbers[5:]
    left = lines_of(log.read())  # damage would be raised
    assert left == lines[-len(left) :]
    assert 0 < len(left) < len(lines)
    assert known(log) == ids
    assert trimmed(log, 6) == 0


@pytest.mark.parametrize("fold", [1, 2, 1000])
def test_a_writer_goes_on_after_trimmed_and_folded_segments(
    log: FileLog, fold: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new run must be greater than those that are gone, their torn runs attested, and numbers of segments never used
    again."""
    monkeypatch.setattr(trimming, "FOLD", fold)
    some_segments(log)
    with log.writer() as writer:
        torn = begun(writer, some_messages(range(300, 310)))
        newest = writer.run
    replay_of_torn = torn.records
    last = max(int(file.name[:6]) for file in log.path.glob("*.ndjson.zst"))
    ids = known(log)
    assert trimmed(log, last + 1) == last
    assert not list(log.path.glob("*.ndjson.zst"))
    folded = read_folded(log.path)
    assert (folded.segment if folded else 0) == (last if fold < last else 0)
    assert known(log) == ids
    assert lines_of(log.read()) == []
    with log.writer() as writer:
        assert writer.run > newest
        assert [(each.run, each.last_seq) for each in writer.torn] == [(newest, replay_of_torn - 1)]
        begun(writer, some_messages(range(310, 320))).end()
    assert manifest_of(log.path, last + 1).segment == last + 1
    assert known(log) == [(0, 99), (150, 319)]
    trimmed(log, last + 2)
    assert log.writer().torn == []


def test_many_folds_say_the_same_as_none(log: FileLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Months of a capture are folded many times: what is known may not get less each time."""
    monkeypatch.setattr(trimming, "FOLD", 1)
    some_segments(log)
    ids = known(log)
    last = max(int(file.name[:6]) for file in log.path.glob("*.json") if file.name[0].isdigit())
    for before in range(1, last + 2):
        trimmed(log, before)
        assert known(log) == ids
    folded = read_folded(log.path)
    assert folded is not None
    assert folded.unended == {}
    assert folded.records == 254


def test_the_ids_of_a_rebuilt_manifest_are_read_before_its_segment_goes(log: FileLog) -> None:
    """After kill -9 the manifest has no ids, and after the trim nobody could read them any more."""
    replayed(log, some_messages(range(50)))
    strand(log.path, 1)
    with log.writer() as writer:
        begun(writer, some_messages(range(50, 60))).end()
    assert manifest_of(log.path, 1).series[0].ids is None
    trimmed(log, 2)
    assert known(log) == [(0, 59)]


def test_a_crash_in_the_middle_of_a_trim_is_made_up_for(log: FileLog) -> None:
    """Between the mark in the manifest and the removal, the packed file is one too many."""
    some_segments(log)
    manifest = manifest_of(log.path, 1)
    (log.path / "000001.json").write_bytes(msgspec.json.encode(msgspec.structs.replace(manifest, trimmed=True)))
    left = lines_of(log.read())
    trimmed(log, 2)
    assert not (log.path / "000001.ndjson.zst").exists()
    assert lines_of(log.read()) == left


def test_a_segment_that_is_lost_is_still_damage(log: FileLog) -> None:
    """A deleted file would pass for a trimmed one."""
    some_segments(log)
    trimmed(log, 3)
    (log.path / "000004.ndjson.zst").unlink()
    damage: list[Damage] = []
    lines_of(log.read(on_damage=damage.append))
    assert [each.place for each in damage] == ["000004.ndjson.zst"]


def test_an_older_version_says_that_it_is_too_old(log: FileLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would name every trimmed segment as damage; a log that isn't trimmed it still reads."""
    some_segments(log)
    monkeypatch.setattr(formats, "FORMAT", 1)
    assert FileLog(log.path, create=False).id == log.id
    monkeypatch.undo()
    trimmed(log, 2)
    assert json.loads((log.path / "log.json").read_bytes()) == {"id": log.id, "format": 2}
    monkeypatch.setattr(formats, "FORMAT", 1)
    with pytest.raises(TradecapError, match="newer tradecap"):
        FileLog(log.path, create=False)
