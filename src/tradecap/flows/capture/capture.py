"""Capture live trades into the log, and leave no missing id unexplained.

    feed ──▶ decode ──▶ book of ids ──▶ log, flushed every 100 ms or 1 000 records
                            │ gap            ▲
                            ▼                │ via "rest"
                          repair ────────────┘

Rules: messages are written in order of arrival, byte for byte, including those that can't be read. Only an equal copy
of an id of this run is left out, and counted. Events of the capture itself are records too: connected, disconnected,
handed_over, stale, gap_found, gap_repaired, outlier and moved (ids that don't fit their series, and a series that
continues elsewhere). A gap that can't be closed stays open and is named in the end record. The feed goes on while gaps
are repaired. A slow log slows the socket down and loses nothing. The end has a fixed order: stop the feed, write what
had arrived, repair for the last time, write the end record. `states.py` has the table of states.
"""

import time
from collections.abc import Callable, Mapping
from typing import Final

from tradecap.digits import number
from tradecap.errors import Exit, TradecapError
from tradecap.flows.capture.counts import CaptureCounts, Captured
from tradecap.flows.capture.durable_run import DurableRun
from tradecap.flows.capture.gaps import Gaps
from tradecap.flows.capture.plan import Plan
from tradecap.flows.capture.repair import Repair
from tradecap.flows.capture.states import EndReason, Facts, State, after_draining, ending, is_hopeless
from tradecap.flows.capture.status import Status
from tradecap.flows.run import Run
from tradecap.log.api import LogWriter
from tradecap.market.id_book import CONFLICT, COPY, NEW, IdBook
from tradecap.market.records import DataRecord, Ignored, Reading, Trade, frame, series_head
from tradecap.market.trade_ids import TradeIds
from tradecap.venues.api import VENUES
from tradecap.venues.failures import Failure
from tradecap.venues.feed import Arrival, Feed, Notice

TAKE_S: Final = 0.05
SAMPLED: Final = 16
"""Measure the latency of one message in every 16."""
HOUSEKEEPING_S: Final = 0.25
DRAIN_S: Final = 7.0
"""For the last repair after someone asked for the end: together with the other steps of the end it takes less than 10
s."""
CLOSE_S: Final = 5.0
REMEMBERED: Final = 131_072
"""Trades whose content is kept to compare copies, shared between the series."""


def capture(
    feed: Feed,
    repair: Repair,
    writer: LogWriter,
    plan: Plan,
    *,
    known: Mapping[str, TradeIds],
    free: Callable[[], int | None],
    stop: Callable[[], bool],
    see: Callable[[Status], None],
    full: Callable[[], TradecapError | None],
) -> Captured:
    """Write what the feed brings until the plan is fulfilled or stop().

    known: ids of the series that the log holds, to continue from. free: bytes left on the disk of the log, None if the
    log isn't on a local disk. see: called with the status four times a second. full: gives the reason once the log may
    not grow any more.
    """
    return _Capture(feed, repair, writer, plan, known, free, stop, see, full).run()


