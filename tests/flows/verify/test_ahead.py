"""Asking the store while the log is counted: the same proof, and the store is let go of before verify ends."""

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest
from msgspec import structs

from tests.flows.builders import quietly
from tests.flows.verify.test_verify import Pipeline, edit, segments
from tradecap.errors import TradecapError
from tradecap.flows.verify import ahead
from tradecap.flows.verify.ahead import Ahead
from tradecap.flows.verify.audit import Audit, Extras, audit
from tradecap.flows.verify.verify import Verdict, Wanted, verify
from tradecap.log.api import Snapshot
from tradecap.log.folder.log import FileLog
from tradecap.store.clickhouse.store import ClickHouseStore

PATIENCE_S: Final = 60.0
"""How long a test waits for what has to happen."""
ASKED_ONCE: Final = (
    *("schema_differences", "redelivered", "trade_blocks", "quarantine_differences", "quarantine_counts"),
    *("candle_days", "candle_differences"),
)
"""What a proof asks once where nothing differs, and without knowing the log."""
MAIN: Final = "MainThread"


class Finishing(ThreadPoolExecutor):
    """As if counting took until all questions are answered: none is dropped."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002 -- dropped here
        super().shutdown(wait)


@pytest.fixture
def finishing(monkeypatch: pytest.MonkeyPatch) -> None:
    """All questions are answered before counting ends."""
    monkeypatch.setattr(ahead, "ThreadPoolExecutor", Finishing)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """A log of several segments with repeated ids and rejected records, and its store."""
    path = tmp_path_factory.mktemp("pipeline")
    with ClickHouseStore.embedded(path / "db", f"chdb:{path / 'db'}", create=True) as store:
        store.create()
        yield Pipeline(FileLog(path / "log", create=True), store)


@pytest.fixture
def log(whole: Pipeline) -> FileLog:
    """Its log, for reading only."""
    return whole.log


@pytest.fixture
def proven(whole: Pipeline) -> ClickHouseStore:
    """Its store, for reading only."""
    return whole.store


@pytest.fixture
def asked(proven: ClickHouseStore, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What the store is asked, with the name of the thread that asks."""
    calls: list[tuple[str, str]] = []

    def watched(name: str) -> Callable[..., object]:
        question = getattr(proven, name)

        def ask(*arguments: object) -> object:
            calls.append((name, threading.current_thread().name))
            return question(*arguments)

        return ask

    for name in ASKED_ONCE:
        monkeypatch.setattr(proven, name, watched(name))
    return calls


def audited(pipeline: Pipeline, *, overlapped: bool) -> Audit:
    """The verdict and its certificate."""
    return audit(pipeline.log, pipeline.store, Wanted(), Extras(), progress=quietly, overlapped=overlapped)


def overlapping(log: FileLog, store: ClickHouseStore, progress: Callable[[int], None] = quietly) -> Verdict:
    """The verdict where the store is asked while the log is counted."""
    return verify(log, store, Wanted(), progress=progress, overlapped=True)


# ---- the same proof --------------------------------------------------------------------------------------------------


def a_missing_table(pipeline: Pipeline) -> None:
    """The questions about it fail."""
    pipeline.empty("quarantine")
    pipeline.store.run("DROP TABLE quarantine")


def a_record_cut_out(pipeline: Pipeline) -> None:
    """The log has lost a record."""
    edit(segments(pipeline.log)[1], lambda lines: lines[:1] + lines[2:])


TAMPERINGS: Final[dict[str, tuple[Callable[[Pipeline], object], set[str]]]] = {
    "nothing": (lambda _: None, set()),
    "trades": (lambda each: each.change("trades", "qty = qty + 1", "1"), {"trades.accounted"}),
    "candles": (lambda each: each.change("candles_1m", "volume = volume * 2", "1"), {"candles.exact"}),
    "quarantine": (lambda each: each.empty("quarantine"), {"quarantine.accounted"}),
    "redelivered": (lambda each: each.repeat("ledger"), set()),
    "a changed view": (
        lambda each: each.store.run("CREATE OR REPLACE VIEW v_minutes AS SELECT 1"),
        {"schema.unchanged"},
    ),
    "a missing table": (a_missing_table, {"schema.unchanged"}),
    "the log": (a_record_cut_out, {"log.intact", "log.complete", "ledger.complete"}),
}


@pytest.fixture
def spoilable(whole: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipeline]:
    """The pipeline with a copy of its log. Its store is restored afterwards."""
    shutil.copytree(whole.log.path, tmp_path / "log")
    with monkeypatch.context() as there:
        there.setattr(whole, "log", FileLog(tmp_path / "log", create=False))
        yield whole
    whole.store.create()
    whole.restore()


@pytest.mark.usefixtures("finishing")
@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_the_proof_is_that_of_asking_afterwards(spoilable: Pipeline, tampering: str) -> None:
    """A certificate would depend on the number of cores."""
    tamper, failing = TAMPERINGS[tampering]
    tamper(spoilable)
    together, in_turn = (audited(spoilable, overlapped=overlapped) for overlapped in (True, False))
    assert failing <= {check.name for check in in_turn.verdict.checks if not check.ok}
    assert in_turn.verdict.ok is not bool(failing)
    assert together.verdict == in_turn.verdict
    assert structs.replace(together.certificate, made_at="") == structs.replace(in_turn.certificate, made_at="")


