"""Capture live trades into the log, and leave no hole unexplained.

    feed ──▶ decode ──▶ book of ids ──▶ log, flushed every 100 ms or 1 000 records
                            │ gap            ▲
                            ▼                │ via "rest"
                          repair ────────────┘

Rules: what arrives is written in order of arrival, byte for byte, also what can't be read; the one thing left out is an equal copy of an id of this
run, which is counted. What happened to the capture itself is a record too: connected, disconnected, handed_over, stale, gap_found, gap_repaired,
outlier and moved (ids that don't fit their series, and a series that goes on elsewhere). A gap that can't be closed stays open, and is named in the
end record. The feed goes on while gaps are repaired; a slow log slows the socket down and nothing else. The order of an ending: stop the feed, write
what had arrived, a last repair, the end record.
"""

import time
from collections.abc import Callable, Mapping
from typing import Final

from tradecap.digits import number
from tradecap.errors import Exit, TradecapError
from tradecap.flows.capture.durable_run import DurableRun
from tradecap.flows.capture.gaps import Gaps
from tradecap.flows.capture.plan import Captured, Plan
from tradecap.flows.capture.repair import Repair
from tradecap.flows.capture.status import Status
from tradecap.flows.run import Run
from tradecap.log.api import LogWriter
from tradecap.market.id_book import COPY, IdBook
from tradecap.market.records import Ignored, Reading, Trade, frame, series_head
from tradecap.market.trade_ids import TradeIds
from tradecap.venues.api import VENUES
from tradecap.venues.failures import Failure
from tradecap.venues.feed import Arrival, Feed, Notice

TAKE_S: Final = 0.05
SAMPLED: Final = 16
"""Of so many messages the latency of one is measured."""
HOUSEKEEPING_S: Final = 0.25
START_WITHIN_S: Final = 30.0
"""How long the first connection may take, attempts included, before a person is told."""
DRAIN_S: Final = 7.0
"""For the last repair after somebody asked for the end: with the rest of the ending it takes less than 10 s."""
CLOSE_S: Final = 5.0
REMEMBERED: Final = 131_072
"""Trades whose content is kept to compare copies, shared between the series."""


def capture(
    feed: Feed,
    writer: LogWriter,
    plan: Plan,
    *,
    repair: Repair | None,
    known: Mapping[str, TradeIds],
    free: Callable[[], int | None],
    stop: Callable[[], bool],
    see: Callable[[Status], None],
    full: Callable[[], TradecapError | None] = lambda: None,
) -> Captured:
    """Write what the feed brings until the plan is fulfilled or stop().

    repair: who asks REST, for gaps where the plan wants them repaired; None where nobody does. known: ids of the series that the log holds, to go on
    from. free: bytes left on the disk of the log, None for a log without a disk here. see is shown the state four times a second. full gives
    the reason once the log may not grow any more.
    """
    return _Capture(feed, writer, plan, repair, known, free, stop, see, full).run()


