"""Recordings become a run of the log: what is logged, what is counted, what is left out, and when."""

import gzip
import hashlib
import os
import re
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.builders import NOON_S
from tests.exchange import until
from tests.flows.builders import MB, a_message, failures, load, never, quietly, some_messages, spoilt
from tradecap.errors import TradecapError
from tradecap.flows.records import as_recording, read_lines
from tradecap.flows.replay.replay import Choice, Nowhere, Replayed, look_at, refuse_own_log, replay
from tradecap.log import open_log
from tradecap.log.api import Log
from tradecap.log.folder.log import FileLog
from tradecap.market.batch import Lines
from tradecap.market.records import Envelope, Rejected, Trade, frame, series_head
from tradecap.recordings.reading import MAX_LINE, Source
from tradecap.store.clickhouse.store import ClickHouseStore
from tradecap.venues.binance import decode

BOOK = b'{"u":1,"s":"BTCUSDT","b":"1","B":"1","a":"2","A":"1"}'
DEPTH = b'{"e":"depthUpdate","E":1723204800000,"s":"BTCUSDT","U":1,"u":2,"b":[],"a":[]}'
SNAPSHOT = b'{"lastUpdateId":1,"bids":[],"asks":[]}'
REPLY = b'{"result":null,"id":1}'


def combined(payload: bytes) -> bytes:
    return b'{"stream":"btcusdt@trade","data":' + payload + b"}"


def stream(*lines: bytes, name: str = "recording") -> Source:
    return Source(name, stream=BytesIO(b"".join(line + b"\n" for line in lines)))


def replayed(log: Log, *sources: Source, **choice: Any) -> Replayed:
    """Replay sources into a log, as one run."""
    chosen = Choice(**choice)
    inputs = look_at(sources, chosen)
    with open_log(log.url, segment_bytes=64 * MB, segment_age_s=600).writer() as writer:
        return replay(inputs, writer, chosen, stop=never, progress=quietly)


def dry(*sources: Source, **choice: Any) -> Replayed:
    """Replay sources into nothing."""
    chosen = Choice(**choice)
    return replay(look_at(sources, chosen), Nowhere(), chosen, stop=never, progress=quietly)


def data_of(log: Log, run: str = "") -> list[Envelope]:
    """The data records of a log, or of one run of it."""
    return [envelope for envelope, _, _ in read_lines(log) if not envelope.event and run in ("", envelope.run)]


def events_of(log: Log) -> list[str]:
    return [envelope.event for envelope, _, _ in read_lines(log) if envelope.event]


def ids_of(log: Log, run: str = "") -> list[int]:
    readings = (decode(envelope.payload, envelope.venue) for envelope in data_of(log, run))
    return [reading.id for reading in readings if isinstance(reading, Trade)]


# ---- what is logged --------------------------------------------------------------------------------------------------


def test_each_form_of_a_line_gives_the_same_trade(log: FileLog) -> None:
    """A form that is framed wrongly loses its receive time, its symbol, or all of its trades."""
    bare, in_front = a_message(1), b"1723204800123456789 " + combined(a_message(3))
    done = replayed(
        log, stream(bare, combined(a_message(2)), in_front, b"", SNAPSHOT, REPLY, BOOK, DEPTH, combined(DEPTH))
    )
    assert (done.lines, done.valid, done.records, done.events) == (8, 3, 5, 2)
    assert done.ignored == {"snapshot": 1, "reply": 1, "bookTicker": 1, "depthUpdate": 2}
    records = data_of(log)
    assert [record.payload for record in records] == [bare, combined(a_message(2)), combined(a_message(3))]
    assert [record.recv for record in records] == [None, None, 1_723_204_800_123_456_789]
    assert {(record.venue, record.symbol, record.channel, record.via) for record in records} == {
        ("binance", "BTCUSDT", "trade", "ws")
    }
    assert [record.src for record in records] == ["recording:1", "recording:2", "recording:3"]
    assert events_of(log) == ["started", "ended"]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_files_are_read_as_streams_are(log: FileLog, tmp_path: Path, pack: Any) -> None:
    """A packed file that gives other records than the plain one makes archives worthless."""
    path = tmp_path / "capture"
    path.write_bytes(pack(b"".join(message + b"\n" for message in some_messages(range(5)))))
    assert replayed(log, Source("capture", path)).valid == 5
    assert [record.payload for record in data_of(log)] == some_messages(range(5))