class _Capture:
    def __init__(
        self,
        feed: Feed,
        repair: Repair,
        writer: LogWriter,
        plan: Plan,
        known: Mapping[str, TradeIds],
        free: Callable[[], int | None],
        stop: Callable[[], bool],
        see: Callable[[Status], None],
        full: Callable[[], TradecapError | None],
    ) -> None:
        self._feed, self._plan, self._free, self._stop, self._see, self._full = feed, plan, free, stop, see, full
        self._venue = VENUES[plan.venue]
        self._began = self._looked = time.monotonic()
        remembered = max(1024, REMEMBERED // len(plan.symbols))
        self._books = {symbol: IdBook(remembered, self._began, plan.repair_max) for symbol in plan.symbols}
        self._heads = {symbol: series_head(plan.venue, symbol, plan.channel, "ws") for symbol in plan.symbols}
        self._status = Status(writer.run, self._books, plan.stale_s)
        self._counts = CaptureCounts()
        series = {"venue": plan.venue, "symbols": list(plan.symbols), "channel": plan.channel}
        self._run = DurableRun(Run(writer, "stream", **series, **plan.detail), self._status)
        self._gaps = Gaps(plan, self._books, repair, self._run, self._status, self._counts, self._began)
        self._gaps.go_on_from(known)
        self._live: set[int] = set()
        self._lost_places: set[int] = set()
        self._newest: Failure | None = None
        self._hopeless: Failure | None = None
        self._problem: TradecapError | None = None
        self._is_feed_over = False

    def run(self) -> Captured:
        """Capture, from the first message to the end record."""
        try:
            while not (end := ending(self._facts(), self._plan)):
                was_running = self._feed.is_running
                arrivals = self._feed.take(min(TAKE_S, self._run.due_in_s()), self._run.room)
                self._write(arrivals)
                self._is_feed_over = not was_running and not arrivals
                self._keep_house()
            return self._finish(end)
        finally:
            self._gaps.close()

    def _facts(self) -> Facts:
        return Facts(
            state=self._status.state,
            url=self._feed.url,
            running_s=time.monotonic() - self._began,
            valid=self._counts.valid,
            is_asked_to_stop=self._stop(),
            is_feed_over=self._is_feed_over,
            newest=self._newest,
            hopeless=self._hopeless,
            problem=self._problem,
        )

    # ---- what arrives ----

    def _write(self, arrivals: list[Arrival]) -> None:
        """The hot path: everything that is done for each trade. Records are handed over all at once."""
        books, heads, counts, venue, channel = (
            self._books,
            self._heads,
            self._counts,
            self._plan.venue,
            self._plan.channel,
        )
        decode = self._venue.decode
        wanted = None if self._plan.max_trades is None else self._plan.max_trades - counts.valid
        now = time.monotonic()
        notices = trades = 0
        records: list[DataRecord] = []
        for arrival in arrivals:
            if isinstance(arrival, Notice):
                notices += 1
                self._run.write(records)
                records = []
                self._note(arrival)
                continue
            connection, recv_ns, payload = arrival
            reading = decode(payload, venue, "", "")
            if (
                type(reading) is Trade
                and reading.channel == channel
                and (book := books.get(reading.symbol)) is not None
            ):
                taken = book.take(reading, connection, now)
                if taken != NEW:
                    if taken == COPY:
                        counts.duplicates_dropped += 1
                        continue
                    counts.conflicts += taken == CONFLICT
                records.append((recv_ns, heads[reading.symbol], b'"data":%b}\n' % payload, reading))
                trades += 1
            else:
                records.append(self._other(recv_ns, payload, reading))
                trades += type(reading) is Trade
            if trades == wanted:
                break
        counts.valid += trades
        if len(arrivals) > notices:
            self._status.arrived(now)
            self._status.sample(arrival[1] for arrival in arrivals[::SAMPLED] if not isinstance(arrival, Notice))
        self._run.write(records)

    def _other(self, recv_ns: int, payload: bytes, reading: Reading) -> DataRecord:
        """The record of a message that isn't a trade of the captured series."""
        if type(reading) is Trade:
            return recv_ns, series_head(reading.venue, reading.symbol, reading.channel, "ws"), frame(payload), reading
        if type(reading) is Ignored:
            self._counts.ignored += 1
        else:
            self._counts.quarantined += 1
        symbol, channel = self._venue.described(payload)
        return recv_ns, series_head(self._plan.venue, symbol, channel, "ws"), frame(payload), None

    def _note(self, notice: Notice) -> None:
        """Write down what happened to a connection."""
        status, detail = self._status, notice.detail
        self._run.event(notice.name, series_head(self._plan.venue, "", "", ""), **detail)
        place = detail.get("place", -1)
        if notice.name == "connected":
            self._live.add(notice.connection)
            self._counts.reconnects += place in self._lost_places
            self._lost_places.discard(place)
            status.connected(len(self._live))
            status.report("info", f"connected to {detail['url']} ({_streams(detail['streams'])})", detail)
        elif notice.name == "handed_over":
            self._leave(notice.connection)
            status.report("info", f"a new connection took over ({detail['why']})", detail)
        else:
            self._disconnected(notice, place)

    def _disconnected(self, notice: Notice, place: int) -> None:
        failure = self._newest = notice.failure
        assert failure is not None
        if is_hopeless(failure, self._status.state):
            self._hopeless = failure
        if notice.connection:
            self._leave(notice.connection)
            self._lost_places.add(place)
        self._status.report("warning", f"disconnected: {failure.text}", notice.detail)

    def _leave(self, connection: int) -> None:
        self._live.discard(connection)
        self._status.connected(len(self._live))
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
            self._problem = _disk_low(left, self._plan.min_free, self._run.records)
        self._problem = self._problem or self._full()
        self._show()

    def _show(self) -> None:
        self._counts.records = self._run.records
        self._status.count(self._counts)
        self._see(self._status)

    # ---- the end ----

    def _finish(self, end: EndReason) -> Captured:
        asked_s = time.monotonic()
        self._show()
        self._status.state = State.DRAINING
        self._feed.stop()
        self._drain(asked_s)
        self._gaps.declare((), asked_s, at_once=True)
        self._status.state = after_draining(end)
        if self._status.state is State.REPAIRING:
            self._gaps.last_repair(lambda: self._is_late(asked_s))
        self._run.flush()
        gaps_open = self._gaps.left_open()
        self._run.end(self._counts, gaps_open=gaps_open, why=end.why)
        self._status.state = State.ENDED
        self._show()
        return Captured(
            run=self._status.run,
            counts=self._counts,
            why=end.why,
            problem=end.problem,
            gaps_open=gaps_open,
            series=[self._series(symbol, book) for symbol, book in self._books.items()],
            seconds=time.monotonic() - self._began,
            latency=self._status.latency.summary(),
        )

    def _drain(self, asked_s: float) -> None:
        """Write what had arrived. With max_trades, what comes after that number is not wanted."""
        while self._feed.is_running and time.monotonic() - asked_s < CLOSE_S:
            self._write_wanted(self._feed.take(TAKE_S, self._run.room))
        while arrivals := self._feed.take(0.0, self._run.room):
            self._write_wanted(arrivals)

    def _write_wanted(self, arrivals: list[Arrival]) -> None:
        if self._plan.max_trades is None or self._counts.valid < self._plan.max_trades:
            self._write(arrivals)

    def _is_late(self, asked_s: float) -> bool:
        """Whether the last repair has had its time. Meanwhile the status is still shown."""
        now = time.monotonic()
        if now - self._looked >= HOUSEKEEPING_S:
            self._looked = now
            self._show()
        return self._stop() and now - asked_s > DRAIN_S

    def _series(self, symbol: str, book: IdBook) -> dict[str, object]:
        ids = {"first_id": book.seen.first, "last_id": book.seen.last, "trades": len(book.seen)}
        return {"venue": self._plan.venue, "symbol": symbol, "channel": self._plan.channel, **ids}


def _streams(count: int) -> str:
    return "1 stream" if count == 1 else f"{count} streams"


def _disk_low(left: int, wanted: int, records: int) -> TradecapError:
    what = f"The disk of the log has {left / 1e6:,.1f} MB left, less than --min-free {wanted / 1e6:,.1f} MB"
    return TradecapError(
        f"{what}: the capture has ended, {number(records)} records are safe.",
        "free some disk and start again: it continues where it stopped.",
        Exit.UNDELIVERED,
    )