class _Capture:
    def __init__(
        self,
        feed: Feed,
        writer: LogWriter,
        plan: Plan,
        repair: Repair | None,
        known: Mapping[str, TradeIds],
        free: Callable[[], int | None],
        stop: Callable[[], bool],
        see: Callable[[Status], None],
        full: Callable[[], TradecapError | None],
    ) -> None:
        self._venue = VENUES[plan.venue]
        self._feed, self._plan, self._free, self._stop, self._see, self._full = feed, plan, free, stop, see, full
        self._began = self._looked = time.monotonic()
        remembered = max(1024, REMEMBERED // len(plan.symbols))
        self._books = {symbol: IdBook(remembered, self._began, plan.repair_max) for symbol in plan.symbols}
        self._heads = {symbol: series_head(plan.venue, symbol, plan.channel, "ws") for symbol in plan.symbols}
        self._status = Status(writer.run, self._books, plan.stale_s)
        self._done = Captured(run=writer.run)
        self._run = DurableRun(Run(writer, "stream", venue=plan.venue, symbols=list(plan.symbols), channel=plan.channel, **plan.detail), self._status)
        self._gaps = Gaps(plan, self._books, repair, self._run, self._status, self._done, self._began)
        self._gaps.go_on_from(known)
        self._live: set[int] = set()
        self._lost_places: set[int] = set()
        self._failure: Failure | None = None
        self._problem: TradecapError | None = None

    def run(self) -> Captured:
        """All of it."""
        try:
            while not self._is_over():
                self._write(self._feed.take(min(TAKE_S, self._run.due_in_s()), self._run.room))
                self._keep_house()
            self._finish()
        finally:
            self._gaps.close()
        return self._done

    def _is_over(self) -> bool:
        done, plan = self._done, self._plan
        if self._stop():
            done.why = "asked to stop"
        elif plan.duration_s is not None and time.monotonic() - self._began >= plan.duration_s:
            done.why = "the duration is over"
        elif plan.max_trades is not None and done.valid >= plan.max_trades:
            done.why = "max-trades is reached"
        elif self._failure and not self._status.was_live and time.monotonic() - self._began > START_WITHIN_S:
            self._problem = self._unreachable(self._failure)
        elif not self._feed.is_running and self._problem is None:
            self._write(self._feed.take(0.0))  # its last word may be the reason
            ended = TradecapError("The feed has stopped by itself.", "this is a mistake of tradecap: run again with -vv.", Exit.UNREACHABLE)
            self._problem = self._problem or ended
        if self._problem is None and done.why and not self._status.was_live and (self._failure or not self._stop()):
            self._problem = self._unreachable(self._failure or Failure("timeout", "no connection came about in that time"))
        if self._problem:
            done.why = self._problem.message
            done.problem = self._problem
        return bool(done.why)

    def _unreachable(self, failure: Failure) -> TradecapError:
        return TradecapError(f"{self._feed.url}: {failure.text}.", failure.hint, Exit.UNREACHABLE)

    # ---- what arrives ----

    def _write(self, arrivals: list[Arrival]) -> None:
        """The hot path: everything that is done to a trade is done here."""
        books, heads, done, record, venue, channel = self._books, self._heads, self._done, self._run.run.record, self._plan.venue, self._plan.channel
        decode = self._venue.decode
        limit, before = self._plan.max_trades, self._done.valid
        now = time.monotonic()
        notices = 0
        for arrival in arrivals:
            if isinstance(arrival, Notice):
                notices += 1
                self._note(arrival)
                continue
            connection, recv_ns, payload = arrival
            reading = decode(payload, venue, "", "")
            if type(reading) is Trade and reading.channel == channel and (book := books.get(reading.symbol)) is not None:
                if book.take(reading, connection, now) == COPY:
                    done.duplicates_dropped += 1
                    continue
                done.valid += 1
                record(recv_ns, heads[reading.symbol], b'"data":%b}\n' % payload, reading)
            else:
                self._write_other(recv_ns, payload, reading)
            if done.valid == limit:
                break
        if len(arrivals) > notices:
            self._status.arrived(now)
            self._status.sample(arrival[1] for arrival in arrivals[::SAMPLED] if not isinstance(arrival, Notice))
            self._run.wrote(done.valid - before)

    def _write_other(self, recv_ns: int, payload: bytes, reading: Reading) -> None:
        """A message that is no trade of a series of ours."""
        if type(reading) is Trade:
            self._done.valid += 1
            self._run.run.record(recv_ns, series_head(reading.venue, reading.symbol, reading.channel, "ws"), frame(payload), reading)
            return
        if type(reading) is Ignored:
            self._done.ignored += 1
        else:
            self._done.quarantined += 1
        symbol, channel = self._venue.described(payload)
        self._run.record(recv_ns, series_head(self._plan.venue, symbol, channel, "ws"), frame(payload))

    def _note(self, notice: Notice) -> None:
        """What happened to a connection."""
        self._run.event(notice.name, series_head(self._plan.venue, "", "", ""), **notice.detail)
        place = notice.detail.get("place", -1)
        if notice.name == "connected":
            self._live.add(notice.connection)
            self._status.was_live = True
            self._done.reconnects += place in self._lost_places
            self._lost_places.discard(place)
            self._status.say("info", f"connected to {notice.detail['url']} ({_streams(notice.detail['streams'])})", notice.detail)
        elif notice.name == "handed_over":
            self._leave(notice.connection)
            self._status.say("info", f"a new connection took over ({notice.detail['why']})", notice.detail)
        else:
            self._disconnected(notice, place)
        self._status.live = len(self._live)

    def _disconnected(self, notice: Notice, place: int) -> None:
        failure = self._failure = notice.failure
        assert failure is not None
        if notice.connection:
            self._leave(notice.connection)
            self._lost_places.add(place)
        self._status.say("warning", f"disconnected: {failure.text}", notice.detail)
        if failure.kind == "internal" or (not self._status.was_live and failure.is_final):
            self._problem = self._unreachable(failure)

    def _leave(self, connection: int) -> None:
        self._live.discard(connection)
        for book in self._books.values():
            book.leave(connection)

    # ---- between two looks at the feed ----

    def _keep_house(self) -> None:
        now = time.monotonic()
        self._run.flush_if_due()
        self._gaps.declare(self._live, now)
        self._gaps.write_answers()
        if now - self._looked < HOUSEKEEPING_S:
            return
        self._looked = now
        if stale := self._gaps.stale(now):
            self._feed.replace(f"{', '.join(stale)} went by unseen")
        if (left := self._free()) is not None and left < self._plan.min_free:
            self._problem = _disk_low(left, self._plan.min_free, self._run.run.records)
        self._problem = self._problem or self._full()
        self._show()

    def _show(self) -> None:
        self._status.count(self._done, self._run.run.records)
        self._see(self._status)

    # ---- the end ----

    def _finish(self) -> None:
        asked_s = time.monotonic()
        self._show()
        self._feed.stop()
        self._drain(asked_s)
        self._gaps.declare((), asked_s, at_once=True)
        if self._problem is None:
            self._gaps.last_repair(lambda: self._is_late(asked_s))
        self._run.flush()
        self._sum_up()
        counts = (
            "valid",
            "duplicates_dropped",
            "conflicts",
            "quarantined",
            "ignored",
            "gaps_found",
            "gaps_repaired",
            "gaps_open",
            "outliers",
            "moves",
            "reconnects",
            "why",
        )
        self._run.run.end(**{name: getattr(self._done, name) for name in counts})
        self._done.records = self._run.run.records
        self._show()

    def _is_late(self, asked_s: float) -> bool:
        """Whether the last repair has had its time; who waits for it sees how it stands."""
        now = time.monotonic()
        if now - self._looked >= HOUSEKEEPING_S:
            self._looked = now
            self._show()
        return self._stop() and now - asked_s > DRAIN_S

    def _drain(self, asked_s: float) -> None:
        """What had arrived. With max_trades what is beyond isn't wanted."""
        is_wanted = self._plan.max_trades is None or self._done.valid < self._plan.max_trades
        while self._feed.is_running and time.monotonic() - asked_s < CLOSE_S:
            arrivals = self._feed.take(TAKE_S, self._run.room)
            self._write(arrivals if is_wanted else [])
        while arrivals := self._feed.take(0.0, self._run.room):
            self._write(arrivals if is_wanted else [])

    def _sum_up(self) -> None:
        done = self._done
        for symbol, book in self._books.items():
            done.conflicts += book.conflicts
            series = {"venue": self._plan.venue, "symbol": symbol, "channel": self._plan.channel}
            done.series.append({**series, "first_id": book.seen.first, "last_id": book.seen.last, "trades": len(book.seen)})
        done.gaps_open = self._gaps.left_open()
        done.seconds = time.monotonic() - self._began
        done.latency = self._status.latency.summary()


def _streams(count: int) -> str:
    return "1 stream" if count == 1 else f"{count} streams"


def _disk_low(left: int, wanted: int, records: int) -> TradecapError:
    what = f"The disk of the log has {left / 1e6:,.1f} MB left, less than --min-free {wanted / 1e6:,.1f} MB"
    return TradecapError(
        f"{what}: the capture has ended, {number(records)} records are safe.",
        "free some disk and start again: it goes on where it stopped.",
        Exit.UNDELIVERED,
    )
