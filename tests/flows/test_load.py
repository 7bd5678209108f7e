"""The log into the store: from where the store stopped, repeating harmlessly, past damage, and on as records come
in."""

import threading
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from tests.builders import NOON_S
from tests.exchange import until
from tests.flows.builders import a_message, begun, failures, never, quietly, replayed, some_messages, spoilt
from tradecap.errors import Exit, TradecapError
from tradecap.flows import load as loading
from tradecap.flows.load import FOLLOW_S, Loaded, load
from tradecap.flows.records import unwatched
from tradecap.log.folder.log import FileLog
from tradecap.market.batch import BEGINNING
from tradecap.market.records import frame, series_head
from tradecap.store.clickhouse.store import ClickHouseStore


def loaded(log: FileLog, store: ClickHouseStore, **how: Any) -> Loaded:
    return load(log, store, **({"stop": never, "progress": quietly} | how))


def stored(store: ClickHouseStore) -> int:
    """The number of distinct trades."""
    return int(str(store.rows("SELECT count() AS n FROM v_trades")[0]["n"]))


def small_segments(log: FileLog, first: int, last: int) -> str:
    """A run of many segments; its id."""
    return replayed(log, some_messages(range(first, last)), segment_bytes=20_000)


def packed(log: FileLog) -> list[Path]:
    return sorted(log.path.glob("*.zst"))


def test_it_says_what_it_did(log: FileLog, store: ClickHouseStore) -> None:
    """Counts that don't add up make the proof look wrong before it is made."""
    replayed(log, [*some_messages(range(20)), a_message(3), b"\xff", a_message(21)[:-4]])
    done = loaded(log, store)
    assert (done.records, done.valid, done.quarantined, done.ignored, done.events, done.redelivered) == (
        25,
        21,
        2,
        0,
        2,
        0,
    )
    assert (done.candles, done.damage) == (2, [])
    assert {0: done.position} == store.positions(log.id)
    again = loaded(log, store)
    assert (again.records, again.valid, again.candles, again.redelivered, again.position) == (0, 0, 0, 0, done.position)


def test_it_continues_where_the_store_stopped(log: FileLog, store: ClickHouseStore) -> None:
    """A load that begins again each time takes an hour for a minute of news."""
    small_segments(log, 0, 200)
    assert loaded(log, store).valid == 200
    small_segments(log, 200, 210)
    done = loaded(log, store)
    assert (done.records, done.valid, done.redelivered) == (12, 10, 0)
    assert not failures(log, store, expect={"trades": 210})


def test_a_stop_keeps_what_was_loaded(log: FileLog, store: ClickHouseStore) -> None:
    """A load that was stopped and begins from the beginning never ends on a large log; one that moves on too far loses
    records."""
    small_segments(log, 0, 400)
    done = loaded(log, store, stop=lambda: True)
    assert 0 < done.records < 402
    assert stored(store) == done.valid
    rest = loaded(log, store)
    assert (done.records + rest.records, rest.redelivered) == (402, 0)
    assert not failures(log, store, expect={"trades": 400})


def test_rows_that_came_without_their_position_come_again_harmlessly(log: FileLog, store: ClickHouseStore) -> None:
    """A crash between rows and position is the one moment that can't be avoided: nothing may be lost in it or counted
    twice."""
    small_segments(log, 0, 200)
    spoilt(log, {"dupes": 3, "conflicts": 3, "nulls": 3})
    for batch in list(log.feed("", lambda: BEGINNING, on_damage=unwatched, segment_files=True))[:-1]:
        store.add(log.id, batch)
    done = loaded(log, store)
    assert done.records == 213
    assert done.redelivered > 190
    assert not failures(log, store, expect={"trades": 200, "duplicates": 3, "conflicts": 3, "quarantined": 3})


