"""Real processes that write to a log and die: by kill -9 at random points, or because the disk is full."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.log.builders import begin, lines_of, manifest_of, write_run
from tradecap.errors import Exit, TradecapError
from tradecap.log.api import Damage
from tradecap.log.folder.log import FileLog
from tradecap.market.records import read_envelope

WRITER = """
import sys
from pathlib import Path
from tradecap.log.folder.log import FileLog
from tradecap.market.records import RunWriter, frame

writer = FileLog(Path(sys.argv[1]), create=True, segment_bytes=int(sys.argv[2])).writer()
run = RunWriter(writer.run)
print(writer.run, flush=True)
for batch in range(10**9):
    for _ in range(batch % 50):
        writer.append(run.record(None, b"", frame(b'{"n":%d}' % run.seq)))
    writer.flush()
    print(run.seq, flush=True)
"""

RECOVERY = """
import sys
from pathlib import Path
from tradecap.log.folder.log import FileLog
FileLog(Path(sys.argv[1]), create=False).writer()
"""

FULL = """
import resource, signal, sys
from pathlib import Path
from tradecap.errors import TradecapError
from tradecap.log.folder.log import FileLog
from tradecap.market.records import RunWriter, frame

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
log = FileLog(Path(sys.argv[1]), create=True, segment_bytes=10**9)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    with log.writer() as writer:
        run = RunWriter(writer.run)
        while True:
            for _ in range(10):
                writer.append(run.record(None, b"", frame(b'{"n":%d}' % run.seq)))
            writer.flush()
            print(run.seq, flush=True)
except TradecapError as error:
    print(error.exit_code, error.message, "|", error.hint, file=sys.stderr)
"""


def start(folder: Path, segment_bytes: int) -> subprocess.Popen[str]:
    """A process that writes until it is killed. It says its run first, then after each flush how many records are
    acknowledged."""
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), str(segment_bytes)], stdout=subprocess.PIPE, text=True
    )


def kill(process: subprocess.Popen[str]) -> list[str]:
    """kill -9; what it had printed."""
    process.send_signal(signal.SIGKILL)
    answer, _ = process.communicate()
    # the last line may have been cut off by the kill
    return answer[: answer.rfind("\n") + 1].split()


@pytest.mark.parametrize("segment_bytes", [2_000, 10_000, 10_000_000])
def test_kill_9_loses_no_acknowledged_record_and_leaves_whole_lines(tmp_path: Path, segment_bytes: int) -> None:
    """The promise: acknowledged means durable, wherever the process dies."""
    log = FileLog(tmp_path / "log", create=True)
    expected: dict[str, int] = {}
    for _ in range(3):
        process = start(log.path, segment_bytes)
        assert process.stdout
        run = process.stdout.readline().strip()
        time.sleep(random.uniform(0, 0.15))
        acknowledged = int((kill(process) or ["0"])[-1])
        for look in ("stranded", "recovered"):
            if look == "recovered":
                with begin(log) as writer:
                    assert dict(writer.torn) == {
                        r: n - 1 for r, n in (expected | {run: seqs_of(log).get(run, 0)}).items() if n
                    }
            seqs = seqs_of(log)
            assert seqs.get(run, 0) >= acknowledged
            assert {r: seqs[r] for r in expected if expected[r]} == {r: n for r, n in expected.items() if n}
        expected[run] = seqs_of(log).get(run, 0)


def seqs_of(log: FileLog) -> dict[str, int]:
    """How many records each run has; they must be whole, in order and without a hole, and the log undamaged."""
    counts: dict[str, int] = {}
    damages: list[Damage] = []
    for line in lines_of(log.read(on_damage=damages.append)):
        envelope = read_envelope(line[:-1])
        assert envelope
        assert envelope.seq == counts.get(envelope.run, 0)
        counts[envelope.run] = envelope.seq + 1
    assert damages == []
    return counts


def test_kill_9_during_recovery_is_recovered_from(tmp_path: Path) -> None:
    """A machine that crashes again while it starts up would lose what the first crash had left."""
    log = FileLog(tmp_path / "log", create=True)
    process = start(log.path, 10_000_000)
    assert process.stdout
    run = process.stdout.readline().strip()
    while int(process.stdout.readline()) < 1:
        pass  # until a record is acknowledged
    time.sleep(0.1)
    acknowledged = int((kill(process) or ["1"])[-1])
    for delay in (0.12, 0.16, 0.2):
        process = subprocess.Popen([sys.executable, "-c", RECOVERY, str(log.path)], stdout=subprocess.PIPE, text=True)
        time.sleep(delay * random.uniform(0.7, 1.3))
        kill(process)
    begin(log).close()
    assert seqs_of(log)[run] >= acknowledged
    assert manifest_of(log.path, 1).records == seqs_of(log)[run]


def test_another_process_that_writes_is_named(tmp_path: Path) -> None:
    """Nobody would know which process to stop; and one that was killed would keep the log forever."""
    log = FileLog(tmp_path / "log", create=True)
    process = start(log.path, 10_000_000)
    assert process.stdout
    run = process.stdout.readline().strip()
    assert log.open_runs() == {run}
    with pytest.raises(TradecapError) as refused:
        begin(log)
    assert refused.value.message == f"{log.path} is being written by process {process.pid}."
    assert refused.value.exit_code == Exit.UNREACHABLE
    kill(process)
    assert log.open_runs() == frozenset()
    begin(log).close()


def test_a_full_disk_is_one_sentence_that_says_what_is_safe(tmp_path: Path) -> None:
    """A capture would die with a traceback, or go on and lose records quietly; an rlimit makes the operating system
    refuse like a full disk."""
    log = FileLog(tmp_path / "log", create=True)
    done = subprocess.run([sys.executable, "-c", FULL, str(log.path)], capture_output=True, text=True, check=False)
    safe = int(done.stdout.split()[-1])
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith(f"4 {log.path} can't be written (File too large): {safe} records of run ")
    assert " | " in done.stderr
    with begin(log) as writer:
        assert len(writer.torn) == 1
        assert writer.torn_bytes > 0
    (count,) = seqs_of(log).values()
    assert count >= safe
    write_run(log, 1)


def test_nothing_is_written_after_a_write_that_failed(tmp_path: Path) -> None:
    """Half a record would be in the middle of the log."""
    log = FileLog(tmp_path / "log", create=True)
    writer = begin(log)
    writer.append(b"no newline")
    with pytest.raises(ValueError, match="newline"):
        writer.flush()
    with pytest.raises(TradecapError, match="has stopped") as stopped:
        writer.flush()
    assert stopped.value.exit_code == Exit.UNDELIVERED
    writer.close()
    assert lines_of(log.read()) == []
