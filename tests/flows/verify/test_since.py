"""Verify from a certificate on: what it takes, what it counts, and what it finds in the part that it doesn't read."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard

from tests.flows.builders import begun, load, quietly, replayed, some_messages, spoilt
from tests.log.builders import lines_of, repack, unpack
from tradecap.flows.verify.audit import Audit, Extras, audit
from tradecap.flows.verify.since import foundation
from tradecap.flows.verify.verify import Wanted
from tradecap.log import open_log
from tradecap.log.api import Log
from tradecap.log.folder.log import FileLog
from tradecap.market.faults import FAULTS
from tradecap.market.records import Trade, frame, series_head
from tradecap.proof.certificate import Certificate, read, written
from tradecap.proof.seal import seal_of
from tradecap.proof.since import unusable
from tradecap.store.clickhouse.store import ClickHouseStore
from tradecap.venues.binance import decode


def proven(log: Log, store: ClickHouseStore, then: Certificate | None = None, **wanted: Any) -> Audit:
    """What verify finds of the whole log, or from a certificate on."""
    since = foundation(log, then, "c.json") if then else None
    return audit(log, store, Wanted(**wanted), Extras(since=since), progress=quietly)


def kept(certificate: Certificate) -> Certificate:
    """A certificate as it comes back from its file."""
    found = read(written(certificate))
    assert isinstance(found, Certificate), found
    return found


def failed(done: Audit) -> dict[str, str]:
    """The checks that failed, and their details."""
    return {check.name: check.detail for check in done.verdict.checks if not check.ok}


def of_whole_log(done: Audit) -> dict[str, Any]:
    """All that a proof says, but for what it was based on."""
    made = msgspec.to_builtins(done.certificate)
    left_out = ("made_at", "since", "checks", "sentence")
    checks = [check.row() for check in done.verdict.checks if check.name != "certificate.extended"]
    return {name: value for name, value in made.items() if name not in left_out} | {"checks": checks}


@pytest.fixture
def pipeline(log: FileLog, store: ClickHouseStore) -> FileLog:
    """Two runs in several segments, one of them spoilt, loaded."""
    replayed(log, some_messages(range(1, 61)), segment_bytes=4000)
    spoilt(log, {"nulls": 3, "dupes": 2})
    load(log, store)
    return log


def test_a_proof_from_a_certificate_on_is_the_proof_of_the_whole_log(log: FileLog, store: ClickHouseStore) -> None:
    """What is taken from a certificate would be counted otherwise than what is read, or fall between the two."""
    replayed(log, some_messages(range(1, 301)), segment_bytes=20_000)
    spoilt(log, {fault: 3 for fault in FAULTS if fault != "conflicts"})
    load(log, store)
    then = proven(log, store).certificate
    for n, messages in enumerate((some_messages(range(1, 401))[279:], some_messages(range(1, 50), symbol="ETHUSDT"))):
        replayed(log, messages, segment_bytes=9000)
        spoilt(log, {"dupes": 3, "truncated": 4})
        load(log, store)
        done, whole = proven(log, store, kept(then)), proven(log, store)
        assert failed(done) == {}, n
        assert of_whole_log(done) == of_whole_log(whole), n
        then = done.certificate
    assert then.since is not None
    assert then.counted is not None
    assert 0 < then.since.records < then.counted.records


def test_what_a_certificate_covers_is_not_read_again(pipeline: FileLog, store: ClickHouseStore) -> None:
    """A log of fifty million records would be counted whole for each million that is added."""
    then = kept(proven(pipeline, store).certificate)
    replayed(pipeline, some_messages(range(61, 70)))
    load(pipeline, store)
    counted: list[int] = []
    since = foundation(pipeline, then, "c.json")
    done = audit(pipeline, store, Wanted(), Extras(since=since), progress=counted.append)
    assert (failed(done), sum(counted)) == ({}, 11)
    detail = next(check.detail for check in done.verdict.checks if check.name == "certificate.extended")
    assert "69 records up to" in detail
    assert "11 counted" in detail


def test_a_run_that_goes_on_across_the_certificate_is_one_run(
    log: FileLog, store: ClickHouseStore, tmp_path: Path
) -> None:
    """Each proof made during a capture would need the whole log once more, or lose the record at the seam."""
    with open_log(log.url, segment_bytes=10**6, segment_age_s=600).writer() as writer:
        run = begun(writer, some_messages(range(1, 11)))
        load(log, store)
        then = kept(proven(log, store).certificate)
        short = tmp_path / "short"
        shutil.copytree(log.path, short)
        os.truncate(short / "000001.ndjson", (short / "000001.ndjson").stat().st_size - 300)
        assert foundation(FileLog(short, create=False), then, "c.json").changed == [
            "segment 000001 is missing or cut short (11 records)"
        ]
        assert [each.state for each in then.runs] == ["open"]
        for message in some_messages(range(11, 31)):
            reading = decode(message)
            assert isinstance(reading, Trade)
            run.record(None, series_head(reading.venue, reading.symbol, reading.channel, "ws"), frame(message), reading)
        run.end()
    load(log, store)
    done = proven(log, store, then)
    assert failed(done) == {}
    assert of_whole_log(done) == of_whole_log(proven(log, store))
    assert [(each.state, each.records) for each in done.certificate.runs] == [("ended", 32)]


def test_what_the_store_lost_of_the_covered_part_is_found(pipeline: FileLog, store: ClickHouseStore) -> None:
    """A certificate would excuse the store from what it lost or changed later."""
    then = kept(proven(pipeline, store).certificate)
    replayed(pipeline, some_messages(range(61, 70)))
    load(pipeline, store)
    for table, which in {
        "ledger": "seq = 7",
        "trades": "trade_id = 7",
        "quarantine": "1",
        "candles_1m": "first_id = 1",
    }.items():
        store.run(f"ALTER TABLE {table} DELETE WHERE {which} SETTINGS mutations_sync = 2")
    store.run("INSERT INTO ledger SELECT * REPLACE (content + 1 AS content) FROM ledger WHERE seq = 9 LIMIT 1")
    done = proven(pipeline, store, then)
    assert {"ledger.complete", "trades.accounted", "quarantine.accounted", "candles.exact"} <= failed(done).keys()
    assert all(part in failed(done)["ledger.complete"] for part in ("lost: ", "changed: ", "seq 7", "seq 9"))
    assert failed(done) == failed(proven(pipeline, store))


def edited(folder: Path) -> None:
    """Another price in a segment whose manifest stays."""
    packed = folder / "000002.ndjson.zst"
    repack(packed, unpack(packed).replace(b'"p":"10', b'"p":"90', 1))


def edited_with_its_manifest(folder: Path) -> None:
    """Another price, and a manifest that fits it."""
    edited(folder)
    text, packed = unpack(folder / "000002.ndjson.zst"), (folder / "000002.ndjson.zst").read_bytes()
    manifest = json.loads((folder / "000002.json").read_bytes())
    manifest |= {
        "bytes": len(text),
        "sha256": hashlib.sha256(text).hexdigest(),
        "packed": hashlib.sha256(packed).hexdigest(),
    }
    (folder / "000002.json").write_text(json.dumps(manifest))


def cut_short(folder: Path) -> None:
    """The end of a packed file is gone."""
    packed = folder / "000002.ndjson.zst"
    packed.write_bytes(packed.read_bytes()[:-9])


def removed(folder: Path) -> None:
    """A segment is gone, with its manifest."""
    (folder / "000002.ndjson.zst").unlink()
    (folder / "000002.json").unlink()


def test_what_became_of_the_covered_segments_is_noticed(
    pipeline: FileLog, store: ClickHouseStore, tmp_path: Path
) -> None:
    """A proof would rest on records that the log no longer holds, or a log from a copy could never be continued."""
    then = kept(proven(pipeline, store).certificate)

    def changed(change: Callable[[Path], None]) -> list[str]:
        folder = tmp_path / change.__name__
        shutil.copytree(pipeline.path, folder)
        change(folder)
        return foundation(FileLog(folder, create=False), then, "c.json").changed

    for change in (edited, edited_with_its_manifest, cut_short, flipped, removed):
        assert [text.partition(" c")[0].partition(" is")[0] for text in changed(change)] == ["segment 000002"], change
    assert changed(packed_again) == []
    again = foundation(FileLog(tmp_path / "packed_again", create=False), then, "c.json")
    assert again.read
    assert f"manifest or file of segment {again.read[0]}" in again.check(70).detail

    edited(pipeline.path)
    replayed(pipeline, some_messages(range(61, 70)))
    load(pipeline, store)
    done, whole = proven(pipeline, store, then), proven(pipeline, store)
    assert "segment 000002" in failed(done)["certificate.extended"]
    assert {name: detail for name, detail in failed(done).items() if name != "certificate.extended"} == failed(whole)
    assert (done.certificate.since, done.certificate.counted) == (None, None)


def packed_again(folder: Path) -> None:
    """The same lines in other files."""
    for packed in folder.glob("*.zst"):
        packed.write_bytes(zstandard.ZstdCompressor(9, write_checksum=True).compress(unpack(packed)))


def flipped(folder: Path) -> None:
    """One bit, in a file of unchanged size behind its manifest."""
    packed = folder / "000002.ndjson.zst"
    data = bytearray(packed.read_bytes())
    data[len(data) // 2] ^= 1
    packed.write_bytes(data)


def test_a_record_that_came_again_is_the_same_or_named(pipeline: FileLog, store: ClickHouseStore) -> None:
    """A second record with the identity of a covered one would pass for its repeat."""
    then = kept(proven(pipeline, store).certificate)
    line = lines_of(pipeline.read())[5]
    for again in (line, line.replace(b'"p":"1', b'"p":"2')):
        with pipeline.writer() as writer:
            writer.append(again)
        load(pipeline, store)
        done = proven(pipeline, store, then)
        assert ("log.identity" in failed(done)) is (again != line)
        assert (done.verdict.counts.redelivered > 0, done.verdict.counts.records) == (True, then.counts["records"])


# ---- certificates that can't be continued ----------------------------------------------------------------------------


def resealed(members: dict[str, Any]) -> bytes:
    """Write a certificate with the knowledge of how it is sealed."""
    members = {name: value for name, value in members.items() if name != "seal"}
    return json.dumps(members | {"seal": seal_of(members)}).encode()


def refusal(log: Log, text: bytes) -> str:
    """Why a certificate isn't continued; '' where it is."""
    then = read(text)
    if isinstance(then, str):
        return then
    return unusable(then, log.id)


