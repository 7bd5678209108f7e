"""Verify with a certificate: what it says of a log, and of the same log later."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.flows.builders import begun, load, quietly, replayed, some_messages, spoilt
from tests.log.builders import repack, unpack
from tradecap.cli.reports import read_certificate, refuse_unwritable, write_certificate
from tradecap.errors import Exit, TradecapError
from tradecap.flows.verify.audit import Audit, Extras, audit
from tradecap.flows.verify.klines import Klines
from tradecap.flows.verify.verify import Wanted
from tradecap.log import open_log
from tradecap.log.folder.log import FileLog
from tradecap.proof.certificate import Certificate
from tradecap.proof.checks import Check
from tradecap.store.clickhouse.store import ClickHouseStore

NOTHING = Extras()


def audited(log: FileLog, store: ClickHouseStore, extras: Extras = NOTHING) -> Audit:
    """What verify finds."""
    return audit(log, store, Wanted(), extras, progress=quietly)


def still(log: FileLog, store: ClickHouseStore, then: Certificate) -> Check:
    """certificate.unchanged."""
    return {check.name: check for check in audited(log, store, Extras(against=then)).verdict.checks}[
        "certificate.unchanged"
    ]


@pytest.fixture
def pipeline(log: FileLog, store: ClickHouseStore) -> FileLog:
    """Two runs in several segments, one of them spoilt, loaded."""
    replayed(log, some_messages(range(1, 61)), segment_bytes=4000)
    spoilt(log, {"nulls": 3, "dupes": 2})
    load(log, store)
    return log


def test_a_certificate_is_readable_by_itself(pipeline: FileLog, store: ClickHouseStore, tmp_path: Path) -> None:
    """What was proven couldn't be known without the log and the store."""
    done = audited(pipeline, store)
    write_certificate(tmp_path / "c.json", done)
    c = read_certificate(tmp_path / "c.json")
    assert (c, c.ok, c.sentence.startswith("PROVEN: ")) == (done.certificate, True, True)
    assert (c.log.id, c.store.id != "") == (pipeline.id, True)
    assert c.counts["records"] == sum(
        c.counts[k] for k in ("trades", "duplicates", "conflicts", "quarantined", "ignored", "events")
    )
    assert [(run.state, run.records, run.valid, run.quarantined) for run in c.runs] == [
        ("ended", 62, 60, 0),
        ("ended", 7, 2, 3),
    ]
    assert [(s.trades, s.duplicates, s.coverage, s.gaps) for s in c.series] == [(60, 2, [(1, 60)], [])]
    assert sum(segment.records for segment in c.segments) == c.counts["records"]
    assert c.quarantined == {"null_field": 3}


def test_the_certificate_of_a_failure_says_that_it_failed(log: FileLog, store: ClickHouseStore, tmp_path: Path) -> None:
    """A script that keeps certificates would keep a proof of what isn't proven."""
    replayed(log, some_messages(range(1, 11)))
    write_certificate(tmp_path / "c.json", audited(log, store))
    c = read_certificate(tmp_path / "c.json")
    assert (c.ok, c.sentence.startswith("NOT PROVEN: ")) == (False, True)
    assert "ledger.complete" in [check.name for check in c.checks if not check.ok]


def test_the_same_log_is_proven_to_be_the_same(pipeline: FileLog, store: ClickHouseStore) -> None:
    """An untouched log would look changed."""
    check = still(pipeline, store, audited(pipeline, store).certificate)
    assert (check.ok, check.detail.startswith("the same; ")) == (True, True), check.detail


def test_a_log_that_went_on_is_the_same_and_more(pipeline: FileLog, store: ClickHouseStore) -> None:
    """A certificate would be worthless from the next capture on."""
    then = audited(pipeline, store).certificate
    replayed(pipeline, some_messages(range(61, 70)))
    load(pipeline, store)
    check = still(pipeline, store, then)
    assert (check.ok, "the same and more; since then: " in check.detail, "1 run added" in check.detail) == (
        True,
        True,
        True,
    )


