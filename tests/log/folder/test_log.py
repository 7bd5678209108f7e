"""The log in a folder: its files, what a crash leaves of them, and what damage to them looks like."""

import contextlib
import itertools
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from tests.log.builders import (
    MB,
    a_trade,
    after,
    an_event,
    begin,
    lines_of,
    manifest_of,
    records_of,
    repack,
    strand,
    texts_of,
    unpack,
    write_run,
)
from tradecap.errors import Exit, TradecapError
from tradecap.flows.records import unwatched
from tradecap.log import open_log
from tradecap.log.api import Damage, DamageKind
from tradecap.log.folder.log import FileLog
from tradecap.log.folder.segment import DurableLength, Segment, durable_length
from tradecap.market.batch import BEGINNING, Batch, Positions, SegmentFiles, SeriesNote
from tradecap.market.records import RunWriter, series_head


def names(folder: Path) -> set[str]:
    """The files of a log, without those that are always there."""
    return {file.name for file in folder.iterdir()} - {"log.json", "head.json", "lock"}


def damages_of(log: FileLog, after: Positions = BEGINNING) -> tuple[list[bytes], list[Damage]]:
    """The readable lines and what was reported."""
    damages: list[Damage] = []
    return lines_of(log.read(after, on_damage=damages.append)), damages


def three_segments(log: FileLog) -> list[bytes]:
    """Three runs of ten records, so three segments."""
    return [line for _ in range(3) for line in write_run(log, 9)]


# --- segments and manifests


def test_a_closed_segment_says_what_it_holds(folder: Path, log: FileLog) -> None:
    """Nobody could tell a whole segment from a changed one, or find an id without reading all."""
    lines = write_run(log, 5)
    manifest = manifest_of(folder, 1)
    assert (manifest.log, manifest.segment, manifest.records, manifest.size) == (log.id, 1, 6, len(b"".join(lines)))
    assert manifest.first
    assert manifest.last
    assert (manifest.first.seq, manifest.last.seq, manifest.ended, manifest.rebuilt) == (0, 5, True, False)
    assert manifest.series == [SeriesNote("binance", "BTCUSDT", "trade", 5, 0, 4, [(0, 4)])]
    assert names(folder) == {"000001.ndjson.zst", "000001.json"}


def test_the_ids_of_a_series_are_intervals_in_whatever_order_they_came(folder: Path, log: FileLog) -> None:
    """A repeated or late id would look like a gap."""
    with begin(log) as writer:
        for line, trade_id in zip(records_of(writer.run, 8), [5, 6, 7, 8, 9, 6, 1, 2], strict=True):
            writer.append(line, a_trade(trade_id))
    assert manifest_of(folder, 1).series == [SeriesNote("binance", "BTCUSDT", "trade", 8, 1, 9, [(1, 2), (5, 9)])]


def test_a_series_full_of_holes_names_only_its_ends(folder: Path, log: FileLog) -> None:
    """A manifest could grow as big as its segment."""
    with begin(log) as writer:
        for seq, line in enumerate(records_of(writer.run, 1001)):
            writer.append(line, a_trade(2 * seq))
    assert manifest_of(folder, 1).series == [SeriesNote("binance", "BTCUSDT", "trade", 1001, 0, 2000, None)]


def test_series_are_kept_apart(folder: Path, log: FileLog) -> None:
    """The ids of two symbols would be mixed up."""
    with begin(log) as writer:
        for line, symbol in zip(records_of(writer.run, 4), ["A", "B", "A", "B"], strict=True):
            writer.append(line, a_trade(1, symbol))
    assert [(note.symbol, note.trades, note.ids) for note in manifest_of(folder, 1).series] == [
        ("A", 2, [(1, 1)]),
        ("B", 2, [(1, 1)]),
    ]


def test_a_big_segment_makes_room_for_the_next(folder: Path, log: FileLog) -> None:
    """One file would grow without end."""
    lines = write_run(log, 50, segment_bytes=1000)
    manifests = [manifest_of(folder, number) for number in range(1, 6)]
    assert all(1000 <= manifest.size < 1300 for manifest in manifests)
    assert [b.previous for b in manifests[1:]] == [a.sha256 for a in manifests[:-1]]
    assert [note.trades for manifest in manifests for note in manifest.series] == [
        manifest.records for manifest in manifests
    ]
    assert lines_of(log.read()) == lines


