"""Manifests made again: which, from what evidence, and what is left to a person."""

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.flows.builders import begun, load, quietly, replayed, some_messages, verdict_of
from tests.log.builders import lines_of, manifest_of, repack, strand, unpack
from tradecap.errors import Exit, TradecapError
from tradecap.flows.rebuild import record_rebuilt
from tradecap.flows.records import read_record
from tradecap.log import rebuild_manifests
from tradecap.log.api import Damage
from tradecap.log.folder.log import FileLog
from tradecap.log.folder.manifests import LEFT, REBUILT, Repaired
from tradecap.store.clickhouse.store import ClickHouseStore


@pytest.fixture
def whole(log: FileLog) -> FileLog:
    """A run of 40 trades in several segments, and one of ten in the last."""
    replayed(log, some_messages(range(1, 41)), segment_bytes=4000)
    replayed(log, some_messages(range(41, 51)))
    return log


def last_of(log: FileLog) -> int:
    """The number of the last segment."""
    return max(int(file.name[:6]) for file in log.path.glob("*.zst"))


def damages(log: FileLog) -> list[Damage]:
    """What a reader finds."""
    found: list[Damage] = []
    list(log.read(on_damage=found.append))
    return found


def repaired(log: FileLog) -> list[tuple[str, str]]:
    """Segments and what was done."""
    return [(each.segment[:6], each.done) for each in rebuild_manifests(log, read_record, quietly)]


def changed(log: FileLog, number: int, **fields: Any) -> bytes:
    """Write something else into a manifest; the bytes it had before."""
    path = log.path / f"{number:06d}.json"
    before = path.read_bytes()
    path.write_bytes(msgspec.json.encode(msgspec.structs.replace(manifest_of(log.path, number), **fields)))
    return before


def test_a_whole_log_is_left_alone(whole: FileLog) -> None:
    """Evidence would be replaced by a copy of itself."""
    before = {file.name: file.stat().st_mtime_ns for file in whole.path.iterdir()}
    assert repaired(whole) == []
    after = {file.name: file.stat().st_mtime_ns for file in whole.path.iterdir()}
    assert {name: time for name, time in after.items() if name != "lock"} == {
        name: time for name, time in before.items() if name != "lock"
    }


@pytest.mark.parametrize("number", [1, 2, "last"])
def test_a_lost_manifest_comes_back_as_it_was(whole: FileLog, number: int | str) -> None:
    """The ids of a segment would be unknown forever, and the log damaged."""
    number = last_of(whole) if number == "last" else int(number)
    before = manifest_of(whole.path, number)
    (whole.path / f"{number:06d}.json").unlink()
    assert repaired(whole) == [(f"{number:06d}", REBUILT)]
    assert manifest_of(whole.path, number) == msgspec.structs.replace(before, rebuilt=True)
    assert damages(whole) == []


@pytest.mark.parametrize("text", [b"", b"{}", os.urandom(200)])
def test_an_unreadable_manifest_is_made_again_and_the_old_one_kept(whole: FileLog, text: bytes) -> None:
    """What was there would be lost for whoever wants to know what happened."""
    path = whole.path / "000002.json"
    path.write_bytes(text)
    assert repaired(whole) == [("000002", REBUILT)]
    assert (whole.path / "000002.json.bak").read_bytes() == text
    assert damages(whole) == []


def test_earlier_copies_are_kept_too(whole: FileLog) -> None:
    """A second repair would overwrite what the first one kept."""
    for text in (b"one", b"two"):
        (whole.path / "000002.json").write_bytes(text)
        repaired(whole)
    assert [(whole.path / f"000002.json.{name}").read_bytes() for name in ("bak", "bak2")] == [b"one", b"two"]


@pytest.mark.parametrize(
    "fields",
    [{"records": 3}, {"size": 5}, {"first": None}, {"ended": True}, {"recovered": ["x"]}, {"sha256": "0" * 64}],
)
def test_a_manifest_that_says_otherwise_than_the_chain_is_wrong(whole: FileLog, fields: dict[str, Any]) -> None:
    """A scribbled manifest would make a whole segment look damaged forever."""
    before = manifest_of(whole.path, 2)
    changed(whole, 2, **fields)
    assert repaired(whole) == [("000002", REBUILT)]
    assert manifest_of(whole.path, 2) == msgspec.structs.replace(before, rebuilt=True)


