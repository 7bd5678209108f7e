"""The gaps of a capture: found, fetched, then closed or left open with a reason. Also series that have gone silent.

Rules: every gap is a record when it is found and another one when it is closed. What stays open is named at the end.
Only ids that a `gap_found` names are fetched. An id far from its series is a record as well (`outlier`), and so is a
series that continues elsewhere (`moved`). A silent series is either not traded or lost on the way; REST knows which.
"""

import time
from collections.abc import Callable, Collection, Mapping
from typing import Final, NamedTuple

from tradecap.digits import number as grouped
from tradecap.flows.capture.counts import CaptureCounts
from tradecap.flows.capture.durable_run import DurableRun
from tradecap.flows.capture.plan import Plan
from tradecap.flows.capture.repair import (
    FetchedRows,
    Gap,
    GapAnswered,
    NewestId,
    NewestWanted,
    Repair,
    RepairAnswer,
    Retrying,
)
from tradecap.flows.capture.status import Status
from tradecap.market.id_book import CONFLICT, COPY, OUTLIER, IdBook, Mark, Range, holes, stretches
from tradecap.market.records import DataRecord, Trade, frame, series_head
from tradecap.market.trade_ids import TradeIds
from tradecap.venues.api import VENUES

SETTLE_S: Final = 2.0
"""How long trades that REST knows may still be on their way by the stream."""
TROUBLE_S: Final = 20.0
"""If the last repair fails for this long, the rest is left to the next capture."""


class _Suspect(NamedTuple):
    """A series whose newest id, by REST, has not come by the stream."""

    newest: int
    since_s: float


class _LeftOpen(NamedTuple):
    """A gap that nobody fetches any more."""

    gap: Gap
    why: str


