"""What a writer finds when it opens a log's folder."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tests.log.builders import manifest_of, strand, write_run
from tradecap.log.api import TornRun
from tradecap.log.folder.log import FileLog
from tradecap.log.folder.recovery import recover, torn_runs
from tradecap.log.folder.segment import Head, Manifest, write_head

LOG = "a-log"
RUNS = st.sampled_from(["run-1", "run-2", "run-3"])


def a_manifest(number: int, run: str, seq: int, *, ended: bool = False, recovered: Sequence[str] = ()) -> Manifest:
    """A segment that holds one record."""
    place = {"run": run, "seq": seq}
    answer = {"log": LOG, "segment": number, "records": 1, "bytes": 1, "sha256": "", "previous": "", "first": place}
    return msgspec.convert(answer | {"last": place, "ended": ended, "recovered": [*recovered], "series": []}, Manifest)


def test_a_run_is_torn_up_to_its_last_record_in_any_segment() -> None:
    """A crash would be attested up to an early record of its run: the later ones would fail the proof forever."""
    first, second = a_manifest(1, "r", 4), a_manifest(2, "r", 9)
    assert torn_runs([first, second], {}) == [TornRun("r", 9)]
    assert torn_runs([first], {"r": 7, "q": 1}) == [TornRun("q", 1), TornRun("r", 7)]


@given(
    st.lists(st.tuples(RUNS, st.integers(0, 9), st.booleans(), st.lists(RUNS, max_size=2)), max_size=6),
    st.dictionaries(RUNS, st.integers(0, 9)),
)
def test_an_end_or_an_attestation_anywhere_settles_a_run(
    rows: list[tuple[str, int, bool, list[str]]], before: dict[str, int]
) -> None:
    """A run that ended would be reported as torn with each start, or a torn one never."""
    manifests = [
        a_manifest(n, run, seq, ended=ended, recovered=runs) for n, (run, seq, ended, runs) in enumerate(rows, 1)
    ]
    settled = {run for run, _, ended, _ in rows if ended} | {run for *_, runs in rows for run in runs}
    torn = torn_runs(manifests, before)
    assert [each.run for each in torn] == sorted(({run for run, *_ in rows} | {*before}) - settled)
    for each in torn:
        assert each.last_seq == max(
            seq for run, seq in [*before.items(), *((run, seq) for run, seq, *_ in rows)] if run == each.run
        )


def test_a_stranded_segment_is_closed_once_and_its_rest_put_aside(tmp_path: Path, log: FileLog) -> None:
    """A half record would be read as damage, or the recovery count it again with each start."""
    folder = tmp_path / "log"
    write_run(log, 3, ended=False)
    plain = strand(folder, 1, extra=b'{"run":"half')
    found = recover(folder, log.id)
    assert (found.number, found.torn_bytes) == (1, 12)
    assert [torn.last_seq for torn in found.torn] == [2]
    assert (folder / "000001.torn").read_bytes() == b'{"run":"half'
    manifest = manifest_of(folder, 1)
    assert (manifest.records, manifest.size, manifest.torn, manifest.rebuilt) == (3, len(plain), 12, True)
    again = recover(folder, log.id)
    assert again == found._replace(torn_bytes=0)


def test_a_head_that_knows_more_than_the_folder_decides_the_next_number(tmp_path: Path, log: FileLog) -> None:
    """A segment that somebody deleted would be replaced by one with its number, and its loss be hidden."""
    folder = tmp_path / "log"
    write_run(log, 1)
    before = recover(folder, log.id)
    assert before.previous == manifest_of(folder, 1).sha256
    write_head(folder, Head(5, "f" * 36))
    assert recover(folder, log.id) == before._replace(number=5, previous="", last_run="f" * 36)
