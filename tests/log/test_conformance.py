"""What every log promises, whatever it is made of. A new implementation adds itself to `place`."""

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.log.builders import MB, an_event, begin, lines_of, records_of, write_run
from tradecap.errors import Exit, TradecapError
from tradecap.log import Log, open_log

pytestmark = pytest.mark.core


class Place(NamedTuple):
    """Where logs of one kind can be made: `new()` makes another one and gives its URL."""

    new: Callable[[], str]


@pytest.fixture(params=["file"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """One for each kind of log."""
    assert request.param == "file"
    return Place(lambda: f"file:{tmp_path_factory.mktemp('log') / 'log'}")


@pytest.fixture
def url(place: Place) -> str:
    """A log that exists and is empty."""
    name = place.new()
    open_log(name, create=True)
    return name


@pytest.fixture
def log(url: str) -> Log:
    """The log at url, opened."""
    return open_log(url)


def test_an_empty_log_reads_as_nothing(log: Log) -> None:
    """A first `load` before any capture would fail instead of finding nothing."""
    assert lines_of(log.read()) == []


def test_a_log_keeps_its_id_and_shares_it_with_none(url: str, place: Place) -> None:
    """A store could not tell which log it was fed from."""
    other = open_log(place.new(), create=True)
    assert open_log(url).id == open_log(url, create=True).id != other.id


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=12), st.integers(200, 4000), st.lists(st.integers(0, 400), max_size=3))
def test_lines_come_back_as_they_were_written_from_any_position(
    place: Place, steps: list[tuple[int, bool]], segment_bytes: int, stops: list[int]
) -> None:
    """However appends, flushes and segments fall, a reader that stops anywhere and goes on from its position would lose or repeat records."""
    log = open_log(place.new(), create=True)
    with begin(log, segment_bytes=segment_bytes) as writer:
        written = records_of(writer.run, sum(count for count, _ in steps))
        left = iter(written)
        for count, is_flushed in steps:
            for _ in range(count):
                writer.append(next(left))
            if is_flushed:
                writer.flush()
    assert lines_of(log.read()) == written
    batches = list(log.read())
    for stop in stops:
        seen = batches[: stop % (len(batches) + 1)]
        after = seen[-1].end if seen else ""
        assert lines_of(iter(seen)) + lines_of(log.read(after)) == written


def test_a_record_is_seen_once_it_is_flushed_and_not_before(log: Log) -> None:
    """A reader would count a record that a power cut then takes back."""
    with begin(log) as writer:
        first, second = records_of(writer.run, 2)
        writer.append(first)
        assert lines_of(log.read()) == []
        writer.flush()
        writer.append(second)
        assert lines_of(log.read()) == [first]
    assert lines_of(log.read()) == [first, second]


def test_a_position_taken_while_a_run_is_written_holds_after_it_has_ended(url: str) -> None:
    """A load that stopped during a capture would go on in the wrong place after it."""
    log = open_log(url)
    with begin(log) as writer:
        lines = records_of(writer.run, 3)
        for line in lines:
            writer.append(line)
            writer.flush()
        after = list(log.read())[-1].end
        writer.append(late := an_event(writer.run, 3, "ended"))
    assert lines_of(open_log(url).read(after)) == [late]
    assert lines_of(open_log(url).read(list(log.read(after))[-1].end)) == []


def test_each_run_is_greater_than_every_run_before(log: Log) -> None:
    """Which of two records with one id is the trade is decided by the order of runs."""
    runs = []
    for _ in range(5):
        with begin(log) as writer:
            runs.append(writer.run)
            writer.append(an_event(writer.run, 0, "started"))
    assert runs == sorted(set(runs))


def test_a_second_writer_is_told_who_writes(url: str) -> None:
    """Two writers would give one sequence number to two records."""
    with begin(open_log(url)) as writer:
        with pytest.raises(TradecapError, match=r"is being written by process \d+") as refused:
            begin(open_log(url))
        assert refused.value.exit_code == Exit.UNREACHABLE
        assert refused.value.hint
        writer.append(an_event(writer.run, 0, "ended"))
    begin(open_log(url)).close()


def test_the_run_of_a_live_writer_is_open(url: str) -> None:
    """verify would call a capture torn that is only still running."""
    log = open_log(url)
    assert log.open_run() is None
    with begin(open_log(url)) as writer:
        assert log.open_run() == writer.run
    assert log.open_run() is None


def test_asking_who_writes_never_keeps_a_writer_out(url: str) -> None:
    """A dashboard that looks at a log would make a capture fail to begin."""
    log, stop = open_log(url), threading.Event()

    def look() -> None:
        while not stop.is_set():
            log.open_run()

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for _ in range(20):
            begin(open_log(url)).close()
    finally:
        stop.set()
        looking.join()