def test_what_cannot_be_read_is_logged_whole(log: FileLog, store: ClickHouseStore) -> None:
    """A line that is dropped, or changed, can never be explained."""
    bad = [
        a_message(2).replace(b'"p":"', b'"p":null,"x":"'),
        a_message(3)[:-9],
        b"\xff\xfe",
        b"[1,2]",
        b'{"e":"sunshine"}',
    ]
    done = replayed(log, stream(a_message(1), *bad))
    assert done.quarantined == {
        "null_field": 1,
        "malformed_json": 1,
        "not_utf8": 1,
        "not_an_object": 1,
        "unknown_message": 1,
    }
    assert [record.payload for record in data_of(log)] == [a_message(1), *bad]
    load(log, store)
    assert not failures(log, store, expect={"quarantined": 5, "trades": 1})


def test_a_venue_that_is_not_named_is_found_by_shape_or_set_by_the_caller(log: FileLog) -> None:
    """Futures filed under spot mix two series of ids."""
    spot, usdm = a_message(1), a_message(2, venue="binance-usdm")
    replayed(log, stream(spot, usdm))
    assert [record.venue for record in data_of(log)] == ["binance", "binance-usdm"]
    run = replayed(log, stream(usdm), venue="binance-us").run
    assert [record.venue for record in data_of(log, run)] == ["binance-us"]


def test_a_line_longer_than_64_mib_keeps_its_beginning_and_its_sum(log: FileLog, store: ClickHouseStore) -> None:
    """One runaway line must neither fill the memory nor be lost without a trace."""
    long = b'{"e":"trade","pad":"' + b"x" * (MAX_LINE + 1000) + b'"}'
    done = replayed(log, stream(a_message(1), long, a_message(2)))
    assert done.quarantined == {"oversize": 1}
    record = data_of(log)[1]
    assert (record.size, record.sha256) == (len(long), hashlib.sha256(long).hexdigest())
    assert long.startswith(record.payload)
    assert record.src == "recording:2"
    load(log, store)
    assert not failures(log, store, expect={"quarantined.oversize": 1, "trades": 2})


def test_a_long_line_that_looks_like_one_of_ours_is_oversize_too(log: FileLog) -> None:
    """Cut to 64 KiB without a word it would look as if that were all there was."""
    long = b'{"run":"' + b"x" * (MAX_LINE + 1000)
    done = replayed(log, stream(a_message(1), long))
    assert done.quarantined == {"oversize": 1}
    assert data_of(log)[1].size == len(long)


# ---- our own logs ----------------------------------------------------------------------------------------------------


def test_our_own_log_comes_out_as_it_was(log: FileLog, store: ClickHouseStore, tmp_path: Path) -> None:
    """A copy that differs in a payload, a time or a way isn't a replay; faults that come out unmarked would fail the
    proof."""
    first = FileLog(tmp_path / "first", create=True)
    replayed(
        first,
        stream(b"1723204800123456789 " + a_message(0), *some_messages(range(1, 40)), b"\xff", b"x" * (600 * 1024)),
    )
    spoilt(first, {"dupes": 3, "conflicts": 3, "nulls": 3, "oversize": 1})
    done = replayed(log, Source("first", first.path, as_recording(first)))
    assert done.ignored == {"event": 4}
    assert done.lines == done.valid + sum(done.quarantined.values()) + 4
    same = ("recv", "venue", "symbol", "channel", "via", "payload", "size", "sha256")
    ours, theirs = ([[getattr(record, name) for name in same] for record in data_of(each)] for each in (log, first))
    assert ours == theirs
    load(log, store)
    assert not failures(log, store, expect={"trades": 40, "duplicates": 3, "conflicts": 3, "quarantined": 6})


def test_segments_of_a_log_are_recordings_too(log: FileLog, tmp_path: Path) -> None:
    """A segment that was saved from a lost disk is read like the log it was part of."""
    first = FileLog(tmp_path / "first", create=True)
    replayed(first, stream(*some_messages(range(9))))
    done = replayed(log, Source("000001.ndjson.zst", first.path / "000001.ndjson.zst"))
    assert (done.valid, done.ignored) == (9, {"event": 2})