def values(of: object, path: Sequence[Any] = ()) -> list[tuple[Sequence[Any], object]]:
    """Every value of a document, and where it is."""
    if isinstance(of, dict):
        return [found for name, value in of.items() for found in values(value, (*path, name))]
    if isinstance(of, list):
        return [found for n, value in enumerate(of) for found in values(value, (*path, n))]
    return [(path, of)]


def with_value(members: dict[str, Any], path: Sequence[Any], value: object) -> dict[str, Any]:
    """A copy with another value in one place."""
    copy: Any = json.loads(json.dumps(members))
    at = copy
    for name in path[:-1]:
        at = at[name]
    at[path[-1]] = value
    return dict(copy)


def other(value: object) -> object:
    """Another value of the same type."""
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case str():
            return f"{int(value) + 1}" if value.isdigit() else f"{value}x"
        case _:
            return 1


def test_every_edit_of_a_certificate_is_refused(pipeline: FileLog, store: ClickHouseStore) -> None:
    """A number that was put in later would be taken for counted."""
    text = written(proven(pipeline, store).certificate)
    members = json.loads(text)
    assert refusal(pipeline, text) == ""
    every = values(members)
    assert len(every) > 200
    for path, value in every:
        assert refusal(pipeline, json.dumps(with_value(members, path, other(value))).encode()), path
    for name in members:
        assert refusal(
            pipeline, json.dumps({each: value for each, value in members.items() if each != name}).encode()
        ), name