class Gaps:
    """The gaps of one capture."""

    def __init__(
        self,
        plan: Plan,
        books: Mapping[str, IdBook],
        repair: Repair,
        run: DurableRun,
        status: Status,
        counts: CaptureCounts,
        now_s: float,
    ) -> None:
        self._plan, self._books, self._repair, self._run, self._status, self._counts = (
            plan,
            books,
            repair,
            run,
            status,
            counts,
        )
        self._heads = {symbol: series_head(plan.venue, symbol, plan.channel, "rest") for symbol in plan.symbols}
        self._suspects: dict[str, _Suspect] = {}
        self._checked_s = dict.fromkeys(plan.symbols, now_s)
        self._trouble = ""
        self._troubled_since_s: float | None = None
        self._left_open: list[_LeftOpen] = []

    def close(self) -> None:
        """Fetch nothing more."""
        self._repair.close()

    def declare(self, live: Collection[int], now_s: float, *, at_once: bool = False) -> None:
        """Find the gaps that are certain by now, and write down what is odd about ids. live: the connections that are
        up."""
        for symbol, book in self._books.items():
            if at_once:
                book.settle(now_s)
            if book.marks:
                marks, book.marks = book.marks, []
                self._write_marks(symbol, marks)
            if book.is_waiting:
                self._add(symbol, book.declare(live, now_s, at_once=at_once))

    def write_answers(self) -> None:
        """Write what was fetched."""
        for answer in self._repair.ready():
            self._take(answer)

    def last_repair(self, is_over: Callable[[], bool]) -> None:
        """Wait for what is being fetched, until is_over() or until it has failed for TROUBLE_S."""
        while not self._repair.is_idle and not is_over():
            self.write_answers()
            if self._troubled_since_s is not None and time.monotonic() - self._troubled_since_s > TROUBLE_S:
                return
            self._run.flush_if_due()
            time.sleep(0.01)

    def left_open(self) -> list[dict[str, object]]:
        """What is still missing, each gap with its reason."""
        return [
            {
                "venue": self._plan.venue,
                "symbol": symbol,
                "channel": self._plan.channel,
                "first": first,
                "last": last,
                "why": self._reason(symbol, first, last),
            }
            for symbol, book in self._books.items()
            for first, last in book.open
        ]

    def go_on_from(self, known: Mapping[str, TradeIds]) -> None:
        """Find the holes that earlier runs left in the log. Ids after the last one of the log are missing until they
        come."""
        for symbol, ids in known.items():
            if ids.last is None:
                continue
            book = self._books[symbol]
            *earlier, newest = stretches(ids, book.near)
            book.expect_after(newest.last or 0, *(each.last or 0 for each in earlier))
            left = holes(newest, self._plan.repair_max)
            book.reopen(left)
            self._add(symbol, left, "left by an earlier run")

    def _write_marks(self, symbol: str, marks: list[Mark]) -> None:
        for kind, number, expected in marks:
            if kind == OUTLIER:
                self._counts.outliers += 1
                self._event("outlier", symbol, id=number, expected=expected)
                text = (
                    f"{symbol}: id {number} is far from the expected {expected}: it is written, and the series "
                    "stays where it is"
                )
            else:
                self._counts.moves += 1
                self._event("moved", symbol, first=number, expected=expected)
                text = f"{symbol}: the ids continue at {number}; {expected} was expected"
            self._status.report("warning", text, {"symbol": symbol, "id": number, "expected": expected})

    def _add(self, symbol: str, gaps: list[Range], cause: str = "") -> None:
        """Write down new gaps, and have them fetched. cause: how they came about, if that isn't plain."""
        for first, last in gaps:
            self._counts.gaps_found += 1
            left_open = self._why_unwanted(last - first + 1)
            known = {name: why for name, why in (("cause", cause), ("left_open", left_open)) if why}
            self._event("gap_found", symbol, first=first, last=last, **known)
            self._report(
                "warning",
                f"gap in {symbol}: ids {first} to {last}{left_open and ', left open: '}{left_open}",
                symbol,
                first,
                last,
            )
            gap = Gap(symbol, (first, last))
            if left_open:
                self._left_open.append(_LeftOpen(gap, left_open))
            else:
                self._repair.want(gap)

    def _why_unwanted(self, size: int) -> str:
        if size > self._plan.repair_max:
            return f"it is longer than --repair-max {grouped(self._plan.repair_max)}"
        return "" if self._plan.is_repaired else "repair is turned off"

    def _event(self, name: str, symbol: str, **detail: object) -> None:
        venue, channel = self._plan.venue, self._plan.channel
        self._run.event(
            name, series_head(venue, symbol, channel, ""), venue=venue, symbol=symbol, channel=channel, **detail
        )

    def _take(self, answer: RepairAnswer) -> None:
        if isinstance(answer, Retrying):
            self._troubled_since_s = self._troubled_since_s or time.monotonic()
            if answer.text != self._trouble:
                self._trouble = answer.text
                self._status.report("warning", f"repair: {answer.text} It is tried again.", {})
            return
        self._troubled_since_s = None
        match answer:
            case FetchedRows():
                self._write_rows(answer)
            case GapAnswered():
                self._close_gap(answer)
            case NewestId():
                self._suspect(answer)

    def _write_rows(self, fetched: FetchedRows) -> None:
        book, head, venue, channel = (
            self._books[fetched.symbol],
            self._heads[fetched.symbol],
            self._plan.venue,
            self._plan.channel,
        )
        now, decode = time.monotonic(), VENUES[venue].decode
        records: list[DataRecord] = []
        for row in fetched.rows:
            reading = decode(row, venue, fetched.symbol, channel)
            trade = reading if type(reading) is Trade else None
            if trade:
                taken = book.take(trade, 0, now)
                if taken == COPY:
                    self._counts.duplicates_dropped += 1
                    continue
                self._counts.conflicts += taken == CONFLICT
                self._counts.valid += 1
            else:
                self._counts.quarantined += 1
            records.append((fetched.recv_ns, head, frame(row), trade))
        self._run.write(records)

    def _close_gap(self, answered: GapAnswered) -> None:
        symbol, (first, last) = answered.gap
        if self._books[symbol].open.within(first, last):
            why = answered.why or "the venue doesn't have them"
            self._left_open.append(_LeftOpen(answered.gap, why))
            self._report("warning", f"gap in {symbol}: ids {first} to {last} stay open: {why}", symbol, first, last)
        else:
            self._counts.gaps_repaired += 1
            self._event("gap_repaired", symbol, first=first, last=last, trades=last - first + 1)
            self._report("info", f"repaired {symbol}: ids {first} to {last}", symbol, first, last)

    def _report(self, level: str, text: str, symbol: str, first: int, last: int) -> None:
        self._status.report(level, text, {"symbol": symbol, "first": first, "last": last})

    # ---- silence ----

    def stale(self, now_s: float) -> list[str]:
        """The series that are traded but don't reach us. REST is asked about each series that has been silent for
        --stale."""
        stale = []
        for symbol, suspect in list(self._suspects.items()):
            if now_s - suspect.since_s >= SETTLE_S:
                del self._suspects[symbol]
                stale += [symbol] if self._is_stale(symbol, suspect.newest, now_s) else []
        if self._status.live:
            self._ask_about_silent(now_s)
        return stale

    def _ask_about_silent(self, now_s: float) -> None:
        for symbol, book in self._books.items():
            if now_s - book.heard_s >= self._plan.stale_s and now_s - self._checked_s[symbol] >= self._plan.stale_s:
                self._checked_s[symbol] = now_s
                self._repair.want(NewestWanted(symbol))

    def _suspect(self, newest: NewestId) -> None:
        book = self._books[newest.symbol]
        if book.expected < 0 <= newest.id:
            book.expect_after(newest.id, is_guess=True)  # nothing came yet: trades after this one must
        elif book.is_unseen(newest.id):
            self._suspects.setdefault(newest.symbol, _Suspect(newest.id, time.monotonic()))

    def _is_stale(self, symbol: str, newest: int, now_s: float) -> bool:
        book = self._books[symbol]
        if not book.is_unseen(newest):
            return False
        silent_s = round(now_s - book.heard_s, 1)
        self._event("stale", symbol, last=book.expected - 1, newest=newest, silent_s=silent_s)
        text = f"{symbol} was silent for {silent_s} s while the venue traded on to id {newest}: connecting again"
        self._status.report("warning", text, {})
        book.missing_until(newest, now_s)
        return True

    def _reason(self, symbol: str, first: int, last: int) -> str:
        for gap, why in reversed(self._left_open):
            if gap.symbol == symbol and gap.ids[0] <= first and last <= gap.ids[1]:
                return why
        return ("the capture ended before it was repaired") + (
            f": {self._trouble}" if self._troubled_since_s is not None else ""
        )