def test_an_old_segment_makes_room_even_when_nothing_more_comes(folder: Path, log: FileLog) -> None:
    """The last hour of a quiet market would stay in an open segment."""
    with open_log(log.url, segment_bytes=MB, segment_age_s=0.01).writer() as writer:
        writer.append(an_event(writer.run, 0, "started"))
        writer.flush()
        time.sleep(0.02)
        writer.flush()
        assert names(folder) == {"000001.ndjson.zst", "000001.json"}


def test_no_segment_holds_two_runs(folder: Path, log: FileLog) -> None:
    """A manifest could not name the run that ended in its segment."""
    three_segments(log)
    runs = [(m.first.run, m.last.run) for m in (manifest_of(folder, n) for n in (1, 2, 3)) if m.first and m.last]
    assert len(set(runs)) == 3
    assert all(first == last for first, last in runs)


def test_a_run_that_wrote_nothing_leaves_no_segment(folder: Path, log: FileLog) -> None:
    """Each start that fails early would leave an empty file."""
    begin(log).close()
    assert names(folder) == set()


def test_whole_files_are_handed_over_unread(folder: Path, log: FileLog) -> None:
    """ClickHouse could not read segments by itself, and every row would pass through Python."""
    lines = write_run(log, 20, segment_bytes=1000)
    (first, second, *_) = log.feed("", lambda: BEGINNING, on_damage=unwatched, segment_files=1)
    assert (first.content, second.content) == tuple(
        SegmentFiles((str(folder / f"00000{n}.ndjson.zst"),)) for n in (1, 2)
    )
    assert unpack(folder / "000001.ndjson.zst") + b"".join(lines_of(log.read(after(first.end)))) == b"".join(lines)


def test_a_segment_is_skimmed_by_what_is_noted_of_its_series(log: FileLog) -> None:
    """A capture would read all of the log to know where to go on, or look behind the log's back."""
    write_run(log, 20, segment_bytes=1000)
    ids = [note.ids for notes in log.skim(unwatched) if not isinstance(notes, Batch) for note in notes]
    assert [
        number for intervals in ids for first, last in intervals or () for number in range(first, last + 1)
    ] == list(range(20))


@pytest.mark.parametrize("is_rebuilt", [True, False])
def test_what_is_not_noted_is_not_reported(folder: Path, log: FileLog, is_rebuilt: bool) -> None:
    """A capture would take trades for missing, or for there, that are otherwise."""
    with begin(log) as writer:
        for seq, line in enumerate(records_of(writer.run, 1001)):
            writer.append(line, a_trade(seq if is_rebuilt else 2 * seq))
    if is_rebuilt:
        strand(folder, 1)
        begin(log).close()
    (batch,) = log.skim(unwatched)
    assert isinstance(batch, Batch)


def test_an_event_of_a_series_is_no_record_of_it(folder: Path, log: FileLog) -> None:
    """A rebuilt manifest would count a gap among the trades."""
    with begin(log) as writer:
        head = series_head("binance", "ETHUSDT", "trade", "")
        writer.append(RunWriter(writer.run).event(1, "gap_found", {}, head))
    strand(folder, 1)
    begin(log).close()
    assert manifest_of(folder, 1).series == []


def test_a_segment_begun_is_read_on_as_lines(log: FileLog) -> None:
    """With whole files, records before the position would be loaded twice."""
    lines = write_run(log, 5)
    assert (
        lines_of(log.feed("", lambda: {0: f"000001:{len(lines[0])}"}, on_damage=unwatched, segment_files=8))
        == lines[1:]
    )


@pytest.mark.parametrize("record", [b"{}", b"", b"{}\n{}\n", b"{\n}\n"])
def test_what_is_not_one_line_is_refused(log: FileLog, record: bytes) -> None:
    """Two records would become one line, or one record two."""
    writer = begin(log)
    writer.append(record)
    with pytest.raises(ValueError, match="newline"):
        writer.flush()
    writer.close()


