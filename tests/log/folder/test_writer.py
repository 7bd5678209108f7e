"""A log in a folder has one writer at a time, and the next one attests what a crash left behind."""

import threading

import pytest

from tests.log.builders import an_event, begin, write_run
from tradecap.errors import Exit, TradecapError
from tradecap.log import open_log
from tradecap.log.api import Log
from tradecap.log.folder.log import FileLog


@pytest.fixture
def url(log: FileLog) -> str:
    """The log, to be opened once more."""
    return log.url


def test_each_run_is_greater_than_every_run_before(log: Log) -> None:
    """Which of two records with one id is the trade is decided by the order of runs."""
    runs = []
    for _ in range(5):
        with begin(log) as writer:
            runs.append(writer.run)
            writer.append(an_event(writer.run, 0, "started"))
    assert runs == sorted(set(runs))


def test_a_second_writer_learns_which_process_writes(url: str) -> None:
    """Two writers would give one sequence number to two records."""
    with begin(open_log(url)) as writer:
        with pytest.raises(TradecapError, match=r"is being written by process \d+") as refused:
            begin(open_log(url))
        assert refused.value.exit_code == Exit.UNREACHABLE
        assert refused.value.hint
        writer.append(an_event(writer.run, 0, "ended"))
    begin(open_log(url)).close()


def test_asking_who_writes_never_keeps_a_writer_out(url: str) -> None:
    """A dashboard that looks at a log would make a capture fail to begin."""
    log, stop = open_log(url), threading.Event()
    seen: list[frozenset[str]] = []

    def look() -> None:
        while not stop.is_set():
            seen.append(log.open_runs())

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for _ in range(20):
            begin(open_log(url)).close()
    finally:
        stop.set()
        looking.join()
    assert seen
    assert all(len(runs) <= 1 for runs in seen)


def test_a_run_without_an_end_is_reported_to_the_next_writers_until_one_attests_it(log: Log) -> None:
    """A crash would go unproven, or be attested forever."""
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
        writer.append(
            b'{"run":"%b","seq":0,"recv":1,"data":{"event":"recovered","detail":{"run":"%b"}}}\n'
            % (writer.run.encode(), run.encode())
        )
        writer.append(an_event(writer.run, 1, "ended"))
    with begin(log) as writer:
        assert [torn.run for torn in writer.torn] == [run]