def test_a_position_before_its_rows_would_lose_them(
    log: FileLog, store: ClickHouseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order of the two is the whole guarantee: a load that fails between them must not have moved on."""
    replayed(log, some_messages(range(5)))

    def breaks(*_: object) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(store, "add", breaks)
        with pytest.raises(OSError, match="full"):
            loaded(log, store)
    assert store.positions(log.id) == {}
    assert loaded(log, store).valid == 5


def test_a_store_that_took_another_number_does_not_move_on(log: FileLog, store: ClickHouseStore) -> None:
    """Records that never arrived would be skipped forever, and the load would say they had been there before."""
    small_segments(log, 0, 200)
    read: list[int] = []

    def watch(records: int) -> None:
        read.append(records)
        store.run("DROP TABLE IF EXISTS mv_outcomes")

    with pytest.raises(TradecapError, match=r"read 0 records of a batch of \d+") as error:
        loaded(log, store, progress=watch)
    assert error.value.exit_code is Exit.UNREACHABLE
    assert (len(read), sum(store.outcomes().values()) > read[0]) == (1, True)
    store.create()
    assert loaded(log, store).records == 202 - read[0]


def test_an_active_segment_is_loaded_as_far_as_it_is_durable(log: FileLog, store: ClickHouseStore) -> None:
    """A capture that runs for weeks must be seen before it ends, and nothing of it that a power cut may still take
    back."""
    with log.writer() as writer:
        run = begun(writer, some_messages(range(10)))
        run.record(None, series_head("binance", "BTCUSDT", "trade", "ws"), frame(a_message(10)))
        assert loaded(log, store).valid == 10
        assert loaded(log, store).records == 0
        run.end()
    assert loaded(log, store).records == 2
    assert not failures(log, store, expect={"trades": 11})


def test_an_empty_log_is_loaded_in_no_time(log: FileLog, store: ClickHouseStore) -> None:
    """A log that was only just made isn't an error."""
    assert loaded(log, store).records == 0


def test_two_logs_share_a_store(log: FileLog, store: ClickHouseStore, tmp_path: Path) -> None:
    """The position of one log, taken for that of another, skips its records."""
    other = FileLog(tmp_path / "other", create=True)
    replayed(log, some_messages(range(50)))
    replayed(other, some_messages(range(30), symbol="ETHUSDT"))
    assert (loaded(log, store).valid, loaded(other, store).valid, loaded(log, store).valid) == (50, 30, 0)
    assert stored(store) == 80


# ---- damage ----------------------------------------------------------------------------------------------------------


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def lose_the_manifest(path: Path) -> None:
    path.with_name(path.name.partition(".")[0] + ".json").unlink()


@pytest.mark.parametrize(
    ("spoil", "is_whole"), [(flip, False), (cut, False), (Path.unlink, False), (lose_the_manifest, True)]
)
@pytest.mark.parametrize("which", [0, -1])
def test_damage_is_reported_and_the_rest_is_loaded(
    log: FileLog, store: ClickHouseStore, spoil: Any, is_whole: bool, which: int
) -> None:
    """ClickHouse takes a segment that was cut short for a short one: without a word, and with half a line in
    quarantine."""
    small_segments(log, 0, 400)
    assert len(packed(log)) > 5
    segment = packed(log)[which]
    spoil(segment)
    done = loaded(log, store)
    assert {damage.place.partition(".")[0] for damage in done.damage} >= {segment.name.partition(".")[0]}
    assert len(done.damage) == len(set(done.damage))
    assert done.records > 402 - 100
    if spoil is not flip:  # from a flipped bit on, any bytes may come out until the checksum tells
        assert (done.quarantined, done.redelivered, done.valid) == (0, 0, stored(store))
        assert done.records == done.valid + done.events
        assert (done.records == 402) is is_whole
    assert "log.intact" in failures(log, store)


def test_damage_is_reported_again_until_it_is_repaired(log: FileLog, store: ClickHouseStore) -> None:
    """The last segment, damaged: passing it by once and for all would leave its records out when it comes back."""
    small_segments(log, 0, 100)
    last = packed(log)[-1]
    whole = last.read_bytes()
    cut(last)
    assert loaded(log, store).damage
    last.write_bytes(whole)
    assert not loaded(log, store).damage
    assert not failures(log, store, expect={"trades": 100})


# ---- following -------------------------------------------------------------------------------------------------------


class _Follower:
    """Loads with --follow in a thread, while the test goes on."""

    def __init__(self, log: FileLog, store: ClickHouseStore) -> None:
        self.done = Loaded()
        self._seen: list[int] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, args=(log, store))

    def _follow(self, log: FileLog, store: ClickHouseStore) -> None:
        self.done = load(
            log, store, follow=lambda: not self._stop.is_set(), stop=self._stop.is_set, progress=self._note
        )

    def _note(self, records: int) -> None:
        if records:  # 0 says that it begins
            self._seen.append(records)

    def sees(self, records: int) -> bool:
        """Whether this many records have been loaded within a minute."""
        deadline = time.monotonic() + 60
        while sum(self._seen) < records and time.monotonic() < deadline:
            time.sleep(0.005)
        return sum(self._seen) == records

    @property
    def fills(self) -> int:
        """How many times records were loaded into the store."""
        return len(self._seen)

    def __enter__(self) -> "_Follower":
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()


