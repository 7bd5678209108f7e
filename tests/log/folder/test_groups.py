"""Closed segments as whole files, several at once, for a store that reads files by itself."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.log.builders import repack, unpack, write_run
from tradecap.flows.records import read_record, unwatched
from tradecap.log.api import Damage, DamageKind
from tradecap.log.folder.log import FileLog
from tradecap.log.folder.manifests import REBUILT, rebuild
from tradecap.market.batch import BEGINNING, Batch, SegmentFiles


def files_of(batches: Iterable[Batch]) -> list[list[str]]:
    """The numbers of the segments in each batch; [] for lines."""
    return [
        [Path(path).name[:6] for path in batch.content.paths] if isinstance(batch.content, SegmentFiles) else []
        for batch in batches
    ]


def test_groups_begin_small(log: FileLog) -> None:
    """Groups of eight from the beginning would show no progress for seconds; files one at a time are planned one at a
    time."""
    write_run(log, 60, segment_bytes=1000)
    one_by_one = list(log.read())
    batches = list(log.feed("", lambda: BEGINNING, on_damage=unwatched, segment_files=4))
    groups = files_of(batches)
    assert [len(group) for group in groups][:3] == [1, 2, 4]
    assert [number for group in groups for number in group] == [f"{n + 1:06d}" for n in range(len(one_by_one))]
    ends = [int(group[-1]) - 1 for group in groups]
    assert [batch.end for batch in batches] == [one_by_one[n].end for n in ends]
    assert sum(batch.records for batch in batches) == sum(batch.records for batch in one_by_one)


def test_a_damaged_segment_is_named_and_the_rest_of_its_group_is_handed_over(folder: Path, log: FileLog) -> None:
    """One bad block on a disk would keep eight segments out of the store."""
    lines = write_run(log, 60, segment_bytes=1000)
    packed = folder / "000005.ndjson.zst"
    lost = unpack(packed).count(b"\n")
    packed.write_bytes(packed.read_bytes()[:-20])
    found: list[Damage] = []
    batches = list(log.feed("", lambda: BEGINNING, on_damage=found.append, segment_files=8))
    assert [damage.place.partition(".")[0] for damage in found] == ["000005"]
    whole = {number for group in files_of(batches) for number in group}
    assert "000005" not in whole
    assert {"000004", "000006"} <= whole
    assert len(lines) - lost <= sum(batch.records for batch in batches) < len(lines)
    orders = [batch.end.order for batch in batches]
    assert orders == sorted(orders)


def test_a_file_that_its_manifest_does_not_know_is_read_line_by_line_and_named(folder: Path, log: FileLog) -> None:
    """A segment packed by another hand holds the same lines: they must load, and a manifest that was changed must not
    pass for a whole one."""
    lines = write_run(log, 20, segment_bytes=1000)
    repack(folder / "000002.ndjson.zst", unpack(folder / "000002.ndjson.zst"))
    known = json.loads((folder / "000002.json").read_bytes())
    (folder / "000002.json").write_bytes(json.dumps(known | {"packed": "0" * 64}).encode())
    found: list[Damage] = []
    batches = list(log.feed("", lambda: BEGINNING, on_damage=found.append, segment_files=1))
    assert [(damage.kind, damage.place) for damage in found] == [(DamageKind.LOST_NOTE, "000002.json")]
    assert files_of(batches)[:3] == [["000001"], [], ["000003"]]
    assert sum(batch.records for batch in batches) == len(lines)
    assert [(repaired.segment, repaired.done) for repaired in rebuild(log, read_record, lambda _: None)] == [
        ("000002.ndjson.zst", REBUILT)
    ]
    assert sum(batch.records for batch in log.read()) == len(lines)


@pytest.mark.parametrize("way", ["1", "0"])
def test_a_manifest_without_the_checksum_of_the_file_stays_usable(
    folder: Path, log: FileLog, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Logs of earlier versions must load, as whole files too."""
    monkeypatch.setenv("TRADECAP_PLAIN", way)
    write_run(log, 20, segment_bytes=1000)
    for manifest in folder.glob("0*.json"):
        known = json.loads(manifest.read_bytes())
        assert known.pop("packed") == hashlib.sha256(manifest.with_suffix(".ndjson.zst").read_bytes()).hexdigest()
        manifest.write_bytes(json.dumps(known).encode())
    assert files_of(log.feed("", lambda: BEGINNING, on_damage=unwatched, segment_files=1))[:2] == [
        ["000001"],
        ["000002"],
    ]