def test_a_certificate_made_during_a_capture_holds_afterwards(log: FileLog, store: ClickHouseStore) -> None:
    """Only logs that nobody writes to could be certified."""
    with open_log(log.url, segment_bytes=10**6, segment_age_s=600).writer() as writer:
        run = begun(writer, some_messages(range(1, 11)))
        load(log, store)
        then = audited(log, store).certificate
        assert ([s.closed for s in then.segments], [r.state for r in then.runs]) == ([False], ["open"])
        assert still(log, store, then).detail.startswith("the same; ")
        run.end()
    load(log, store)
    check = still(log, store, then)
    assert (check.ok, check.detail.startswith("the same and more; ")) == (True, True)


def edited(packed: Path) -> None:
    """Another price, with manifest and all other segments as they were."""
    repack(packed, unpack(packed).replace(b'"p":"10', b'"p":"90', 1))


def edited_with_its_manifest_gone(packed: Path) -> None:
    """The same, without what could tell."""
    edited(packed)
    packed.with_name("000002.json").unlink()


def flipped(packed: Path) -> None:
    """One bit."""
    data = bytearray(packed.read_bytes())
    data[len(data) // 2] ^= 1
    packed.write_bytes(data)


@pytest.mark.parametrize("change", [edited, edited_with_its_manifest_gone, flipped, Path.unlink])
def test_a_changed_segment_is_named(pipeline: FileLog, store: ClickHouseStore, change: Callable[[Path], None]) -> None:
    """A certificate would hold for other records than it was made of."""
    then = audited(pipeline, store).certificate
    change(pipeline.path / "000002.ndjson.zst")
    check = still(pipeline, store, then)
    assert (check.ok, "segment 000002" in check.detail, "segment 000001" in check.detail) == (False, True, False), (
        check.detail
    )


def test_a_lost_manifest_alone_changes_nothing(pipeline: FileLog, store: ClickHouseStore) -> None:
    """The bytes are what was certified; that their manifest is gone is another finding."""
    then = audited(pipeline, store).certificate
    (pipeline.path / "000002.json").unlink()
    assert still(pipeline, store, then).ok


def test_another_log_is_named(pipeline: FileLog, store: ClickHouseStore, tmp_path: Path) -> None:
    """Every segment of the right log would look changed when the wrong one was named."""
    other = FileLog(tmp_path / "other", create=True)
    replayed(other, some_messages(range(1, 5)))
    check = still(other, store, audited(pipeline, store).certificate)
    assert (check.ok, pipeline.id in check.detail, "segment 0" in check.detail) == (False, True, False)


def test_klines_are_one_of_the_checks_and_in_the_certificate(
    pipeline: FileLog, store: ClickHouseStore, tmp_path: Path
) -> None:
    """A comparison that failed would leave the verdict ok."""
    path = tmp_path / "BTCUSDT-1m.csv.gz"
    path.write_bytes(gzip.compress(b"1723204800000,1,1,1,1,1,1723204859999,1,12,1,1,0"))
    done = audited(pipeline, store, Extras(klines=Klines((str(path),))))
    assert [(check.name, check.ok) for check in done.verdict.checks][-1] == ("klines.equal", False)
    assert (done.certificate.ok, [row.differing for row in done.certificate.klines]) == (False, [1])


@pytest.mark.parametrize("text", [b"", b"nonsense", b'{"certificate": 99}'])
def test_what_is_no_certificate_is_one_sentence(tmp_path: Path, text: bytes) -> None:
    """A wrong file would end in a traceback, or after an hour's pass over the log."""
    (tmp_path / "c.json").write_bytes(text)
    with pytest.raises(TradecapError) as caught:
        read_certificate(tmp_path / "c.json")
    assert (caught.value.exit_code, "\n" in caught.value.message) == (Exit.USAGE, False)
    assert ("upgrade" in caught.value.hint) == (b"99" in text)
    with pytest.raises(TradecapError, match="No such file"):
        read_certificate(tmp_path / "none.json")


def test_a_place_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path) -> None:
    """An hour of verifying would end without its certificate."""
    for path in (tmp_path, tmp_path / "nowhere/c.json"):
        with pytest.raises(TradecapError, match="can't be written"):
            refuse_unwritable(path)
    refuse_unwritable(tmp_path / "c.json")
