"""tradecap stream: live trades into the log."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from tradecap.cli.load import result_of as load_result
from tradecap.cli.load import sentence as load_sentence
from tradecap.cli.options import segments, service, shared
from tradecap.cli.output import Output, amount, counted, lost, number, proven, span, spoilt, stacked, table
from tradecap.cli.settings import Settings
from tradecap.cli.signals import interruptible
from tradecap.cli.spooling import SpoolOptions, Written, opened, spool_options
from tradecap.cli.stream_options import StreamOptions, stream_options
from tradecap.cli.stream_view import View
from tradecap.errors import Exit, TradecapError
from tradecap.flows.capture.counts import Captured
from tradecap.flows.capture.plan import Plan
from tradecap.flows.capture.start import check_symbols
from tradecap.flows.capture.wiring import Wiring
from tradecap.flows.load import refuse_topic_reader
from tradecap.flows.loading import Loading
from tradecap.flows.records import read_record
from tradecap.flows.shipping import Shipping
from tradecap.flows.stop import Stop
from tradecap.log.api import Log
from tradecap.store import open_store
from tradecap.venues.feed import Terms
from tradecap.venues.rest import Budget, Rest
from tradecap.venues.sites import Site

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tradecap.flows.capture.status import Status
    from tradecap.metrics import Metrics


@service
@stream_options
@spool_options
@segments
@shared
def stream(
    wanted: StreamOptions,
    metrics_port: int | None,
    segment_bytes: int,
    segment_age_s: float,
    spool: SpoolOptions,
    settings: Settings,
    out: Output,
) -> Exit:
    """Capture live trades from the venue into the log.

    Without SYMBOL it captures the symbols in TRADECAP_SYMBOLS, or in `symbols = [...]` of tradecap.toml.

    It reconnects by itself, fetches by REST what it missed, and continues after the last id in the log. Ctrl-C ends it
    cleanly. If the log is a topic, records first go into a folder, the spool, and from there to the topic, so the
    broker may be unreachable for hours.

    If stderr isn't a terminal, each line on it is a JSON object, and the hint of an error is in its member `hint`; with
    --log-format text the lines are plain text.

    \b
    Examples:
      tradecap stream BTCUSDT --duration 1m
      tradecap stream BTCUSDT ETHUSDT --connections 2 --load
      tradecap stream BTCUSDT --ws-url ws://localhost:8080
      tradecap stream BTCUSDT --log kafka://localhost:19092/trades.raw --spool /data/spool
    """
    site, names = wanted.site(), wanted.names(settings)
    _refuse_too_many(names, site)
    budget = _check(names, site, out)
    written = opened(settings, out, spool, segment_bytes, segment_age_s)
    _refuse_full(written.log, wanted.min_free)
    plan = wanted.plan(site, names, {"spool": written.log.id} if written.shipping else {})
    with ExitStack() as stack:
        loading = stack.enter_context(_loading(written, settings, wanted.also_load))
        metrics = (
            stack.enter_context(_metrics(metrics_port, loading, written.shipping, out))
            if metrics_port is not None
            else None
        )
        stop = stack.enter_context(interruptible(out))
        session = _RunningCapture(written=written, loading=loading, metrics=metrics, stop=stop, out=out)
        done, undelivered = session.run(site, plan, Terms(connections=wanted.connections), budget)
        loading.finish()
    return _report(done, undelivered, loading, written.shipping, out)


@dataclass(frozen=True, kw_only=True)
class _RunningCapture:
    """A capture with everything that runs alongside it."""

    written: Written
    loading: Loading
    metrics: "Metrics | None"
    stop: Stop
    out: Output

    def run(self, site: Site, plan: Plan, terms: Terms, budget: Budget) -> tuple[Captured, int]:
        """Capture and ship; what was captured, and how many records the topic doesn't have yet."""
        shipping, stop = self.written.shipping, self.stop
        with self.written.writer() as writer, shipping or nullcontext():
            wiring = Wiring(site, self.written.log, writer, plan, terms=terms, budget=budget)
            self.loading.start(stop)
            if shipping:
                shipping.start(stop)
            with View(self.out, stop) as view:
                full = shipping.full if shipping else lambda: None
                done = wiring.run(stop=stop, see=lambda status: self._see(status, view), full=full)
            return done, _ship_rest(shipping, self.out) if shipping else 0

    def _see(self, status: "Status", view: View) -> None:
        """Show news and the status, and hand the status to the metrics."""
        shipping = self.written.shipping
        for news in (self.loading.news, *([shipping.done.news] if shipping else ())):
            while news:
                view.report(*news.popleft())
        view.see(status, shipping.figures() if shipping else None)
        if self.metrics:
            self.metrics.see(status)


def _check(symbols: tuple[str, ...], site: Site, out: Output) -> Budget:
    """Warn of symbols that can't be captured now, or raise TradecapError. What is left of the site's request budget."""
    with Rest(site) as rest:
        if warning := check_symbols(rest, symbols):
            out.warn(warning)
    return rest.budget