# --- what a crash leaves


def crash_before_packing(folder: Path) -> None:
    """The plain segment alone."""
    strand(folder, 3)


def crash_while_packing(folder: Path) -> None:
    """Leave a half-written temporary file next to it."""
    strand(folder, 3)
    (folder / "000003.ndjson.zst.tmp").write_bytes(b"\x28\xb5\x2f\xfd half")


def crash_before_the_manifest(folder: Path) -> None:
    """Both, but no manifest yet."""
    packed = (folder / "000003.ndjson.zst").read_bytes()
    strand(folder, 3)
    (folder / "000003.ndjson.zst").write_bytes(packed)
    (folder / "000003.json.tmp").write_bytes(b'{"log":')


def crash_before_unlinking(folder: Path) -> None:
    """The closed pair and the plain segment."""
    pair = [(folder / name, (folder / name).read_bytes()) for name in ("000003.ndjson.zst", "000003.json")]
    strand(folder, 3)
    for path, content in pair:
        path.write_bytes(content)


def crash_half_way_through_unlinking(folder: Path) -> None:
    """The closed pair and the side file."""
    crash_before_unlinking(folder)
    (folder / "000003.ndjson").unlink()


CRASHES = [
    crash_before_packing,
    crash_while_packing,
    crash_before_the_manifest,
    crash_before_unlinking,
    crash_half_way_through_unlinking,
]


@pytest.mark.parametrize("crash", CRASHES)
def test_a_crash_anywhere_in_closing_a_segment_loses_nothing(
    folder: Path, log: FileLog, crash: Callable[[Path], None]
) -> None:
    """kill -9 at the wrong moment would lose or double a segment, for readers at once or for good after the next
    writer."""
    lines = three_segments(log)
    crash(folder)
    assert damages_of(log) == (lines, [])
    begin(log).close()
    assert damages_of(log) == (lines, [])
    assert names(folder) == {f"00000{n}{suffix}" for n in (1, 2, 3) for suffix in (".ndjson.zst", ".json")}


def test_a_torn_tail_is_put_aside_and_counted(folder: Path, log: FileLog) -> None:
    """Half a record would be read as one, or evidence would be thrown away."""
    lines = three_segments(log)
    strand(folder, 3, extra=b'{"run":"half')
    assert lines_of(log.read()) == lines
    with begin(log) as writer:
        assert writer.torn_bytes == 12
    assert (folder / "000003.torn").read_bytes() == b'{"run":"half'
    assert manifest_of(folder, 3).torn == 12
    assert damages_of(log) == (lines, [])


def test_a_whole_record_that_was_never_acknowledged_is_kept(folder: Path, log: FileLog) -> None:
    """The crash would cost more than it had to, and seq would be used twice."""
    lines = three_segments(log)
    plain = strand(folder, 3, published=0)
    assert lines_of(log.read()) == lines[:20]
    begin(log).close()
    assert lines_of(log.read()) == lines
    assert unpack(folder / "000003.ndjson.zst") == plain


def test_a_power_cut_that_leaves_zeros_leaves_no_record_of_zeros(folder: Path, log: FileLog) -> None:
    """A file system that kept the length but not the bytes would put lines into the log that no writer wrote."""
    lines = three_segments(log)
    strand(folder, 3, extra=b"\0" * 100 + b"\n" + lines[-1])
    with begin(log) as writer:
        assert writer.torn_bytes == 101 + len(lines[-1])
    assert damages_of(log) == (lines, [])


def test_a_rebuilt_manifest_knows_no_ids(folder: Path, log: FileLog) -> None:
    """It would claim ids that nobody has decoded."""
    write_run(log, 3, ended=False)
    before = manifest_of(folder, 1)
    strand(folder, 1)
    begin(log).close()
    rebuilt = manifest_of(folder, 1)
    assert rebuilt.series == [SeriesNote("binance", "BTCUSDT", "trade", 3, None, None, None)]
    assert msgspec.structs.replace(rebuilt, series=before.series, rebuilt=False) == before