@pytest.mark.usefixtures("finishing")
def test_an_error_of_the_store_is_raised_as_when_asked_afterwards(
    log: FileLog, proven: ClickHouseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error in the thread would be lost, and a proof would go on without the answer."""

    def away() -> list[object]:
        raise TradecapError("away", "")

    monkeypatch.setattr(proven, "quarantine_differences", away)
    with pytest.raises(TradecapError, match="away"):
        overlapping(log, proven)


def test_an_answer_is_used_once() -> None:
    """A second look would see what the first one saw, for as long as it is repeated."""
    ask = Ahead()
    answered: list[str] = []

    def question() -> int:
        answered.append("once more")
        return len(answered)

    with ask.asking([(question,)]):
        wait_for(answered)
    assert [ask(question), ask(question)] == [1, 2]


# ---- when and by whom the store is asked -----------------------------------------------------------------------------


def test_the_store_is_asked_while_the_log_is_counted(
    log: FileLog, proven: ClickHouseStore, asked: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time of both sides would be needed, one after the other."""
    until_s = time.monotonic() + PATIENCE_S
    events: list[str] = []
    snapshot = log.snapshot

    def cut() -> Snapshot:
        events.append(f"cut after {len(asked)} questions")
        return snapshot()

    def count(_: int) -> None:
        while not {name for name, _ in asked} >= set(ASKED_ONCE) and time.monotonic() < until_s:
            time.sleep(0.01)
        events.append(f"counting after {len({name for name, _ in asked})} questions")

    monkeypatch.setattr(log, "snapshot", cut)
    assert overlapping(log, proven, count).ok
    assert events[:2] == ["cut after 0 questions", f"counting after {len(ASKED_ONCE)} questions"]
    assert [name for name, _ in asked] == list(ASKED_ONCE)
    assert MAIN not in {thread for _, thread in asked}


@pytest.mark.usefixtures("finishing")
@pytest.mark.parametrize(("is_shared", "overlapped"), [(True, True), (False, False)])
def test_a_shared_store_is_not_asked_ahead(
    log: FileLog,
    proven: ClickHouseStore,
    asked: list[tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    is_shared: bool,
    overlapped: bool,
) -> None:
    """Its answers would be older than the log's cut: what others load meanwhile would be missing in them."""
    monkeypatch.setattr(proven, "is_shared", is_shared)
    before: list[int] = []
    verdict = verify(log, proven, Wanted(), progress=lambda _: before.append(len(asked)), overlapped=overlapped)
    assert verdict.ok
    assert set(before) == {0}
    assert {thread for _, thread in asked} == {MAIN}


# ---- the end of the thread -------------------------------------------------------------------------------------------


@pytest.fixture
def slow(proven: ClickHouseStore, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The first question takes until after counting; what has happened to it."""
    events: list[str] = []
    question, is_dropped = proven.schema_differences, threading.Event()

    class Dropping(ThreadPoolExecutor):
        """Tells when the other questions were dropped."""

        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
            super().shutdown(wait=False, cancel_futures=cancel_futures)
            is_dropped.set()
            super().shutdown(wait)

    monkeypatch.setattr(ahead, "ThreadPoolExecutor", Dropping)

    def ask() -> object:
        events.append("begun")
        is_dropped.wait(PATIENCE_S)
        answer = question()
        events.append("answered")
        return answer

    monkeypatch.setattr(proven, "schema_differences", ask)
    return events


def wait_for(events: list[str]) -> None:
    """Wait until something has happened."""
    until_s = time.monotonic() + PATIENCE_S
    while not events and time.monotonic() < until_s:
        time.sleep(0.01)


@pytest.mark.parametrize("error", [TradecapError("The log is away.", ""), KeyboardInterrupt()])
def test_an_error_of_the_log_ends_the_thread(
    log: FileLog, proven: ClickHouseStore, asked: list[tuple[str, str]], slow: list[str], error: BaseException
) -> None:
    """The store is closed next: a query that still runs would crash the process, or hold the store's folder."""

    def fail(_: int) -> None:
        wait_for(slow)
        raise error

    with pytest.raises(type(error)):
        overlapping(log, proven, fail)
    assert slow == ["begun", "answered"]
    assert [name for name, _ in asked] == ["schema_differences"]
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("ahead")]


def test_a_second_ctrl_c_waits_for_the_thread_as_well(
    log: FileLog, proven: ClickHouseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An impatient person would have the store closed while a query runs."""
    events: list[str] = []

    def ask() -> list[object]:
        events.append("begun")
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.5)
        events.append("answered")
        return []

    def stop(_: int) -> None:
        wait_for(events)
        raise KeyboardInterrupt

    monkeypatch.setattr(proven, "schema_differences", ask)
    with pytest.raises(KeyboardInterrupt):
        overlapping(log, proven, stop)
    assert events == ["begun", "answered"]


def test_questions_that_have_not_begun_are_asked_afterwards(
    log: FileLog, proven: ClickHouseStore, asked: list[tuple[str, str]], slow: list[str]
) -> None:
    """A short log would wait for a large store, and two threads would use one store."""
    assert overlapping(log, proven, lambda _: wait_for(slow)).ok
    assert [thread == MAIN for name, thread in asked if name != "schema_differences"] == [True] * (len(ASKED_ONCE) - 1)


def test_a_machine_without_room_for_a_thread_asks_afterwards(
    log: FileLog, proven: ClickHouseStore, asked: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit on threads, as containers have it, would keep a log from being proven."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert overlapping(log, proven).ok
    assert {thread for _, thread in asked} == {MAIN}