def test_following_sees_new_records_segments_and_runs(log: FileLog, store: ClickHouseStore) -> None:
    """A live store that misses what came while a segment was closed, or a run began, is found out weeks later."""
    replayed(log, some_messages(range(10)))
    with _Follower(log, store) as follower:
        assert follower.sees(12)
        with log.writer() as writer:
            run = begun(writer, some_messages(range(10, 20)))
            assert follower.sees(12 + 11)
            run.end()
        assert follower.sees(12 + 12)
        small_segments(log, 20, 220)
        assert follower.sees(12 + 12 + 202)
    assert (follower.done.records, follower.done.valid, follower.done.redelivered) == (226, 220, 0)
    assert not failures(log, store, expect={"trades": 220})


def test_a_log_that_is_flushed_ten_times_a_second_is_loaded_about_once_a_second(
    log: FileLog, store: ClickHouseStore
) -> None:
    """Each load makes the candles of the running minute again: ten a second took a core from the capture alongside
    it."""
    flushes, began = 25, time.monotonic()
    with _Follower(log, store) as follower, log.writer() as writer:
        run = begun(writer, [])
        for number in range(flushes):
            run.record(None, series_head("binance", "BTCUSDT", "trade", "ws"), frame(a_message(number)))
            run.flush()
            time.sleep(0.1)  # the pace of a capture
        assert follower.sees(flushes + 1)
        assert 2 <= follower.fills <= (time.monotonic() - began) / FOLLOW_S + 3
        run.end()
    assert follower.done.valid == flushes
    assert not failures(log, store, expect={"trades": flushes})


