"""Counting a log on all cores gives what counting it alone gives."""

import sys
from pathlib import Path

import pytest

from tests.flows.builders import begun, quietly, replayed, some_messages, spoilt
from tests.log.builders import lines_of
from tests.proof.test_tally import answer
from tradecap import workers
from tradecap.flows.verify.tallying import tally_log
from tradecap.log.api import Damage
from tradecap.log.folder.log import FileLog
from tradecap.market.faults import FAULTS
from tradecap.proof.tally import Tally


@pytest.fixture
def log(tmp_path: Path) -> FileLog:
    """A log of several segments, which are its batches, with every fault, a torn run, a run whose trades are known, and
    records that appear twice."""
    log = FileLog(tmp_path / "log", create=True)
    replayed(log, some_messages(range(100, 400)), segment_bytes=20_000)
    replayed(log, some_messages(range(350, 450)))
    with log.writer() as writer:
        begun(writer, some_messages([500]))
    spoilt(log, dict.fromkeys(FAULTS, 5))
    first = lines_of(log.read())[5]
    stranger = b'{"run":"7' + first[9:]
    for lines in ([first], [stranger, stranger]):
        with log.writer() as writer:
            for line in lines:
                writer.append(line)
    return log


def counted(log: FileLog, *, alone: int) -> tuple[Tally, list[Damage]]:
    """The tally, and the damage that was found on the way."""
    damage: list[Damage] = []
    return tally_log(log.snapshot(), damage.append, quietly, hire=workers.Workers(2), alone=alone), damage


@pytest.mark.parametrize("alone", [0, 3])
def test_many_count_what_one_counts(log: FileLog, alone: int) -> None:
    """A proof would depend on the number of cores."""
    (many, their_damage), (one, damage) = counted(log, alone=alone), counted(log, alone=1_000_000)
    assert answer(many) == answer(one)
    assert (many.repeats, many.repeated, their_damage) == (2, one.repeated, damage)
    assert (len(many.recovered), many.recovered) == (1, one.recovered)
    assert [(run.started, run.ended, run.ended_seq) for run in many.runs.values()] == [
        (run.started, run.ended, run.ended_seq) for run in one.runs.values()
    ]


@pytest.mark.parametrize(
    "worker",
    ["", "import sys; from multiprocessing.connection import Connection; Connection(int(sys.argv[1])).recv_bytes()"],
)
def test_what_a_killed_process_was_to_count_is_counted(
    log: FileLog, monkeypatch: pytest.MonkeyPatch, worker: str
) -> None:
    """A machine short of memory kills one: its records would be missing in the proof, or the proof would never end."""
    monkeypatch.setattr(workers, "WORK", worker)
    many, _ = counted(log, alone=0)
    assert answer(many) == answer(counted(log, alone=1_000_000)[0])


def test_a_machine_without_room_for_processes_counts_alone(log: FileLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit on processes, as containers have it, would keep a log from being proven."""
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert answer(counted(log, alone=0)[0]) == answer(counted(log, alone=1_000_000)[0])


@pytest.mark.parametrize(("cores", "expected"), [(1, False), (2, False), (3, True), (64, True)])
def test_both_sides_run_at_once_where_there_is_a_third_core(
    monkeypatch: pytest.MonkeyPatch, cores: int, expected: bool
) -> None:
    """Two cores are busy with either side: more at once would cost memory and gain nothing."""
    monkeypatch.setattr(workers, "_cores", lambda: cores)
    assert workers.has_cores_to_overlap() is expected
