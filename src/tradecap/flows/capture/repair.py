"""Fetches by REST what a capture missed: gaps page by page, and the newest id of a series that has gone silent.

Rules: one thread, one request at a time. Gaps are fetched in the order they were found; a silent series goes before the
next page of a gap. A gap that the venue doesn't have yet lets the others go first, so one odd id doesn't hold up the
rest. Answers come back through a bounded queue (`ready`), so memory stays bounded when the log is slow. A failed
request is tried again with full-jitter back-off for as long as the capture runs. What the venue doesn't have, or
refuses for good, is given up with a reason. The venue's REST reads a database that may be behind its stream, so ids
after the newest one that REST knows are asked for again for a while. No progress is stored: what was fetched is in the
log, and the next capture finds a gap that is still there.
"""

import queue
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from tradecap.digits import number
from tradecap.market.id_book import Range
from tradecap.urls import mask
from tradecap.venues.rest import Rest, RestError

WAITING_ANSWERS: Final = 8
"""Answers that may wait to be written."""
LONGEST_DELAY_S: Final = 30.0
BEHIND_S: Final = 12.0
"""How long the venue's REST may be behind its stream."""
BEHIND_DELAY_S: Final = 2.0


class Gap(NamedTuple):
    """Wanted: the ids of a series from the first to the last one, both included."""

    symbol: str
    ids: Range


class NewestWanted(NamedTuple):
    """Wanted: the newest id of a series."""

    symbol: str


class _Fetching(NamedTuple):
    """A gap that is being fetched. at: the next id to ask for. behind_s: since when the venue has been behind, if it
    is."""

    gap: Gap
    at: int
    behind_s: float | None = None


class FetchedRows(NamedTuple):
    """Answer: some rows of a gap, ascending."""

    symbol: str
    rows: list[bytes]
    recv_ns: int


class GapAnswered(NamedTuple):
    """Answer: all rows of a gap that the venue has were handed over. why: what kept the gap from being closed, if
    anything did."""

    gap: Gap
    why: str = ""


class NewestId(NamedTuple):
    """Answer: the newest id of a series; -1 if the venue has none."""

    symbol: str
    id: int


class Retrying(NamedTuple):
    """Answer: a request failed and will be made again."""

    text: str


RepairAnswer = FetchedRows | GapAnswered | NewestId | Retrying


class Repair:
    """The thread that asks. connect: makes the REST client, which only this thread uses, from a function that waits
    some seconds."""

    def __init__(self, connect: Callable[[Callable[[float], bool]], Rest], channel: str) -> None:
        self._stopped = threading.Event()
        self._rest = connect(lambda seconds: not self._stopped.wait(seconds) if seconds else not self._stopped.is_set())
        self._channel = channel
        self._wanted: queue.SimpleQueue[Gap | NewestWanted | None] = queue.SimpleQueue()
        self._gaps: deque[_Fetching] = deque()
        self._ready: queue.Queue[RepairAnswer] = queue.Queue(WAITING_ANSWERS)
        self._open = 0
        self._thread = threading.Thread(target=self._run, name="repair", daemon=True)
        self._thread.start()

    def want(self, wanted: Gap | NewestWanted) -> None:
        """Ask for something; `ready` will have the answer."""
        self._open += 1
        self._wanted.put(wanted)

    def ready(self) -> list[RepairAnswer]:
        """The answers since the last call."""
        answers: list[RepairAnswer] = []
        while True:
            try:
                answer = self._ready.get_nowait()
            except queue.Empty:
                return answers
            self._open -= isinstance(answer, GapAnswered | NewestId)
            answers.append(answer)

    @property
    def is_idle(self) -> bool:
        """Whether everything wanted was answered, and the answers taken."""
        return self._open == 0

    def close(self) -> None:
        """Ask for nothing more."""
        self._stopped.set()
        self._wanted.put(None)
        # a request may still be running; the thread is a daemon, and the next capture fetches the same again
        self._thread.join(1.0)

    def _run(self) -> None:
        with self._rest:
            while not self._stopped.is_set():
                self._take_wanted(is_waiting=not self._gaps)
                if self._gaps:
                    self._answer(self._gaps.popleft())

    def _take_wanted(self, *, is_waiting: bool = False) -> None:
        """Queue new gaps, and answer for silent series at once: gaps may take minutes. is_waiting: wait until something
        is wanted."""
        while True:
            try:
                wanted = self._wanted.get(is_waiting)
            except queue.Empty:
                return
            is_waiting = False
            if isinstance(wanted, NewestWanted):
                self._answer(wanted)
            elif wanted:
                self._gaps.append(_Fetching(wanted, wanted.ids[0]))

    def _answer(self, job: _Fetching | NewestWanted) -> None:
        try:
            self._fetch(job) if isinstance(job, _Fetching) else self._ask_newest(job)
        except Exception as error:  # noqa: BLE001 -- in a thread: whatever waits for the answer would wait forever
            why = mask(f"a bug in tradecap, {type(error).__name__}: {error}")
            self._give(GapAnswered(job.gap, why) if isinstance(job, _Fetching) else NewestId(job.symbol, -1))

    def _give(self, answer: RepairAnswer) -> None:
        while not self._stopped.is_set():
            try:
                self._ready.put(answer, timeout=0.2)
            except queue.Full:
                continue
            return

    def _ask_newest(self, wanted: NewestWanted) -> None:
        """A failure isn't retried: the capture asks again about a series that stays silent."""
        try:
            rows = self._rest.newest(wanted.symbol, self._channel)
        except RestError as error:
            self._give(Retrying(error.message))
            rows = []
        self._give(NewestId(wanted.symbol, self._newest_of(rows)))

    def _fetch(self, job: _Fetching) -> None:
        gap, at, behind_s = job
        last = gap.ids[1]
        failed = 0
        while at <= last and not self._stopped.is_set():
            self._take_wanted()
            try:
                rows = self._rest.old_trades(gap.symbol, self._channel, at)
            except RestError as error:
                if error.failure.is_final:
                    self._give(GapAnswered(gap, error.message))
                    return
                self._give(Retrying(error.message))
                failed += 1
                self._stopped.wait(random.uniform(0, min(LONGEST_DELAY_S, 0.5 * 2 ** min(failed, 10))))
                continue
            failed = 0
            newest = self._newest_of(rows)
            if newest < at:
                behind_s = behind_s or time.monotonic()
                if time.monotonic() - behind_s > BEHIND_S:
                    self._give(GapAnswered(gap, f"the venue doesn't have {at} and later ones"))
                    return
                self._stopped.wait(random.uniform(0, BEHIND_DELAY_S))
                if self._gaps:
                    self._gaps.append(_Fetching(gap, at, behind_s))
                    return
                continue
            self._give_rows(gap, at, rows)
            at, behind_s = newest + 1, None
        self._give(GapAnswered(gap, "" if self._rest.reaches_back(self._channel) else self._reach()))

    def _newest_of(self, rows: list[bytes]) -> int:
        return max((self._rest.api.row_id(row, self._channel) for row in rows), default=-1)

    def _give_rows(self, gap: Gap, at: int, rows: list[bytes]) -> None:
        """Hand over the rows that are missing, and those without a readable id."""
        numbered = [(self._rest.api.row_id(row, self._channel), row) for row in rows]
        wanted = [row for row_id, row in numbered if row_id < 0 or at <= row_id <= gap.ids[1]]
        if wanted:
            self._give(FetchedRows(gap.symbol, wanted, time.time_ns()))

    def _reach(self) -> str:
        return f"out of reach: without a key the venue gives only its newest {number(self._rest.api.page)} trades"