def test_a_log_is_not_replayed_into_itself(log: FileLog) -> None:
    """It would read what it writes, forever."""
    replayed(log, stream(a_message(1)))
    with pytest.raises(TradecapError, match="can't be replayed into itself"):
        refuse_own_log(look_at([Source("log", log.path, as_recording(FileLog(log.path, create=False)))], Choice()), log)


# ---- what is left out ------------------------------------------------------------------------------------------------


def test_symbols_leave_out_the_others_and_what_claims_to_be_of_them(log: FileLog) -> None:
    """A symbol that wasn't asked for would appear in the store; a line that names none must not get lost."""
    other = a_message(1, symbol="ETHUSDT")
    done = replayed(
        log, stream(a_message(1), other, other[:-9], a_message(2)[:-9], b"\xff", BOOK), symbols=frozenset({"BTCUSDT"})
    )
    assert (done.valid, done.filtered, done.quarantined) == (1, 2, {"malformed_json": 1, "not_utf8": 1})
    assert {record.symbol for record in data_of(log)} == {"BTCUSDT", ""}


def test_a_range_takes_its_first_moment_and_not_its_last() -> None:
    """A trade at the edge would be in two days, or in none."""
    source = [a_message(n, at_s=n) for n in range(10)]
    ns = [(NOON_S + n) * 10**9 for n in range(10)]
    done = dry(stream(*source), from_ns=ns[3], to_ns=ns[7])
    assert (done.valid, done.filtered) == (4, 6)
    assert dry(stream(*source), from_ns=ns[9] + 1).valid == 0


def test_a_limit_counts_trades(log: FileLog) -> None:
    """--limit 10 of a file that begins with ten thousand quotes must not be empty."""
    done = replayed(log, stream(BOOK, a_message(1), b"\xff", a_message(2), a_message(3)), limit=2)
    assert (done.lines, done.valid, done.quarantined, done.records) == (4, 2, {"not_utf8": 1}, 5)
    assert ids_of(log) == [1, 2]


def test_a_symbol_that_never_came_is_reported() -> None:
    """A typo in --symbol leaves an empty run and exit 0."""
    (problem,) = dry(stream(*some_messages(range(3))), symbols=frozenset({"BTCUSD"})).problems
    assert (problem.message, problem.hint) == ("There is no trade of BTCUSD in recording.", "did you mean BTCUSDT?")
    late = dry(stream(*some_messages(range(3))), symbols=frozenset({"BTCUSDT"}), from_ns=(NOON_S + 999) * 10**9)
    assert (late.valid, late.filtered, late.problems) == (0, 3, [])


LINES = st.sampled_from(
    [
        a_message(1),
        combined(a_message(2)),
        b"1723204800123456789 " + a_message(3),
        a_message(4, symbol="ETHUSDT"),
        a_message(5, venue="binance-usdm", at_s=3600),
        a_message(6).replace(b'"q":', b'"q":null,"x":'),
        a_message(7, symbol="ETHUSDT")[:-3],
        BOOK,
        DEPTH,
        SNAPSHOT,
        REPLY,
        b"",
        b"\xff\x00",
        b"null",
        b'{"run":"no run","seq":0,"recv":null,"data":{}}',
        b'{"run":"01a1fd20-f6e6-7a87-a0ed-cce903a10426","seq":0,"recv":1,"event":"started","detail":{}}',
        b'{"run":"01a1fd20-f6e6-7a87-a0ed-cce903a10426","seq":1,"recv":1,"venue":"binance","via":"ws","text":"x"}',
        b'{"run":"01a1fd20-f6e6-7a87-a0ed-cce903a10426","seq":2,"recv":1,"venue":"binance","via":"ws","data":'
        + a_message(8)
        + b"}",
    ]
)
CHOICES = st.fixed_dictionaries(
    {},
    optional={
        "symbols": st.sampled_from([frozenset({"BTCUSDT"}), frozenset({"ETHUSDT", "XRPUSDT"})]),
        "from_ns": st.just((NOON_S + 60) * 10**9),
        "limit": st.integers(1, 4),
        "venue": st.just("binance-us"),
        "now": st.booleans(),
    },
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(LINES, max_size=40), choice=CHOICES)
def test_every_line_is_in_one_count_and_every_record_in_the_log(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], choice: Any
) -> None:
    """A line in no count is lost, one in two makes the equation of the proof wrong."""
    log = FileLog(tmp_path_factory.mktemp("log"), create=True)
    done = replayed(log, stream(a_message(0), *lines), **choice)
    quarantined = sum(done.quarantined.values())
    assert done.lines == done.valid + quarantined + sum(done.ignored.values()) + done.filtered
    assert done.records == done.valid + quarantined + done.events
    assert done.events == 2
    assert sum(batch.records for batch in log.read()) == done.records
    readings = [
        decode(record.payload, record.venue, record.symbol, record.channel) for record in data_of(log, done.run)
    ]
    assert sum(isinstance(reading, Rejected) for reading in readings) == quarantined
    if "limit" not in choice:
        assert done.lines == 1 + sum(bool(line) for line in lines)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(LINES, max_size=40), choice=st.just({}) | CHOICES)
