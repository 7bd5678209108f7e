"""Lines of any kind through the whole pipeline: nothing raises, every line is explained, and Python's and SQL's
readings agree on each.

`make fuzz` runs it with a million lines: FUZZ_LINES=1000000. FUZZ_SEED runs one seed alone.
"""

import gzip
import os
import random
import resource
from pathlib import Path

from tests.cases import TRADE
from tests.mutations import mutated
from tradecap.cli.logs import own_log
from tradecap.flows.load import load
from tradecap.flows.replay.replay import Choice, look_at, replay
from tradecap.flows.verify.verify import Wanted, verify
from tradecap.log import open_log
from tradecap.log.folder.log import FileLog
from tradecap.recordings.reading import expand
from tradecap.store.clickhouse.store import ClickHouseStore

LINES = int(os.environ.get("FUZZ_LINES", "8000"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))


def never() -> bool:
    """Nobody stops it."""
    return False


def unseen(_: int) -> None:
    """No progress bar."""


def through_the_pipeline(recording: Path, log: FileLog, store: ClickHouseStore) -> tuple[int, int]:
    """(lines, quarantined) of a recording that was replayed, loaded and proven."""
    with recording.open("rb") as stdin, open_log(log.url, segment_bytes=8_000_000).writer() as writer:
        choice = Choice(venue="binance", symbol="ETHUSDT")
        done = replay(
            look_at(expand([str(recording)], stdin, own_log), choice), writer, choice, stop=never, progress=unseen
        )
    assert not done.problems
    assert done.lines == done.valid + sum(done.quarantined.values()) + sum(done.ignored.values()) + done.filtered
    load(log, store, stop=never, progress=unseen)
    verdict = verify(log, store, Wanted(), progress=unseen)
    failed = [
        check for check in verdict.checks if not check.ok and check.name not in ("ids.contiguous", "conflicts.none")
    ]
    assert not failed
    return done.lines, verdict.counts.quarantined


def test_no_line_is_unexplained(tmp_path: Path, log: FileLog, store: ClickHouseStore) -> None:
    """An engineer hands over captures of unknown quality: a crash, or a line that one side reads otherwise, ends the
    trust."""
    rng = random.Random(SEED)
    path = tmp_path / "fuzz.ndjson"
    with path.open("wb") as out:
        out.write(TRADE + b"\n")  # the beginning of the file shows what it is
        for _ in range(LINES):
            out.write(mutated(rng) + b"\n")
    lines, quarantined = through_the_pipeline(path, log, store)
    assert lines > LINES * 0.9
    assert quarantined > lines / 2


def test_a_line_of_100_mb_and_a_bomb_are_bounded(tmp_path: Path, log: FileLog, store: ClickHouseStore) -> None:
    """One line as long as memory would end the process; of such lines the beginning is kept, with size and hash of the
    whole."""
    path = tmp_path / "bomb.gz"
    with gzip.open(path, "wb", compresslevel=1) as out:
        out.write(TRADE + b"\n")  # the beginning of the file shows what it is
        out.write(b'{"e":"trade","s":"' + b"x" * 100_000_000 + b'"}\n')
        for _ in range(300):
            out.write(b"\0" * 1_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    lines, quarantined = through_the_pipeline(path, log, store)
    assert (lines, quarantined) == (3, 2)
    grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown_mib < 800, "the embedded store's own buffers included"