def test_a_run_without_an_end_is_reported_to_the_next_writers_until_one_attests_it(log: Log) -> None:
    """A crash would go unproven, or be attested for ever."""
    lines = write_run(log, 3, ended=False)
    with begin(log) as writer:
        assert [(torn.run in lines[0].decode(), torn.last_seq) for torn in writer.torn] == [(True, 2)]
    with begin(log) as writer:
        (torn,) = writer.torn
        writer.append(an_event(writer.run, 0, "recovered", run=torn.run, last_seq=torn.last_seq))
        writer.append(an_event(writer.run, 1, "ended"))
    with begin(log) as writer:
        assert writer.torn == []


def test_a_writer_that_dies_after_attesting_has_attested(log: Log) -> None:
    """The first crash would be attested twice, the second never."""
    write_run(log, 1, ended=False)
    with begin(log) as second:
        writer_run = second.run
        second.append(an_event(second.run, 0, "recovered", run=second.torn[0].run, last_seq=0))
    with begin(log) as third:
        assert [torn.run for torn in third.torn] == [writer_run]


def test_a_payload_that_looks_like_an_attestation_attests_nothing(log: Log) -> None:
    """A message from outside could declare a torn run proven."""
    lines = write_run(log, 1, ended=False)
    run = lines[0][8:44].decode()
    with begin(log) as writer:
        writer.append(b'{"run":"%b","seq":0,"recv":1,"data":{"event":"recovered","detail":{"run":"%b"}}}\n' % (writer.run.encode(), run.encode()))
        writer.append(an_event(writer.run, 1, "ended"))
    with begin(log) as writer:
        assert [torn.run for torn in writer.torn] == [run]


def test_records_are_kept_when_the_writer_leaves_by_an_error(log: Log) -> None:
    """Ctrl-C or a bug in a flow would lose what had been taken in."""
    lines: list[bytes] = []

    def capture() -> None:
        with begin(log) as writer:
            lines.append(an_event(writer.run, 0, "started"))
            writer.append(lines[0])
            raise KeyError

    with pytest.raises(KeyError):
        capture()
    assert lines_of(log.read()) == lines


def test_closing_twice_is_closing_once(log: Log) -> None:
    """A flow that closes on the way out would fail after all went well."""
    writer = begin(log)
    writer.close()
    writer.close()
    assert lines_of(log.read()) == []


def test_a_line_longer_than_a_batch_comes_whole(log: Log) -> None:
    """A reader would hand over half a record, or none."""
    with begin(log) as writer:
        lines = [an_event(writer.run, 0, "long", text="x" * 9 * MB), an_event(writer.run, 1, "ended")]
        for line in lines:
            writer.append(line)
    assert lines_of(log.read()) == lines


def test_a_follower_sees_a_durable_record_within_a_tenth_of_a_second(url: str) -> None:
    """Candles would come late while trades are on the disk."""
    followed, is_going = open_log(url), threading.Event()
    is_going.set()
    seen: list[tuple[float, bytes]] = []

    def follow() -> None:
        seen.extend((time.monotonic(), batch.lines) for batch in followed.read(follow=is_going.is_set))

    follower = threading.Thread(target=follow)
    follower.start()
    flushed = []
    for _ in range(2):
        with begin(open_log(url)) as writer:
            for line in records_of(writer.run, 5):
                writer.append(line)
                writer.flush()
                flushed.append((time.monotonic(), line))
                time.sleep(0.11)
    is_going.clear()
    follower.join(timeout=5)
    assert b"".join(lines for _, lines in seen) == b"".join(line for _, line in flushed)
    delays = sorted(next(at for at, lines in seen if line in lines) - done for done, line in flushed)
    # the middle one, because a busy machine may stop any of them
    assert delays[len(delays) // 2] < 0.1


@pytest.mark.parametrize("segment_bytes", [300, 5_000, MB])
def test_a_follower_loses_nothing_however_segments_change_under_it(url: str, segment_bytes: int) -> None:
    """A follower would miss what was written while a segment was being closed."""
    followed, is_going = open_log(url), threading.Event()
    is_going.set()
    seen: list[bytes] = []
    follower = threading.Thread(target=lambda: seen.extend(lines_of(followed.read(follow=is_going.is_set))))
    follower.start()
    written = []
    with begin(open_log(url), segment_bytes=segment_bytes) as writer:
        for seq, line in enumerate(records_of(writer.run, 300)):
            written.append(line)
            writer.append(line)
            if seq % 7 == 0:
                writer.flush()
    is_going.clear()
    follower.join(timeout=10)
    assert seen == written