@pytest.mark.parametrize("is_manifest_there", [True, False])
def test_a_changed_segment_gets_no_new_manifest(whole: FileLog, is_manifest_there: bool) -> None:
    """A repair would turn tampering into evidence."""
    packed = whole.path / "000002.ndjson.zst"
    repack(packed, unpack(packed).replace(b'"p":"10', b'"p":"90', 1))
    if not is_manifest_there:
        (whole.path / "000002.json").unlink()
    (found,) = rebuild_manifests(whole, read_record, quietly)
    assert (found.done, "bring the segment back" in found.why) == (LEFT, True)
    assert damages(whole) != []


def test_a_damaged_segment_gets_no_manifest_of_its_rest(whole: FileLog) -> None:
    """What was lost with its end would be forgotten."""
    packed = whole.path / "000002.ndjson.zst"
    packed.write_bytes(packed.read_bytes()[:-30])
    (whole.path / "000002.json").unlink()
    (found,) = rebuild_manifests(whole, read_record, quietly)
    assert (found.done, "the segment itself is damaged" in found.why) == (LEFT, True)
    assert not (whole.path / "000002.json").exists()


def test_where_nothing_can_tell_which_is_wrong_a_person_decides(whole: FileLog) -> None:
    """The last segment has none after it that vouches for it."""
    number = last_of(whole)
    changed(whole, number, sha256="0" * 64)
    (found,) = rebuild_manifests(whole, read_record, quietly)
    assert (found.done, "move" in found.why) == (LEFT, True)
    (whole.path / f"{number:06d}.json").unlink()
    assert repaired(whole) == [(f"{number:06d}", REBUILT)]


def test_a_segment_of_another_log_is_not_adopted(whole: FileLog, tmp_path: Path) -> None:
    """Two logs mixed in one folder would become one that nobody recorded."""
    other = FileLog(tmp_path / "other", create=True)
    replayed(other, some_messages(range(90, 99)))
    number = last_of(whole) + 1
    for name in ("ndjson.zst", "json"):
        (whole.path / f"{number:06d}.{name}").write_bytes((other.path / f"000001.{name}").read_bytes())
    (found,) = rebuild_manifests(whole, read_record, quietly)
    assert (found.done, "neither belongs to this log" in found.why) == (LEFT, True)


def test_a_manifest_made_after_a_crash_gets_its_ids(log: FileLog) -> None:
    """Nobody could tell without reading all which ids such a segment holds."""
    with log.writer() as writer:
        begun(writer, some_messages(range(1, 11)))
    strand(log.path, 1)
    replayed(log, some_messages(range(11, 13)))
    assert manifest_of(log.path, 1).series[0].ids is None
    assert repaired(log) == [("000001", REBUILT)]
    assert [(note.trades, note.ids) for note in manifest_of(log.path, 1).series] == [(10, [(1, 10)])]
    assert repaired(log) == []


def test_nobody_repairs_under_the_hands_of_a_writer(whole: FileLog) -> None:
    """A segment could be closed while its manifest is made."""
    with whole.writer() as writer:
        begun(writer, [])
        with pytest.raises(TradecapError) as caught:
            rebuild_manifests(whole, read_record, quietly)
    assert caught.value.exit_code is Exit.UNREACHABLE


def test_a_repair_is_a_record_and_the_log_is_proven_again(whole: FileLog, store: ClickHouseStore) -> None:
    """Something would have been repaired in silence, or the repair would leave the log unproven."""
    (whole.path / "000001.json").unlink()
    assert not {check.name: check.ok for check in verdict_of(whole, store).checks}["log.intact"]
    found = rebuild_manifests(whole, read_record, quietly)
    assert found == [Repaired("000001.ndjson.zst", REBUILT, "the manifest is missing")]
    with whole.writer() as writer:
        record_rebuilt(writer, found)
    load(whole, store)
    assert verdict_of(whole, store).ok
    lines = b"".join(lines_of(whole.read()))
    assert b'"event":"manifests_rebuilt","detail":{"segments":{"000001.ndjson.zst":"the manifest is missing"}}' in lines