def test_a_rebuilt_manifest_still_knows_which_runs_ended_and_which_were_attested(folder: Path, log: FileLog) -> None:
    """After a second crash the first would be attested again, or an ended run be called torn."""
    write_run(log, 1, ended=False)
    with begin(log) as writer:
        writer.append(an_event(writer.run, 0, "recovered", run=writer.torn[0].run, last_seq=0))
        writer.append(an_event(writer.run, 1, "ended"))
    strand(folder, 2)
    with begin(log) as writer:
        assert writer.torn == []


def test_a_segment_that_was_begun_and_never_written_is_no_damage(folder: Path, log: FileLog) -> None:
    """A crash just after the start would look like lost records."""
    lines = write_run(log, 3)
    (folder / "000002.ndjson").write_bytes(b"")
    assert damages_of(log) == (lines, [])
    lines += write_run(log, 3)
    assert damages_of(log) == (lines, [])


def test_a_reader_never_sees_half_a_number(folder: Path) -> None:
    """A reader would go past what is durable, in the moment the length is being written."""
    folder.mkdir()
    segment = Segment(folder, 1)
    durable = DurableLength(segment)
    for length in (7, 1_000_000_007, 1_000_000_008):
        durable.publish(length)
        assert durable_length(segment) == length
    whole = segment.durable.read_bytes()
    for cut in range(30):
        segment.durable.write_bytes(b"9" * cut + whole[cut:])
        assert durable_length(segment) in (1_000_000_007, 1_000_000_008)
    durable.close()


def test_a_follower_reads_on_in_a_segment_that_a_crash_stranded(folder: Path, log: FileLog) -> None:
    """What the next writer saves from a crash would be passed over, and its position be lost for good."""
    lines = three_segments(log)
    strand(folder, 3, published=len(lines[20]), extra=b"half")
    reading = log.read(follow=lambda: True)
    seen = [next(reading) for _ in range(3)]
    assert lines_of(iter(seen)) == lines[:21]
    begin(log).close()
    assert texts_of(next(reading)) == lines[21:]


def test_a_reader_that_ends_while_a_crash_is_put_right_skips_nothing(folder: Path, log: FileLog) -> None:
    """It would go on with the next run, and its position leave behind for good what was saved of the crashed one."""
    lines = three_segments(log)
    strand(folder, 3, published=len(lines[20]))
    looks: list[int] = []

    def put_right_at_the_last_look() -> bool:
        looks.append(len(seen))
        if looks[-2:] == [21, 21]:
            write_run(log, 1)
        return False

    seen: list[bytes] = []
    for batch in log.read(follow=put_right_at_the_last_look):
        seen += texts_of(batch)
    assert seen == lines[: len(seen)]


# --- damage


def lose_a_segment(folder: Path) -> None:
    """Both files of the second segment."""
    (folder / "000002.ndjson.zst").unlink()
    (folder / "000002.json").unlink()


def lose_the_bytes(folder: Path) -> None:
    """Only the compressed file."""
    (folder / "000002.ndjson.zst").unlink()


def lose_the_manifest(folder: Path) -> None:
    """Only the manifest."""
    (folder / "000002.json").unlink()


def scribble_on_the_manifest(folder: Path) -> None:
    """No JSON."""
    (folder / "000002.json").write_text("{")


def take_a_manifest_from_elsewhere(folder: Path) -> None:
    """One that names another log."""
    manifest = manifest_of(folder, 2)
    other = msgspec.structs.replace(manifest, log="0191-other")
    (folder / "000002.json").write_bytes(msgspec.json.encode(other))


def swap_two_segments(folder: Path) -> None:
    """Whole pairs in each other's place."""
    for suffix in (".ndjson.zst", ".json"):
        one, two = (folder / f"00000{n}{suffix}" for n in (1, 2))
        one.rename(folder / "aside")
        two.rename(one)
        (folder / "aside").rename(two)


def replace_a_segment_by_another_whole_one(folder: Path) -> None:
    """Bytes and manifest agree with each other, but the chain of segments doesn't."""
    lines = unpack(folder / "000002.ndjson.zst")
    repack(folder / "000002.ndjson.zst", lines.replace(b'"E"', b'"F"'))
    manifest = manifest_of(folder, 2)
    changed = msgspec.structs.replace(manifest, sha256="0" * 64)
    (folder / "000002.json").write_bytes(msgspec.json.encode(changed))


