"""Fetches what a capture missed, beside it: gaps page by page, and the newest id of a series that has gone silent.

Rules: one thread, one request at a time, gaps in the order they were found, a silent series before the next page of a gap. A gap that the venue
doesn't have yet lets the others go first, so one odd id keeps nobody waiting. What it fetches comes
back by a bounded queue (`ready`), so memory stays bounded when the log is slow. What fails is tried again with full-jitter back-off for as long as
the capture runs; what the venue doesn't have, or refuses for good, is given up with its reason. Its REST answers from a database that may be behind
its stream, so ids beyond the newest it tells are asked for again for a while. Progress needs no memory of its own: what was fetched stands in the
log, and a gap that is still there is found again by the next capture.
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

PAGES: Final = 8
"""Answers that wait to be written."""
LONGEST_DELAY_S: Final = 30.0
BEHIND_S: Final = 12.0
"""How long the venue's REST may be behind its stream."""
BEHIND_DELAY_S: Final = 2.0


class Gap(NamedTuple):
    """Ids of a series to be fetched."""

    symbol: str
    ids: Range


class _Fetching(NamedTuple):
    """A gap that is being fetched: from which id on, and since when the venue has been behind."""

    gap: Gap
    at: int
    behind_s: float | None = None


class Check(NamedTuple):
    """A series whose newest id is wanted."""

    symbol: str


class Page(NamedTuple):
    """Rows of a gap, ascending."""

    symbol: str
    rows: list[bytes]
    recv_ns: int


class Fetched(NamedTuple):
    """All of a gap that there is was handed over. why: what kept it from being whole, if something did."""

    gap: Gap
    why: str = ""


class Newest(NamedTuple):
    """The newest id of a series; -1: none."""

    symbol: str
    id: int


class Trouble(NamedTuple):
    """A request failed and will be made again."""

    text: str


Answer = Page | Fetched | Newest | Trouble


class Repair:
    """The thread that asks. rest: its client, which it alone uses from `start` on."""

    def __init__(self, rest: Callable[[Callable[[float], bool]], Rest], channel: str) -> None:
        self._stopped = threading.Event()
        self._rest = rest(lambda seconds: not self._stopped.wait(seconds) if seconds else not self._stopped.is_set())
        self._channel = channel
        self._wanted: queue.SimpleQueue[Gap | Check | None] = queue.SimpleQueue()
        self._gaps: deque[_Fetching] = deque()
        self._ready: queue.Queue[Answer] = queue.Queue(PAGES)
        self._open = 0
        self._thread = threading.Thread(target=self._run, name="repair", daemon=True)
        self._thread.start()

    def want(self, job: Gap | Check) -> None:
        """Ask for something; the answer will be `ready`."""
        self._open += 1
        self._wanted.put(job)

    def ready(self) -> list[Answer]:
        """What has come."""
        answers: list[Answer] = []
        while True:
            try:
                answer = self._ready.get_nowait()
            except queue.Empty:
                return answers
            self._open -= isinstance(answer, Fetched | Newest)
            answers.append(answer)

    @property
    def is_idle(self) -> bool:
        """Whether everything wanted was answered, and taken."""
        return self._open == 0

    def close(self) -> None:
        """Ask nothing more."""
        self._stopped.set()
        self._wanted.put(None)
        self._thread.join(1.0)  # it may sit in a request; it is a daemon, and what it brings is fetched again by the next capture

    def _run(self) -> None:
        with self._rest:
            while not self._stopped.is_set():
                self._look_first(is_waiting=not self._gaps)
                if self._gaps:
                    self._do(self._gaps.popleft())

    def _look_first(self, *, is_waiting: bool = False) -> None:
        """Take in what is wanted, and look at silent series at once: gaps may take minutes. is_waiting: until something is wanted."""
        while True:
            try:
                job = self._wanted.get(is_waiting)
            except queue.Empty:
                return
            is_waiting = False
            if isinstance(job, Check):
                self._do(job)
            elif job:
                self._gaps.append(_Fetching(job, job.ids[0]))

    def _do(self, job: _Fetching | Check) -> None:
        try:
            self._fetch(job) if isinstance(job, _Fetching) else self._look(job)
        except Exception as error:  # noqa: BLE001 -- of a thread: who waits for the answer would wait for ever
            why = mask(f"a mistake of tradecap, {type(error).__name__}: {error}")
            self._give(Fetched(job.gap, why) if isinstance(job, _Fetching) else Newest(job.symbol, -1))

    def _give(self, answer: Answer) -> None:
        while not self._stopped.is_set():
            try:
                self._ready.put(answer, timeout=0.2)
            except queue.Full:
                continue
            return

    def _look(self, check: Check) -> None:
        """Not tried again: a series that stays silent is looked at again anyway."""
        try:
            rows = self._rest.newest(check.symbol, self._channel)
        except RestError as error:
            self._give(Trouble(error.message))
            rows = []
        self._give(Newest(check.symbol, max((self._rest.api.row_id(row, self._channel) for row in rows), default=-1)))

    def _fetch(self, job: _Fetching) -> None:
        gap, at, behind_s = job
        last = gap.ids[1]
        failed = 0
        while at <= last and not self._stopped.is_set():
            self._look_first()
            try:
                rows = self._rest.old_trades(gap.symbol, self._channel, at)
            except RestError as error:
                if error.failure.is_final:
                    self._give(Fetched(gap, error.message))
                    return
                self._give(Trouble(error.message))
                failed += 1
                self._stopped.wait(random.uniform(0, min(LONGEST_DELAY_S, 0.5 * 2 ** min(failed, 10))))
                continue
            failed = 0
            newest = max((self._rest.api.row_id(row, self._channel) for row in rows), default=-1)
            if newest < at:
                behind_s = behind_s or time.monotonic()
                if time.monotonic() - behind_s > BEHIND_S:
                    self._give(Fetched(gap, f"the venue doesn't have {at} and later ones"))
                    return
                self._stopped.wait(random.uniform(0, BEHIND_DELAY_S))
                if self._gaps:
                    self._gaps.append(_Fetching(gap, at, behind_s))
                    return
                continue
            self._give_rows(gap, at, rows)
            at, behind_s = newest + 1, None
        self._give(Fetched(gap, "" if self._rest.reaches_back(self._channel) else self._reach()))

    def _give_rows(self, gap: Gap, at: int, rows: list[bytes]) -> None:
        """Those that are missing, and those of which nobody can say what they are."""
        numbered = [(self._rest.api.row_id(row, self._channel), row) for row in rows]
        wanted = [row for number, row in numbered if number < 0 or at <= number <= gap.ids[1]]
        if wanted:
            self._give(Page(gap.symbol, wanted, time.time_ns()))

    def _reach(self) -> str:
        return f"out of reach: without a key the venue tells only its newest {number(self._rest.api.page)} trades"
