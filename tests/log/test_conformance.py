"""What every log promises, whatever it is made of. A new implementation adds itself to KINDS."""

import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.kafka.client import Kafka
from tests.log.builders import MB, a_trade, an_event, lines_of, records_of, texts_of, write_run
from tests.log.memory import Kept, MemoryLog
from tradecap.flows.records import unwatched
from tradecap.log import open_log
from tradecap.log.api import Block, Log, Record
from tradecap.market.batch import Batch, Positions
from tradecap.market.records import new_run, read_envelope

pytestmark = pytest.mark.core


class Place(NamedTuple):
    """Where logs of one kind can be made: `new(segment_bytes)` makes an empty one and gives what opens it, as often as
    it is called."""

    new: Callable[[int], Callable[[], Log]]


def in_a_folder(request: pytest.FixtureRequest) -> Place:
    """Logs in folders."""
    factory: pytest.TempPathFactory = request.getfixturevalue("tmp_path_factory")
    folder = factory.mktemp("logs")

    def new(segment_bytes: int) -> Callable[[], Log]:
        url = f"file:{folder}/{len(list(folder.iterdir()))}"
        return lambda: open_log(url, create=True, segment_bytes=segment_bytes)

    return Place(new)


def in_memory(_: pytest.FixtureRequest) -> Place:
    """Logs of three partitions with holes between offsets."""

    def new(_: int) -> Callable[[], Log]:
        kept = Kept()
        return lambda: MemoryLog(kept)

    return Place(new)


def in_kafka(request: pytest.FixtureRequest) -> Place:
    """Logs in topics of a real broker."""
    kafka: Kafka = request.getfixturevalue("kafka")

    def new(_: int) -> Callable[[], Log]:
        topic = kafka.new_topic(f"log-{uuid.uuid4().hex}")
        return lambda: open_log(f"kafka://{kafka.bootstrap}/{topic}")

    return Place(new)


KINDS: Final = [in_a_folder, in_memory, pytest.param(in_kafka, marks=pytest.mark.kafka)]


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def place(request: pytest.FixtureRequest) -> Place:
    """One for each kind of log."""
    kind: Callable[[pytest.FixtureRequest], Place] = request.param
    return kind(request)


@pytest.fixture
def opened(place: Place) -> Callable[[], Log]:
    """Opens a log that is empty at first, as another process would."""
    return place.new(64 * MB)


@pytest.fixture
def log(opened: Callable[[], Log]) -> Log:
    """That log, opened."""
    return opened()


def written_by(run: str, batches: Iterator[Batch]) -> list[bytes]:
    """The records of a run in the order of seq, whatever partition each is in."""
    return sorted((line for line in lines_of(batches) if run.encode() in line), key=seq_of)


def seq_of(line: bytes) -> int:
    """The number of a record."""
    envelope = read_envelope(line.removesuffix(b"\n"))
    assert envelope
    return envelope.seq


def ends_of(batches: Iterable[Batch]) -> Positions:
    """Where to go on after some batches."""
    return {batch.end.partition: batch.end.at for batch in batches}


def test_an_empty_log_reads_as_nothing(log: Log) -> None:
    """A first `load` before any capture would fail instead of finding nothing."""
    assert lines_of(log.read()) == []


def test_a_log_keeps_its_id_and_shares_it_with_none(opened: Callable[[], Log], place: Place) -> None:
    """A store could not tell which log it was fed from."""
    assert opened().id == opened().id != place.new(MB)().id


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=12),
    st.integers(200, 4000),
    st.lists(st.integers(0, 400), max_size=3),
)
def test_lines_come_back_as_they_were_written_from_any_position(
    place: Place, steps: list[tuple[int, bool]], segment_bytes: int, stops: list[int]
) -> None:
    """However appends, flushes and segments fall, a reader that stops anywhere and goes on from its position would lose
    or repeat records."""
    log = place.new(segment_bytes)()
    with log.writer() as writer:
        written = records_of(writer.run, sum(count for count, _ in steps))
        left = iter(written)
        for count, is_flushed in steps:
            for _ in range(count):
                writer.append(next(left))
            if is_flushed:
                writer.flush()
        run = writer.run
    assert written_by(run, log.read()) == written
    batches = list(log.read())
    for stop in stops:
        seen = batches[: stop % (len(batches) + 1)]
        rest = list(log.read(ends_of(seen)))
        assert written_by(run, iter([*seen, *rest])) == written
        assert sum(batch.records for batch in [*seen, *rest]) == len(written)