def change_a_byte(folder: Path, number: int = 2) -> None:
    """Change one of the compressed bytes."""
    packed = folder / f"{number:06d}.ndjson.zst"
    content = bytearray(packed.read_bytes())
    content[-2] ^= 1
    packed.write_bytes(content)


def cut_the_file(folder: Path) -> None:
    """The compressed file ends too early."""
    packed = folder / "000002.ndjson.zst"
    packed.write_bytes(packed.read_bytes()[:-6])


def change_a_record(folder: Path) -> None:
    """A digit of a payload, with a right zstd checksum."""
    packed = folder / "000002.ndjson.zst"
    repack(packed, unpack(packed).replace(b'"t":3', b'"t":4'))


def swap_two_records(folder: Path) -> None:
    """The same lines in another order."""
    packed = folder / "000002.ndjson.zst"
    lines = unpack(packed).splitlines(keepends=True)
    repack(packed, b"".join([lines[1], lines[0], *lines[2:]]))


def cut_out_a_record(folder: Path) -> None:
    """One whole line less."""
    packed = folder / "000002.ndjson.zst"
    lines = unpack(packed).splitlines(keepends=True)
    repack(packed, b"".join(lines[:4] + lines[5:]))


def join_two_records(folder: Path) -> None:
    """A newline became a blank: as many bytes, one line less."""
    packed = folder / "000002.ndjson.zst"
    repack(packed, unpack(packed).replace(b"\n", b" ", 1))


def lose_the_last_newline(folder: Path) -> None:
    """The last line isn't whole."""
    packed = folder / "000002.ndjson.zst"
    repack(packed, unpack(packed)[:-1])


def lose_the_head(folder: Path) -> None:
    """The file that shows a deleted end."""
    (folder / "head.json").unlink()


DAMAGES: dict[Callable[[Path], None], tuple[str, int, str, int]] = {
    lose_a_segment: ("000002.ndjson.zst", 0, "missing", 20),
    lose_the_bytes: ("000002.ndjson.zst", 0, "missing", 20),
    lose_the_manifest: ("000002.json", 0, "the manifest is missing", 30),
    scribble_on_the_manifest: ("000002.json", 0, "unreadable", 30),
    take_a_manifest_from_elsewhere: ("000002.json", 0, "another log", 30),
    swap_two_segments: ("000001.json", 0, "segment 000002", 30),
    replace_a_segment_by_another_whole_one: ("000002.ndjson.zst", 10, "sha256", 30),
    change_a_byte: ("000002.ndjson.zst", 10, "zstd checksum", 30),
    cut_the_file: ("000002.ndjson.zst", 0, "too early", 20),
    change_a_record: ("000002.ndjson.zst", 10, "sha256", 30),
    swap_two_records: ("000002.ndjson.zst", 10, "sha256", 30),
    cut_out_a_record: ("000002.ndjson.zst", 9, "bytes", 29),
    join_two_records: ("000002.ndjson.zst", 9, "lines", 29),
    lose_the_last_newline: ("000002.ndjson.zst", 9, "newline", 29),
    lose_the_head: ("head.json", 0, "missing", 30),
}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damage_is_reported_where_it_is_and_passed_by(
    folder: Path, log: FileLog, damage: Callable[[Path], None]
) -> None:
    """Lost or changed records would go unnoticed, or one bad byte would cost the whole log."""
    lines = three_segments(log)
    damage(folder)
    segment, line, problem, readable = DAMAGES[damage]
    read, damages = damages_of(log)
    assert damages[0].place.removesuffix(":0") == (f"{segment}:{line}" if line else segment)
    assert problem in damages[0].detail
    assert len(read) == readable
    assert read[-10:] == lines[-10:]


def test_a_changed_chain_of_segments_is_noticed(folder: Path, log: FileLog) -> None:
    """Somebody who rewrites a segment and its manifest together would not be found out."""
    three_segments(log)
    replace_a_segment_by_another_whole_one(folder)
    _, damages = damages_of(log)
    assert (DamageKind.BROKEN_PART, "000003.json") in [(d.kind, d.place) for d in damages]