def test_the_quick_way_writes_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], choice: Any
) -> None:
    """What is in the log, and what is counted, would depend on which way it took."""
    logs = [FileLog(tmp_path_factory.mktemp("log"), create=True) for _ in range(2)]
    done = []
    with pytest.MonkeyPatch.context() as patch:
        for log, way in zip(logs, "01", strict=True):
            patch.setenv("TRADECAP_PLAIN", way)
            done.append(replayed(log, stream(a_message(0), *lines), **choice | {"now": False}))
    written = []
    for log, each in zip(logs, done, strict=True):
        text = b"".join(batch.content.text for batch in log.read() if isinstance(batch.content, Lines)).replace(
            each.run.encode(), b"RUN"
        )
        written.append(re.sub(rb'"recv":\d+,"event"', b'"event"', text))
    assert written[1] == written[0]
    assert [str(problem) for problem in done[1].problems] == [str(problem) for problem in done[0].problems]
    assert replace(done[1], run="", seconds=0, problems=[]) == replace(done[0], run="", seconds=0, problems=[])


# ---- what is a recording ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("noise", [b"x", b'{"foo":1}', b"12", b"\xff"])
def test_something_must_be_recognised_in_the_first_thousand_lines(noise: bytes) -> None:
    """The wrong file would be quarantined by the million; a recording with a bad beginning must still be read."""
    assert dry(stream(*[noise] * 999, a_message(1))).valid == 1
    with pytest.raises(TradecapError, match="nothing in its first 1000 lines is a message of a known venue"):
        dry(stream(*[noise] * 1000, a_message(1)))
    with pytest.raises(TradecapError, match="nothing in its first 1000 lines"):
        dry(stream(*[noise] * 1000, a_message(1)), venue="binance", symbol="BTCUSDT")


def test_a_recording_of_other_streams_only_is_one() -> None:
    """Quotes without a trade are a quiet market, not a wrong file."""
    assert dry(stream(BOOK, DEPTH)).ignored == {"bookTicker": 1, "depthUpdate": 1}


