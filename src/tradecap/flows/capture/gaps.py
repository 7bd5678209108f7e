"""The gaps of a capture: found, fetched, closed, or left open with their reason; and series that have gone silent.

Rules: every gap is a record when it is found and another when it is closed; what stays open is named at the end. Nothing is fetched that no
`gap_found` names. An odd id is a record as well (`outlier`), and so is a series that moves (`moved`). A silent series is either quiet or lost to us,
and REST knows which.
"""

import time
from collections.abc import Callable, Collection, Mapping
from typing import Final

from tradecap.digits import number as grouped
from tradecap.flows.capture.durable_run import DurableRun
from tradecap.flows.capture.plan import Captured, Plan
from tradecap.flows.capture.repair import Answer, Check, Fetched, Gap, Newest, Page, Repair, Trouble
from tradecap.flows.capture.status import Status
from tradecap.market.id_book import COPY, OUTLIER, IdBook, Mark, Range, holes, stretches
from tradecap.market.records import Trade, frame, series_head
from tradecap.market.trade_ids import TradeIds
from tradecap.venues.api import VENUES

SETTLE_S: Final = 2.0
"""How long trades that REST knows may still be on their way by the stream."""
TROUBLE_S: Final = 20.0
"""A last repair that fails for so long is left to the next capture."""