def test_a_deleted_end_of_the_log_is_noticed(folder: Path, log: FileLog) -> None:
    """The last segments could vanish and the log would still look whole."""
    lines = three_segments(log)
    for name in ("000002.ndjson.zst", "000002.json", "000003.ndjson.zst", "000003.json"):
        (folder / name).unlink()
    expected = [
        Damage(DamageKind.LOST_PART, f"00000{n}.ndjson.zst", f"Segment 00000{n}.ndjson.zst is missing") for n in (2, 3)
    ]
    assert damages_of(log) == (lines[:10], expected)
    lines[10:] = write_run(log, 2)
    assert damages_of(log) == (lines, expected)


def test_a_missing_segment_is_noticed_without_the_head_too(folder: Path, log: FileLog) -> None:
    """Two losses at once would hide each other, and with them every record behind."""
    lines = three_segments(log)
    lose_a_segment(folder)
    lose_the_head(folder)
    read, damages = damages_of(log)
    assert read == lines[:10] + lines[20:]
    assert [damage.place for damage in damages] == ["head.json", "000002.ndjson.zst"]


def test_a_follower_notices_a_deleted_end(folder: Path, log: FileLog) -> None:
    """It would wait forever for records that somebody deleted."""
    three_segments(log)
    for name in ("000003.ndjson.zst", "000003.json"):
        (folder / name).unlink()
    looks = itertools.count()
    with pytest.raises(TradecapError, match=r"000003\.ndjson\.zst"):
        lines_of(log.read(follow=lambda: next(looks) < 20 or pytest.fail("it waits")))