def _ship_rest(shipping: Shipping, out: Output) -> int:
    """Ship what is left in the spool, for a bounded time; how many records stay there."""
    if waiting := shipping.figures().waiting:
        out.note(f"shipping what is left in the spool: {amount(waiting)}")
    undelivered = shipping.finish()
    while shipping.done.news:
        level, text, fields = shipping.done.news.popleft()
        (out.warn if level == "warning" else out.note)(text, **fields)
    return undelivered


def _metrics(port: int, loading: Loading, shipping: Shipping | None, out: Output) -> "Metrics":
    from tradecap.metrics import Metrics  # imported here because it is slow to import

    return Metrics(port, loading, out.note, shipping)


def _refuse_too_many(symbols: tuple[str, ...], site: Site) -> None:
    if len(symbols) > site.max_streams:
        message = f"{site.name} allows {site.max_streams} streams on a connection, these are {len(symbols)}."
        raise TradecapError(message, "capture them with several runs into several logs.")


def _refuse_full(log: Log, min_free: int) -> None:
    if (left := log.free_bytes()) is not None and left < min_free:
        message = f"The disk of {log.url} has {amount(left)} left, less than --min-free {amount(min_free)}."
        raise TradecapError(message, "free some disk, or allow less with --min-free.", Exit.UNDELIVERED)


@contextmanager
def _loading(written: Written, settings: Settings, also_load: bool) -> Iterator[Loading]:
    """The loader of --load. It is opened first, so a problem with the store is reported before anything is captured."""
    if not also_load:
        yield Loading(written.loaded, None)
        return
    with open_store(settings.store.value, read=read_record) as store, Loading(written.loaded, store) as loading:
        refuse_topic_reader(
            written.loaded_id, store, "leave out --load, and run in another terminal: tradecap load --follow"
        )
        yield loading


def _report(done: Captured, undelivered: int, loading: Loading, shipping: Shipping | None, out: Output) -> Exit:
    """Print the result. Raises the problem that the command ends with, if there is one."""
    result = _result(done, undelivered)
    if shipping:
        result["acknowledged"] = shipping.done.latency.summary()
    loaded = loading.loaded
    if loaded:
        out.show(result | {"load": load_result(loaded)}, lambda: stacked(load_sentence(loaded), "", _draw(done)))
    else:
        out.show(result, lambda: _draw(done))
    if loading.is_left:
        out.warn("The store is behind the log: there was no time to load the rest. 'tradecap load' does it.")
    unshipped = shipping.undelivered(undelivered) if shipping and undelivered else None
    for problem in (done.problem, unshipped, loading.problem):
        if problem:
            raise problem
    return Exit.OK


def _result(done: Captured, undelivered: int) -> dict[str, object]:
    return {
        "run": done.run,
        **asdict(done.counts),
        "gaps_open": done.gaps_open,
        "undelivered": undelivered,
        "seconds": done.seconds,
        "series": done.series,
        "latency": done.latency,
    }


def _draw(done: Captured) -> "RenderableType":
    counts = done.counts
    ends = [["" if each[end] is None else str(each[end]) for end in ("first_id", "last_id")] for each in done.series]
    rows = [(each["symbol"], each["trades"], *ids) for each, ids in zip(done.series, ends, strict=True)]
    rate = f" ({number(round(counts.valid / done.seconds))}/s)" if done.seconds and counts.valid else ""
    summary = (
        f"{counted(counts.valid, 'trade')}, {counted(counts.records, 'record')} in "
        f"{span(done.seconds)}{rate}; {done.why}"
    )
    copies = "1 equal copy" if counts.duplicates_dropped == 1 else f"{number(counts.duplicates_dropped)} equal copies"
    others = f"{copies} left out, {number(counts.quarantined)} unreadable, {counted(counts.reconnects, 'reconnect')}"
    gaps = f"{counted(counts.gaps_found, 'gap')} found, {number(counts.gaps_repaired)} repaired"
    still = [lost(f"{gap['symbol']} {gap['first']} to {gap['last']} stay open: {gap['why']}") for gap in done.gaps_open]
    ids_of_series = table(("symbol", "trades", "first id", "last id"), rows, drop=("first id", "last id"))
    return stacked(ids_of_series, summary, others, gaps, *still, f"run {done.run}", *_last_line(done))


def _last_line(done: Captured) -> "list[RenderableType]":
    """Whether an id is missing."""
    counts = done.counts
    odd = [f"{counted(counts.outliers, 'id')} far from the series"] if counts.outliers else []
    odd += [f"{counted(counts.moves, 'jump')} to other ids"] if counts.moves else []
    also = f"; {' and '.join(odd)}, see the events" if odd else ""
    if done.gaps_open:
        missing = sum(int(str(gap["last"])) - int(str(gap["first"])) + 1 for gap in done.gaps_open)
        stay = "1 gap stays" if len(done.gaps_open) == 1 else f"{number(len(done.gaps_open))} gaps stay"
        return [lost(f"{stay} open: {counted(missing, 'id')} missing{also}")]
    if odd:
        return [spoilt(f"no gap in the series{also}: verify shows the ids between as missing")]
    return [proven("no id is missing from the first to the last one")] if counts.valid else []