def test_what_lies_in_the_log_already_is_loaded_without_a_rest(
    log: FileLog, store: ClickHouseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A follower that rests after each segment of a week's log would need an hour to catch up."""
    monkeypatch.setattr(loading, "FOLLOW_S", 3600.0)
    small_segments(log, 0, 800)
    assert len(packed(log)) > 10
    with _Follower(log, store) as follower:
        assert follower.sees(802)


def test_a_follower_that_rests_ends_when_it_is_asked_to(
    log: FileLog, store: ClickHouseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C would seem to be ignored."""
    monkeypatch.setattr(loading, "FOLLOW_S", 3600.0)
    with log.writer() as writer:
        run = begun(writer, some_messages(range(10)))
        with _Follower(log, store) as follower:
            assert follower.sees(11)
        run.end()  # _Follower waits a minute at most


def test_sweeps_that_take_long_are_made_seldom_but_are_made(
    log: FileLog, store: ClickHouseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep looks at every trade of the store: of a year's trades, sweeping without a rest would be all that a
    follower does."""
    sweep, swept = store.sweep_candles, [0]

    def slowly(hours: Collection[int] | None) -> int:
        time.sleep(0.2)
        swept[0] += 1
        return sweep(hours)

    monkeypatch.setattr(store, "sweep_candles", slowly)
    began = time.monotonic()
    with _Follower(log, store) as follower, log.writer() as writer:
        run = begun(writer, [])
        for number in range(30):
            run.record(None, series_head("binance", "BTCUSDT", "trade", "ws"), frame(a_message(number)))
            run.flush()
            time.sleep(0.1)
        assert follower.sees(31)
        before = swept[0]
        assert before <= 1 + (time.monotonic() - began) / (0.2 * (1 + loading.SWEEP_REST))
        until(lambda: swept[0] > before)  # though nothing more comes
        run.end()
    assert not failures(log, store, expect={"trades": 30})


def test_a_follower_looks_only_at_the_hours_it_loaded(
    log: FileLog, store: ClickHouseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every second it would read years of trades to find the minute that has just ended."""
    sweep, asked = store.sweep_candles, list[Collection[int] | None]()

    def noted(hours: Collection[int] | None) -> int:
        asked.append(hours)
        return sweep(hours)

    monkeypatch.setattr(store, "sweep_candles", noted)
    with _Follower(log, store) as follower, log.writer() as writer:
        run = begun(writer, [])
        assert follower.sees(1)
        until(lambda: asked == [set()])
        run.record(None, series_head("binance", "BTCUSDT", "trade", "ws"), frame(a_message(1)))
        run.flush()
        until(lambda: len(asked) > 1)
        assert asked[1:] == [{NOON_S // 3600}]
        until(lambda: store.candle_series() != [])
        run.end()
    assert None not in asked
    assert not failures(log, store, expect={"trades": 1, "candles": 1})


def damaged(store: ClickHouseStore, minute_s: int) -> None:
    """A stored candle that its trades don't say."""
    store.run(
        "INSERT INTO candles_1m SELECT * REPLACE (volume + 1 AS volume, fingerprint + 1 AS fingerprint, sweep + 1 "
        "AS sweep)"
        " FROM candles_1m FINAL WHERE minute = toDateTime({minute_s:Int64}, 'UTC')",
        minute_s=minute_s,
    )


def test_a_load_sweeps_what_it_loaded_and_everything_where_it_found_nothing(
    log: FileLog, store: ClickHouseStore
) -> None:
    """A load of a minute would read years of trades; and the fix that verify names for a candle would not build it
    again."""
    replayed(log, some_messages(range(5)))
    loaded(log, store)
    damaged(store, NOON_S)
    replayed(log, [a_message(9, at_s=7200)])
    assert loaded(log, store).candles == 1
    assert list(failures(log, store)) == ["candles.exact"]
    assert loaded(log, store).candles == 1
    assert not failures(log, store)


def test_what_a_killed_load_had_loaded_is_swept_by_the_next(
    log: FileLog, store: ClickHouseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its position is behind the rows, so nobody would look at their hours again."""
    replayed(log, some_messages(range(5)))
    with monkeypatch.context() as patched:
        patched.setattr(store, "sweep_candles", never)
        with pytest.raises(TypeError):
            loaded(log, store)
    hours = {NOON_S // 3600}
    assert store.touched(log.id) == hours
    replayed(log, [a_message(9, at_s=7200)])
    assert loaded(log, store).candles == 2
    assert store.touched(log.id) == set()
    assert not failures(log, store)


def test_a_store_whose_views_differ_is_refused(log: FileLog, store: ClickHouseStore) -> None:
    """With mv_trades dropped, a load reported "20 valid" and stored no trade."""
    replayed(log, some_messages(range(20)))
    store.run("DROP VIEW mv_trades")
    with pytest.raises(TradecapError, match="mv_trades is missing") as refused:
        loaded(log, store)
    assert (refused.value.exit_code, refused.value.hint) == (Exit.UNREACHABLE, "tradecap init-db")
    assert (store.positions(log.id), store.outcomes()) == ({}, {})
    store.create()
    assert loaded(log, store).valid == 20