class Gaps:
    """Of one capture. repair: who fetches, None where nobody does."""

    def __init__(
        self, plan: Plan, books: Mapping[str, IdBook], repair: Repair | None, run: DurableRun, status: Status, done: Captured, now_s: float
    ) -> None:
        self._plan, self._books, self._repair, self._run, self._status, self._done = plan, books, repair, run, status, done
        self._heads = {symbol: series_head(plan.venue, symbol, plan.channel, "rest") for symbol in plan.symbols}
        self._suspects: dict[str, tuple[int, float]] = {}
        self._checked = dict.fromkeys(plan.symbols, now_s)
        self._trouble = ""
        self._troubled_since = 0.0
        self._why_open: dict[tuple[str, Range], str] = {}

    def close(self) -> None:
        """Fetch nothing more."""
        if self._repair:
            self._repair.close()

    def declare(self, live: Collection[int], now_s: float, *, at_once: bool = False) -> None:
        """Find the gaps that are certain by now, and write down what is odd about ids."""
        for symbol, book in self._books.items():
            if at_once:
                book.settle(now_s)
            if book.marks:
                marks, book.marks = book.marks, []
                self._marked(symbol, marks)
            if book.is_waiting:
                self._found(symbol, book.declare(live, now_s, at_once=at_once))

    def write_answers(self) -> None:
        """Take in what was fetched."""
        if self._repair:
            for answer in self._repair.ready():
                self._take_answer(answer)

    def last_repair(self, is_over: Callable[[], bool]) -> None:
        """Wait for what is being fetched, until it is over or fails for too long."""
        while self._repair and not self._repair.is_idle and not is_over():
            self.write_answers()
            if self._troubled_since and time.monotonic() - self._troubled_since > TROUBLE_S:
                return
            self._run.flush_if_due()
            time.sleep(0.01)

    def left_open(self) -> list[dict[str, object]]:
        """What is missing still, each with its reason."""
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
        """Holes that the log was left with are found again; what follows its last id is missing until it comes."""
        for symbol, ids in known.items():
            if ids.last is None:
                continue
            book = self._books[symbol]
            *earlier, newest = stretches(ids, book.near)
            book.expect_after(newest.last or 0, *(each.last or 0 for each in earlier))
            left = holes(newest, self._plan.repair_max)
            book.reopen(left)
            self._found(symbol, left, "left by an earlier run")

    def _marked(self, symbol: str, marks: list[Mark]) -> None:
        for kind, number, expected in marks:
            if kind == OUTLIER:
                self._done.outliers += 1
                self._event("outlier", symbol, id=number, expected=expected)
                text = f"{symbol}: id {number} is far from {expected}, the next one of its series: it is kept, and the series stays where it is"
            else:
                self._done.moves += 1
                self._event("moved", symbol, first=number, expected=expected)
                text = f"{symbol}: the ids go on from {number}, where {expected} was due"
            self._status.say("warning", text, {"symbol": symbol, "id": number, "expected": expected})

    def _found(self, symbol: str, gaps: list[Range], cause: str = "") -> None:
        for first, last in gaps:
            self._done.gaps_found += 1
            size = last - first + 1
            left_open = "" if self._repair and self._plan.is_repaired else "repair is turned off"
            if size > self._plan.repair_max:
                left_open = f"it is longer than --repair-max {grouped(self._plan.repair_max)}"
            known = {name: why for name, why in (("cause", cause), ("left_open", left_open)) if why}
            self._event("gap_found", symbol, first=first, last=last, **known)
            self._say("warning", f"gap in {symbol}: ids {first} to {last}{left_open and ', left open: '}{left_open}", symbol, first, last)
            if left_open or self._repair is None:
                self._why_open[symbol, (first, last)] = left_open
            else:
                self._repair.want(Gap(symbol, (first, last)))

    def _event(self, name: str, symbol: str, **detail: object) -> None:
        venue, channel = self._plan.venue, self._plan.channel
        self._run.event(name, series_head(venue, symbol, channel, ""), venue=venue, symbol=symbol, channel=channel, **detail)

    def _take_answer(self, answer: Answer) -> None:
        if isinstance(answer, Trouble):
            self._troubled_since = self._troubled_since or time.monotonic()
            if answer.text != self._trouble:
                self._trouble = answer.text
                self._status.say("warning", f"repair: {answer.text} It is tried again.", {})
            return
        self._troubled_since = 0.0
        if isinstance(answer, Page):
            self._write_page(answer)
        elif isinstance(answer, Fetched):
            self._close_gap(answer)
        else:
            self._suspect(answer)

    def _write_page(self, page: Page) -> None:
        book, head, venue, channel = self._books[page.symbol], self._heads[page.symbol], self._plan.venue, self._plan.channel
        now, decode = time.monotonic(), VENUES[venue].decode
        for row in page.rows:
            reading = decode(row, venue, page.symbol, channel)
            if type(reading) is Trade:
                if book.take(reading, 0, now) == COPY:
                    self._done.duplicates_dropped += 1
                    continue
                self._done.valid += 1
            else:
                self._done.quarantined += 1
            self._run.record(page.recv_ns, head, frame(row), reading if type(reading) is Trade else None)

    def _close_gap(self, fetched: Fetched) -> None:
        symbol, (first, last) = fetched.gap
        missing = self._books[symbol].open.within(first, last)
        if missing:
            why = fetched.why or "the venue doesn't have them"
            self._why_open[symbol, (first, last)] = why
            self._say("warning", f"gap in {symbol}: ids {first} to {last} stay open: {why}", symbol, first, last)
        else:
            self._done.gaps_repaired += 1
            self._event("gap_repaired", symbol, first=first, last=last, trades=last - first + 1)
            self._say("info", f"repaired {symbol}: ids {first} to {last}", symbol, first, last)

    def _say(self, level: str, text: str, symbol: str, first: int, last: int) -> None:
        self._status.say(level, text, {"symbol": symbol, "first": first, "last": last})

    # ---- silence ----

    def stale(self, now: float) -> list[str]:
        """The series whose trades go by unseen. A silent series is either that or quiet: REST is asked."""
        stale = []
        for symbol, (newest, since) in list(self._suspects.items()):
            if now - since >= SETTLE_S:
                del self._suspects[symbol]
                stale += [symbol] if self._is_stale(symbol, newest, now) else []
        if self._repair and self._status.live:
            self._ask_the_silent(self._repair, now)
        return stale

    def _ask_the_silent(self, repair: Repair, now: float) -> None:
        for symbol, book in self._books.items():
            if now - book.heard_s >= self._plan.stale_s and now - self._checked[symbol] >= self._plan.stale_s:
                self._checked[symbol] = now
                repair.want(Check(symbol))

    def _suspect(self, answer: Newest) -> None:
        book = self._books[answer.symbol]
        if book.expected < 0 <= answer.id:
            book.expect_after(answer.id, is_guess=True)  # nothing came yet: what is traded from here on must
        elif book.is_unseen(answer.id):
            self._suspects.setdefault(answer.symbol, (answer.id, time.monotonic()))

    def _is_stale(self, symbol: str, newest: int, now: float) -> bool:
        book = self._books[symbol]
        if not book.is_unseen(newest):
            return False
        silent_s = round(now - book.heard_s, 1)
        self._event("stale", symbol, last=book.expected - 1, newest=newest, silent_s=silent_s)
        self._status.say("warning", f"{symbol} was silent for {silent_s} s while the venue traded on to id {newest}: connecting anew", {})
        book.missing_until(newest, now)
        return True

    def _reason(self, symbol: str, first: int, last: int) -> str:
        reasons = [why for (name, (low, high)), why in self._why_open.items() if name == symbol and low <= first and last <= high]
        if reasons:
            return reasons[-1]
        return "the capture ended before it was repaired" + (f": {self._trouble}" if self._troubled_since else "")