def test_blocks_and_records_may_alternate(log: Log) -> None:
    """Events come one by one between blocks of trades: records would be lost, or come in another order."""
    with log.writer() as writer:
        made = records_of(writer.run, 6)
        writer.append(made[0], a_trade(0))
        writer.append_many(Block.of([(made[1], a_trade(1)), (made[2], None), (made[3], a_trade(3, "ETHUSDT"))]))
        writer.append_many(Block.of([]))
        writer.append(made[4], a_trade(4))
        writer.append_many(Block.of([(made[5], a_trade(5))]))
        writer.flush()
    assert written_by(writer.run, log.read()) == made


def test_a_flushed_record_is_seen_by_every_later_reading(log: Log) -> None:
    """A loader would pass by a trade that was acknowledged, or take back one that it has counted."""
    with log.writer() as writer:
        first, second = records_of(writer.run, 2)
        writer.append(first)
        assert lines_of(log.read()) in ([], [first])  # a broker may have it already, and then it is durable
        writer.flush()
        assert lines_of(log.read()) == [first]
        writer.append(second)
        assert lines_of(log.read()) in ([first], [first, second])
    assert lines_of(log.read()) == [first, second]


@pytest.mark.parametrize("place", [in_a_folder, in_memory], indirect=True, ids=lambda kind: kind.__name__)
def test_what_only_a_flush_makes_durable_is_not_seen_before(log: Log) -> None:
    """A reader would count a record that a power cut then takes back. Producers send unasked; brokers show what is
    replicated."""
    with log.writer() as writer:
        first, second = records_of(writer.run, 2)
        writer.append(first)
        assert lines_of(log.read()) == []
        writer.flush()
        writer.append(second)
        assert lines_of(log.read()) == [first]
    assert lines_of(log.read()) == [first, second]


def test_a_position_taken_while_a_run_is_written_holds_after_it_has_ended(opened: Callable[[], Log]) -> None:
    """A load that stopped during a capture would go on in the wrong place after it."""
    log = opened()
    with log.writer() as writer:
        lines = records_of(writer.run, 3)
        for line in lines:
            writer.append(line)
            writer.flush()
        after = ends_of(log.read())
        writer.append(late := an_event(writer.run, 3, "ended"))
    assert lines_of(opened().read(after)) == [late]
    assert lines_of(opened().read({**after, **ends_of(log.read(after))})) == []


def test_the_run_of_a_live_writer_is_open(opened: Callable[[], Log]) -> None:
    """verify would call a capture torn that is only still running."""
    log = opened()
    assert log.open_runs() == frozenset()
    with opened().writer() as writer:
        writer.append(an_event(writer.run, 0, "started"))
        writer.flush()
        assert log.open_runs() == {writer.run}
        writer.append(an_event(writer.run, 1, "ended"))
    assert log.open_runs() == frozenset()


def test_records_are_kept_when_the_writer_leaves_by_an_error(log: Log) -> None:
    """Ctrl-C or a bug in a flow would lose what had been taken in."""
    lines: list[bytes] = []

    def capture() -> None:
        with log.writer() as writer:
            lines.append(an_event(writer.run, 0, "started"))
            writer.append(lines[0])
            raise KeyError

    with pytest.raises(KeyError):
        capture()
    assert lines_of(log.read()) == lines


def test_closing_twice_is_closing_once(log: Log) -> None:
    """A flow that closes on the way out would fail after all went well."""
    writer = log.writer()
    writer.close()
    writer.close()
    assert lines_of(log.read()) == []


def test_the_longest_line_comes_whole(log: Log) -> None:
    """A reader would hand over half a record, or none; a broker would refuse it."""
    with log.writer() as writer:
        lines = [an_event(writer.run, 0, "long", text="x" * 899_000), an_event(writer.run, 1, "ended")]
        for line in lines:
            writer.append(line)
        run = writer.run
    assert written_by(run, log.read()) == lines


def test_a_follower_sees_a_durable_record_within_a_tenth_of_a_second(opened: Callable[[], Log]) -> None:
    """Candles would come late while trades are on the disk."""
    # the middle one of ten, and not at the first go: a busy machine may stop any of them
    assert any(sorted(_delays(opened))[5] < 0.1 for _ in range(8))


def _delays(opened: Callable[[], Log]) -> list[float]:
    """How long ten records take from being durable to being seen by a follower."""
    followed, is_going = opened(), threading.Event()
    is_going.set()
    seen: list[tuple[float, bytes]] = []

    def follow() -> None:
        seen.extend((time.monotonic(), b"".join(texts_of(batch))) for batch in followed.read(follow=is_going.is_set))

    follower = threading.Thread(target=follow)
    follower.start()
    flushed = []
    for _ in range(2):
        with opened().writer() as writer:
            for line in records_of(writer.run, 5):
                writer.append(line)
                writer.flush()
                flushed.append((time.monotonic(), line))
                time.sleep(0.11)
    is_going.clear()
    follower.join(timeout=60)
    assert b"".join(lines for _, lines in seen).endswith(b"".join(line for _, line in flushed))
    return [next(at for at, lines in seen if line in lines) - done for done, line in flushed]


