"""tradecap stream: live trades into the log."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING, Final

import click

from tradecap.cli.load import result_of as load_result
from tradecap.cli.load import sentence as load_sentence
from tradecap.cli.options import DURATION, POSITIVE, SIZE, SYMBOL, parse_symbol, segments, service, shared
from tradecap.cli.output import Output, amount, counted, lost, number, proven, span, spoilt, stacked, table
from tradecap.cli.settings import Settings
from tradecap.cli.signals import interruptible
from tradecap.cli.spooling import SpoolOptions, Written, opened, spool_options
from tradecap.cli.stream_view import View
from tradecap.errors import Exit, TradecapError
from tradecap.flows.capture.capture import capture
from tradecap.flows.capture.plan import Captured, Plan
from tradecap.flows.capture.repair import Repair
from tradecap.flows.capture.resume import known_ids
from tradecap.flows.capture.start import check_symbols
from tradecap.flows.load import refuse_topic_reader
from tradecap.flows.loading import Loading
from tradecap.flows.records import read_record
from tradecap.flows.shipping import Shipping
from tradecap.log.api import Log
from tradecap.market.records import CHANNELS
from tradecap.store import open_store
from tradecap.venues.api import SITES
from tradecap.venues.feed import Feed, Terms
from tradecap.venues.rest import Rest
from tradecap.venues.sites import Site

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tradecap.flows.capture.status import Status
    from tradecap.metrics import Metrics

RESULT: Final = (
    "run", "records", "valid", "duplicates_dropped", "quarantined", "ignored", "conflicts", "gaps_found", "gaps_repaired", "gaps_open",
    "outliers", "moves", "reconnects", "undelivered", "seconds", "series", "latency",
)  # fmt: skip


@service
@click.argument("symbols", nargs=-1, type=SYMBOL, metavar="[SYMBOL...]")
@click.option("--venue", type=click.Choice([*SITES]), default="binance", help="Where to capture (default binance; binance-data: its open hosts).")
@click.option("--channel", type=click.Choice(CHANNELS), default="trade", help="Single trades or aggregates (default trade).")
@click.option("--connections", type=click.IntRange(1, 4), default=1, help="Connections side by side; an id is logged once (default 1).")
@click.option("--duration", "duration_s", type=DURATION, metavar="DURATION", help="Stop after this time.")
@click.option("--max-trades", type=POSITIVE, metavar="N", help="Stop after N trades.")
@click.option("--load", "also_load", is_flag=True, help="Also pour into the store and make candles, in this process.")
@click.option("--ws-url", default="", metavar="URL", help="Another base of the streams, like ws://localhost:8080.")
@click.option("--rest-url", default="", metavar="URL", help="Another base of REST (default: the host of --ws-url).")
@click.option("--no-repair", is_flag=True, help="Don't fetch missed trades by REST.")
@click.option("--no-resume", is_flag=True, help="Don't fill the hole since the last capture.")
@click.option("--repair-max", type=POSITIVE, default="100000", metavar="N", help="Leave longer holes open (default 100000 trades).")
@click.option(
    "--stale", "stale_s", type=DURATION, default="60s", metavar="DURATION", help="Ask REST about a series silent for so long (default 60s)."
)
@click.option("--min-free", type=SIZE, default="1GB", metavar="SIZE", help="End when the disk has less left (default 1GB).")
@click.option("--metrics-port", type=click.IntRange(0, 65535), metavar="PORT", help="Serve /metrics, /health and /ready here (0: any free port).")
@spool_options
@segments
@shared
def stream(
    symbols: tuple[str, ...],
    venue: str,
    channel: str,
    connections: int,
    duration_s: float | None,
    max_trades: int | None,
    also_load: bool,
    ws_url: str,
    rest_url: str,
    no_repair: bool,
    no_resume: bool,
    repair_max: int,
    stale_s: float,
    min_free: int,
    metrics_port: int | None,
    segment_bytes: int,
    segment_age_s: float,
    spool: SpoolOptions,
    settings: Settings,
    out: Output,
) -> Exit:
    """Capture live trades from the venue into the log.

    Without SYMBOL it captures those of TRADECAP_SYMBOLS, or `symbols = [...]` of tradecap.toml.

    It connects again by itself, fetches what it missed by REST, and goes on after the last id of the log. Ctrl-C ends it properly. If the log is a
    topic, records go into a folder first, the spool, and from there to the topic: the broker may be away for hours.

    Where stderr isn't a terminal, each line on it is a JSON object, with the hint of an error as its member `hint`; --log-format text changes that.

    \b
    Examples:
      tradecap stream BTCUSDT --duration 1m
      tradecap stream BTCUSDT ETHUSDT --connections 2 --load
      tradecap stream BTCUSDT --ws-url ws://localhost:8080
      tradecap stream BTCUSDT --log kafka://localhost:19092/trades.raw --spool /data/spool
    """
    site = SITES[venue].at(ws_url, rest_url)
    names = tuple(dict.fromkeys(symbols or _configured(settings)))
    _refuse_too_many(names, site)
    with Rest(site) as rest:
        if problem := check_symbols(rest, names):
            out.warn(problem)
    written = opened(settings, out, spool, segment_bytes, segment_age_s)
    log, shipping = written.log, written.shipping
    _refuse_full(log, min_free)
    detail = {"site": site.name, "url": site.ws_url, "connections": connections, **({"spool": log.id} if shipping else {})}
    plan = Plan(site.venue, channel, names, duration_s, max_trades, not no_repair, repair_max, stale_s, min_free, detail)
    terms = Terms(connections=connections)
    with ExitStack() as stack:
        loading = stack.enter_context(_loading(written, settings, also_load))
        metrics = stack.enter_context(_metrics(metrics_port, loading, shipping, out)) if metrics_port is not None else None
        stop = stack.enter_context(interruptible(out))
        with written.writer() as writer, shipping or nullcontext():
            known = {} if no_resume else known_ids(log, site.venue, channel, names)
            loading.start(stop)
            if shipping:
                shipping.start(stop)
            full = shipping.full if shipping else lambda: None
            streams = [site.control.stream_name(name, channel) for name in names]
            repair = Repair(lambda wait: Rest(site, wait=wait, budget=rest.budget), channel)
            with Feed(site.stream_url, streams, site.control, terms) as feed, View(out, stop) as view:

                def see(status: "Status") -> None:
                    for news in (loading.news, *([shipping.done.news] if shipping else ())):
                        while news:
                            view.tell(*news.popleft())
                    view.see(status, shipping.figures() if shipping else None)
                    if metrics:
                        metrics.see(status)

                done = capture(feed, writer, plan, repair=repair, known=known, free=log.free_bytes, stop=stop, see=see, full=full)
            done.undelivered = _drained(shipping, out) if shipping else 0
        loading.finish()
    return _told(done, loading, shipping, out)


def _drained(shipping: Shipping, out: Output) -> int:
    """What is left in the spool is shipped, for a bounded time; how many records stay there."""
    if waiting := shipping.figures().waiting:
        out.note(f"shipping what is left in the spool: {amount(waiting)}")
    undelivered = shipping.finish()
    while shipping.done.news:
        level, text, fields = shipping.done.news.popleft()
        (out.warn if level == "warning" else out.note)(text, **fields)
    return undelivered


def _metrics(port: int, loading: Loading, shipping: Shipping | None, out: Output) -> "Metrics":
    from tradecap.metrics import Metrics  # not before it is wanted: it takes its time

    return Metrics(port, loading, out.note, shipping)


def _configured(settings: Settings) -> list[str]:
    """The symbols of variable, profile or file. Raises TradecapError where there are none."""
    named = [each for each in re.split(r"[,\s]+", settings.symbols.value) if each]
    if not named:
        message = 'name some: tradecap stream BTCUSDT; or set TRADECAP_SYMBOLS=BTCUSDT,ETHUSDT, or symbols = ["BTCUSDT"] in tradecap.toml.'
        raise TradecapError("No symbol to capture.", message)
    try:
        return [parse_symbol(each) for each in named]
    except ValueError as error:
        raise TradecapError(f"{settings.symbols.source}: {error}", "write symbols like BTCUSDT, separated by commas.") from error


def _refuse_too_many(symbols: tuple[str, ...], site: Site) -> None:
    if len(symbols) > site.max_streams:
        said = f"{site.name} allows {site.max_streams} streams on a connection, these are {len(symbols)}."
        raise TradecapError(said, "capture them with several runs into several logs.")


def _refuse_full(log: Log, min_free: int) -> None:
    if (left := log.free_bytes()) is not None and left < min_free:
        said = f"The disk of {log.url} has {amount(left)} left, less than --min-free {amount(min_free)}."
        raise TradecapError(said, "free some disk, or allow less with --min-free.", Exit.UNDELIVERED)


@contextmanager
def _loading(written: Written, settings: Settings, also_load: bool) -> Iterator[Loading]:
    """What pours into the store, opened first: what is wrong with it is told before anything is captured."""
    if not also_load:
        yield Loading(written.loaded, None)
        return
    with open_store(settings.store.value, read=read_record) as store, Loading(written.loaded, store) as loading:
        refuse_topic_reader(written.loaded_id, store, "leave out --load, and run in another terminal: tradecap load --follow")
        yield loading


def _told(done: Captured, loading: Loading, shipping: Shipping | None, out: Output) -> Exit:
    result = {name: getattr(done, name) for name in RESULT}
    if shipping:
        result["acknowledged"] = shipping.done.latency.summary()
    loaded = loading.loaded
    if loaded:
        out.show(result | {"load": load_result(loaded)}, lambda: stacked(load_sentence(loaded), "", _drawn(done)))
    else:
        out.show(result, lambda: _drawn(done))
    if loading.is_left:
        out.warn("The store is behind the log: there was no time to pour the rest. 'tradecap load' does.")
    undelivered = shipping.undelivered(done.undelivered) if shipping and done.undelivered else None
    for problem in (done.problem, undelivered, loading.problem):
        if problem:
            raise problem
    return Exit.OK


def _drawn(done: Captured) -> "RenderableType":
    ends = [["" if each[end] is None else str(each[end]) for end in ("first_id", "last_id")] for each in done.series]
    rows = [(each["symbol"], each["trades"], *ids) for each, ids in zip(done.series, ends, strict=True)]
    rate = f" ({number(round(done.valid / done.seconds))}/s)" if done.seconds and done.valid else ""
    summary = f"{counted(done.valid, 'trade')}, {counted(done.records, 'record')} in {span(done.seconds)}{rate}; {done.why}"
    copies = "1 equal copy" if done.duplicates_dropped == 1 else f"{number(done.duplicates_dropped)} equal copies"
    others = f"{copies} left out, {number(done.quarantined)} unreadable, {counted(done.reconnects, 'reconnect')}"
    gaps = f"{counted(done.gaps_found, 'gap')} found, {number(done.gaps_repaired)} repaired"
    still = [lost(f"{gap['symbol']} {gap['first']} to {gap['last']} stay open: {gap['why']}") for gap in done.gaps_open]
    ids_of_series = table(("symbol", "trades", "first id", "last id"), rows, drop=("first id", "last id"))
    return stacked(ids_of_series, summary, others, gaps, *still, f"run {done.run}", *_last_line(done))


def _last_line(done: Captured) -> "list[RenderableType]":
    """Whether an id is missing."""
    odd = [f"{counted(done.outliers, 'id')} far from the series"] if done.outliers else []
    odd += [f"{counted(done.moves, 'jump')} to other ids"] if done.moves else []
    also = f"; {' and '.join(odd)}, see the events" if odd else ""
    if done.gaps_open:
        missing = sum(int(str(gap["last"])) - int(str(gap["first"])) + 1 for gap in done.gaps_open)
        stay = "1 gap stays" if len(done.gaps_open) == 1 else f"{number(len(done.gaps_open))} gaps stay"
        return [lost(f"{stay} open: {counted(missing, 'id')} missing{also}")]
    if odd:
        return [spoilt(f"no gap in the series{also}: verify shows the ids between as missing")]
    return [proven("no id is missing from the first to the last one")] if done.valid else []