def test_a_cut_file_keeps_what_came_before_and_the_next_file_is_read(log: FileLog, tmp_path: Path) -> None:
    """One broken file in a list must not cost the others, nor go unsaid."""
    cut, whole = tmp_path / "cut.gz", tmp_path / "whole.gz"
    packed = gzip.compress(b"".join(message + b"\n" for message in some_messages(range(1000))))
    cut.write_bytes(packed[: len(packed) // 2])
    whole.write_bytes(gzip.compress(a_message(5000) + b"\n"))
    done = replayed(log, Source("cut.gz", cut), Source("whole.gz", whole))
    assert [problem.message.partition(" after")[0] for problem in done.problems] == ["cut.gz is cut short"]
    ids = ids_of(log)
    assert ids == [*range(len(ids) - 1), 5000]
    assert 200 < len(ids) < 1000
    assert events_of(log) == ["started", "ended"]


def open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def test_a_thousand_files_are_not_kept_open(tmp_path: Path) -> None:
    """`replay capture-*.gz` of a month of hours would end with too many open files, before it began."""
    for n in range(300):
        (tmp_path / f"{n}.ndjson").write_bytes(a_message(n) + b"\n")
    before = open_files()
    inputs = look_at([Source(str(n), tmp_path / f"{n}.ndjson") for n in range(300)], Choice())
    assert open_files() <= before
    assert replay(inputs, Nowhere(), Choice(), stop=never, progress=quietly).valid == 300


def test_a_pipe_is_read_once(tmp_path: Path, log: FileLog) -> None:
    """`tradecap replay <(zcat capture.gz)`: what was looked at can't be read again."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    lines = b"".join(message + b"\n" for message in some_messages(range(500)))
    writer = threading.Thread(target=pipe.write_bytes, args=(lines,))
    writer.start()
    assert replayed(log, Source("pipe", pipe)).valid == 500
    writer.join()


# ---- when ------------------------------------------------------------------------------------------------------------


def test_a_paced_replay_keeps_the_recorded_distances(log: FileLog) -> None:
    """Candles and strategies tested on a replay that bunches up learn from a market that never was."""
    lines = [b"%d " % (1_723_204_800_000_000_000 + n * 25_000_000_000) + a_message(n) for n in range(5)]
    before = time.monotonic()
    done = replayed(log, stream(*lines), speed=500.0)
    assert 0.2 <= time.monotonic() - before < 60  # 100 s recorded
    assert done.pacing is not None
    assert sorted(done.pacing) == ["max_ms", "p50_ms", "p99_ms"]


@pytest.mark.parametrize(
    "first", [[], [b"1723204800000000000 \xff"]], ids=["a trade first", "something unreadable first"]
)
def test_now_moves_all_times_by_the_same_amount(log: FileLog, first: list[bytes]) -> None:
    """A live test on old data needs today's times; one record that stays behind would hold up a paced replay for
    years."""
    lines = [b"%d " % ((NOON_S + n) * 10**9) + a_message(n, at_s=n) for n in range(3)]
    lines.insert(2, b"%d \xff" % ((NOON_S + 2) * 10**9))
    before = time.time_ns() // 1_000_000
    done = replayed(log, stream(*first, *lines), now=True, speed=1000.0)
    assert done.valid == 3
    trades = [reading for record in data_of(log) if isinstance(reading := decode(record.payload), Trade)]
    times = [trade.trade_time_us // 1000 for trade in trades]
    assert before <= times[0] <= time.time_ns() // 1_000_000
    assert [t - times[0] for t in times] == [0, 1000, 2000]
    assert {trade.event_time_us - trade.trade_time_us for trade in trades} == {1000}
    recv = [record.recv or 0 for record in data_of(log) if record.payload.startswith(b"{")]
    assert [t - recv[0] for t in recv] == [0, 10**9, 2 * 10**9]


@pytest.mark.parametrize("speed", [None, 1.0])
def test_a_stop_ends_the_run_properly(log: FileLog, speed: float | None) -> None:
    """A stop that waits for the next recorded message waits through a night; one that drops what it took in loses
    records."""
    asked = threading.Event()

    def lines() -> Iterator[bytes]:
        for n in range(3):
            yield b"%d " % ((NOON_S + 3600 * (n // 2)) * 10**9) + a_message(n)
            if n == 2 and speed is None:
                asked.set()
        yield from (a_message(n) for n in range(10, 100_000))

    def ask_after_two() -> None:
        until(lambda: len(data_of(log)) >= 2)
        asked.set()

    if speed:
        threading.Thread(target=ask_after_two).start()
    chosen = Choice(speed=speed)
    inputs = look_at([Source("endless", stream=_Endless(lines()))], chosen)
    before = time.monotonic()
    with log.writer() as writer:
        done = replay(inputs, writer, chosen, stop=asked.is_set, progress=quietly)
    assert time.monotonic() - before < 60
    assert 2 <= done.valid < 90_000
    assert len(data_of(log)) == done.valid
    assert events_of(log) == ["started", "ended"]
    assert not done.problems


class _Endless(BytesIO):
    """A stream that gives a line at a time, as a live one does."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        super().__init__()
        self._of = iter(lines)

    def read(self, size: int | None = -1, /) -> bytes:  # noqa: ARG002 -- a line, whatever was asked for
        line = next(self._of, None)
        return b"" if line is None else line + b"\n"


def test_torn_runs_are_attested_by_the_next_one(log: FileLog, store: ClickHouseStore) -> None:
    """A run whose writer died is only proven once somebody says how far it came."""
    writer = log.writer()
    for seq in range(3):
        head = series_head("binance", "BTCUSDT", "trade", "ws")
        writer.append(
            b'{"run":"%b","seq":%d,"recv":null,%b%b' % (writer.run.encode(), seq, head, frame(a_message(seq)))
        )
    writer.close()
    done = replayed(log, stream(a_message(3)))
    assert (done.events, done.records) == (3, 4)
    assert events_of(log) == ["started", "recovered", "ended"]
    load(log, store)
    assert not failures(log, store, expect={"trades": 4})