@pytest.mark.parametrize("segment_bytes", [300, 5_000, MB])
def test_a_follower_loses_nothing_however_segments_change_under_it(place: Place, segment_bytes: int) -> None:
    """A follower would miss what was written while a segment was being closed."""
    opened = place.new(segment_bytes)
    followed, is_going = opened(), threading.Event()
    is_going.set()
    seen: list[bytes] = []
    follower = threading.Thread(target=lambda: seen.extend(lines_of(followed.read(follow=is_going.is_set))))
    follower.start()
    written = []
    with opened().writer() as writer:
        for seq, line in enumerate(records_of(writer.run, 300)):
            written.append(line)
            writer.append(line)
            if seq % 7 == 0:
                writer.flush()
    is_going.clear()
    follower.join(timeout=60)
    assert seen == written


def test_what_becomes_durable_after_a_snapshot_is_not_in_it(log: Log) -> None:
    """verify would compare a store with records that were written while it looked."""
    with log.writer() as writer:
        lines = records_of(writer.run, 30)
        for line in lines[:20]:
            writer.append(line)
        writer.flush()
        snapshot = log.snapshot()
        for line in lines[20:]:
            writer.append(line)
        writer.flush()
        assert written_by(writer.run, snapshot.read()) == lines[:20]
        run = writer.run
    assert written_by(run, snapshot.read()) == lines[:20]
    first = next(snapshot.read())
    assert sum(batch.records for batch in snapshot.read(ends_of([first]))) == 20 - first.records
    assert list(snapshot.read(ends_of(log.read()))) == []  # a loader may be further by now
    assert snapshot.id == log.id


def test_evidence_of_a_log_holds_while_the_log_grows(log: Log) -> None:
    """A certificate would be broken by the next capture, or prove nothing and look as if it did."""
    write_run(log, 20)
    snapshot = log.snapshot()
    assert sum(batch.records for batch in snapshot.read()) == 21
    parts = snapshot.evidence([])
    write_run(log, 20)
    for part in parts or ():
        now = log.again(part)
        assert now is not None
        assert now.sha256 == part.sha256
    assert parts is None or sum(part.records for part in parts) == 21


def test_skimming_finds_every_id(log: Log) -> None:
    """A capture would fetch again what the log holds, or leave a hole."""
    write_run(log, 20)
    ids: set[int] = set()
    for part in log.skim(unwatched):
        if isinstance(part, Batch):
            ids |= {int(line.rpartition(b'"t":')[2].partition(b"}")[0]) for line in texts_of(part) if b'"t":' in line}
        else:
            ids |= {number for note in part for first, last in note.ids or () for number in range(first, last + 1)}
    assert ids == set(range(20))


def test_records_of_another_log_are_taken_over_unchanged(log: Log) -> None:
    """A copy with other identities or another order would be another log to whoever loads it."""
    runs = [new_run(1000 + n, "", bytes(10)) for n in range(3)]
    lines = [[*records_of(run, 20), an_event(run, 20, "ended")] for run in runs]
    for _ in range(2):  # a carrier that was ended is gone on with by another
        with log.carrier() as carrier:
            for part in (lines[0], [*lines[1], *lines[2]]):
                records = [Record(line, envelope, None) for line in part if (envelope := read_envelope(line[:-1]))]
                assert carrier.send(records, lambda: True)
                assert carrier.settle(lambda: True)
        found = lines_of(log.read())
        for run, wanted in zip(runs, lines, strict=True):
            mine = [line for line in found if run.encode() in line]
            assert list(dict.fromkeys(line for line in mine if b'"event"' not in line)) == wanted[:-1]
            assert wanted[-1] in mine
    assert log.writer().torn == []


def test_recent_positions_lose_nothing_recent_and_go_back_behind_nothing(log: Log) -> None:
    """Whoever begins near the end would miss records, or read again what it has."""
    write_run(log, 20)
    assert len(lines_of(log.read(log.recent(3600.0, {})))) == len(lines_of(log.read()))
    after = {batch.end.partition: batch.end.at for batch in log.read()}
    write_run(log, 5)
    assert lines_of(log.read(log.recent(3600.0, after))) == lines_of(log.read(after))