def test_what_can_be_unpacked_before_the_damage_is_handed_over(folder: Path, log: FileLog) -> None:
    """A segment that lost its end would be lost from its beginning."""
    with begin(log) as writer:
        lines = [
            b'{"run":"%b","seq":%d,"recv":null,"text":"%b"}\n' % (writer.run.encode(), n, os.urandom(50).hex().encode())
            for n in range(20_000)
        ]
        for line in lines:
            writer.append(line)
    packed = folder / "000001.ndjson.zst"
    packed.write_bytes(packed.read_bytes()[: packed.stat().st_size * 3 // 4])
    read, (damage,) = damages_of(log)
    assert len(read) > 10_000
    assert read == lines[: len(read)]
    assert damage.place == f"000001.ndjson.zst:{len(read)}"


def test_unreported_damage_is_an_error_that_says_where(folder: Path, log: FileLog) -> None:
    """A load would go on over lost records without a word."""
    lines = write_run(log, 2000)
    change_a_byte(folder, 1)
    reading = log.read()
    assert lines_of(itertools.islice(reading, 1)) == lines
    with pytest.raises(TradecapError) as error:
        next(reading)
    assert error.value.message == "Segment 000001.ndjson.zst is damaged after line 2\u202f001 (zstd checksum)."
    assert "before that place are fine" in error.value.hint
    assert error.value.exit_code == Exit.USAGE


def test_an_active_segment_that_lost_durable_bytes_is_damaged(folder: Path, log: FileLog) -> None:
    """A reader would wait forever for bytes that are gone."""
    lines = three_segments(log)
    plain = strand(folder, 3)
    (folder / "000003.ndjson").write_bytes(plain[:-10])
    read, (damage,) = damages_of(log)
    assert read == lines[:-1]
    assert damage.place == "000003.ndjson:9"


# --- positions


@pytest.mark.parametrize("position", ["x", "1:0", "000001:-1", "000001:3", "000001:99999", "000009:0"])
def test_a_position_of_another_log_is_refused(log: FileLog, position: str) -> None:
    """A load would silently go on in the middle of a line, or wait behind the end."""
    write_run(log, 3)
    with pytest.raises(TradecapError, match="position") as error:
        lines_of(log.read({0: position}))
    assert error.value.hint


def test_a_position_inside_a_line_of_the_active_segment_is_refused(folder: Path, log: FileLog) -> None:
    """Half a record would be read as one."""
    three_segments(log)
    strand(folder, 3)
    with pytest.raises(TradecapError, match="isn't at the end of a line"):
        lines_of(log.read({0: "000003:3"}))


# --- folders that aren't a log


def refusal(path: Path, *, create: bool) -> TradecapError:
    """The error of opening path."""
    with pytest.raises(TradecapError) as error:
        FileLog(path, create=create)
    assert error.value.hint
    return error.value


def test_a_missing_log_is_distinguished_from_a_folder_that_is_not_a_log(tmp_path: Path) -> None:
    """A typing error in --log would be hard to find."""
    assert refusal(tmp_path / "none", create=False).message == f"There is no log at {tmp_path / 'none'}."
    assert "holds no log.json" in refusal(tmp_path, create=False).message
    (tmp_path / "file").touch()
    assert "it is a file" in refusal(tmp_path / "file", create=False).message
    assert "it is a file" in refusal(tmp_path / "file", create=True).message


def test_a_folder_with_other_things_in_it_is_not_made_a_log(tmp_path: Path) -> None:
    """--log file:. would scatter segments over somebody's home."""
    (tmp_path / "thesis.tex").touch()
    assert "thesis.tex" in refusal(tmp_path, create=True).message
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_log_that_lost_its_identity_gets_no_new_one(folder: Path, log: FileLog) -> None:
    """A store would take the same records for those of another log and count them twice."""
    write_run(log, 1)
    (folder / "log.json").unlink()
    assert "log.json" in refusal(folder, create=True).message
    assert not (folder / "log.json").exists()


def test_a_log_of_a_newer_tradecap_is_left_alone(folder: Path, log: FileLog) -> None:
    """An old version would misread what a new one wrote."""
    (folder / "log.json").write_text(json.dumps({"id": log.id, "format": 3}))
    error = refusal(folder, create=True)
    assert "newer tradecap" in error.message
    assert "upgrade" in error.hint


def test_a_scribbled_identity_is_an_error(folder: Path, log: FileLog) -> None:
    """A traceback instead of a sentence."""
    write_run(log, 1)
    (folder / "log.json").write_text("{")
    assert "unreadable" in refusal(folder, create=False).message


def test_a_creation_that_a_crash_cut_off_is_done_again(folder: Path) -> None:
    """A crash in the first millisecond would spoil the folder forever."""
    folder.mkdir()
    for name in ("lock", "head.json", "log.json.tmp"):
        (folder / name).touch()
    log = FileLog(folder, create=True)
    lines = write_run(log, 1)
    assert damages_of(log) == (lines, [])


def test_a_folder_without_the_right_to_write_is_one_sentence(tmp_path: Path) -> None:
    """A traceback instead of a sentence, for anybody who logs to somebody else's folder."""
    with as_a_stranger(tmp_path):
        error = refusal(tmp_path / "log", create=True)
    assert error.message == f"{tmp_path / 'log'} can't be written: Permission denied."
    assert error.exit_code == Exit.USAGE


def test_a_log_that_may_only_be_read_is_read(folder: Path, log: FileLog) -> None:
    """Looking at a colleague's log would need the right to spoil it."""
    lines = write_run(log, 2)
    with as_a_stranger(folder):
        assert lines_of(log.read()) == lines
        assert log.open_runs() == frozenset()
        with pytest.raises(TradecapError, match="can't be written: Permission denied"):
            begin(log)


@contextlib.contextmanager
def as_a_stranger(folder: Path) -> Iterator[None]:
    """In here folder can be read and not written; root gives up its rights for that, and opens the way to the
    folder."""
    is_root = os.geteuid() == 0
    shut = [folder, *(parent for parent in folder.parents if is_root and "pytest-of-" in str(parent))]
    modes = {path: path.stat().st_mode for path in shut}
    for path in shut:
        path.chmod(0o555)
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        for path, mode in modes.items():
            path.chmod(mode)


def test_a_line_longer_than_a_batch_comes_whole(log: FileLog) -> None:
    """A reader would hand over half a record, or none."""
    with begin(log) as writer:
        lines = [an_event(writer.run, 0, "long", text="x" * 9 * MB), an_event(writer.run, 1, "ended")]
        for line in lines:
            writer.append(line)
    assert lines_of(log.read()) == lines
