"""tradecap load: the log into the store."""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict

import click

from tradecap.cli.logs import log_in_force, records_after, topic_access
from tradecap.cli.options import command, shared
from tradecap.cli.output import Advance, Output, counted, number, span
from tradecap.cli.settings import Settings
from tradecap.cli.signals import interruptible
from tradecap.errors import Exit
from tradecap.flows.load import Loaded, LoadStatus
from tradecap.flows.load import load as flow
from tradecap.flows.load_topic import load_topic, reader_of
from tradecap.flows.records import read_record
from tradecap.log import topic_of
from tradecap.log.api import Damage, Log
from tradecap.market.batch import BEGINNING
from tradecap.store import open_store
from tradecap.store.api import Store


@command
@click.option("--follow", is_flag=True, help="Keep loading new records until Ctrl-C.")
@click.option(
    "--feed",
    type=click.Choice(["loader", "kafka"]),
    help="How records get into the store: `loader` is this command; `kafka` waits for ClickHouse, which reads the "
    "topic by itself (default: as init-db set it).",
)
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Serve /metrics, /health and /ready on this port (0: any free port).",
)
@shared
def load(follow: bool, feed: str | None, metrics_port: int | None, settings: Settings, out: Output) -> Exit:
    """Load the log into the store and build the candles.

    It continues where it stopped, so it is safe to run again at any time, also after a crash. With a topic as the log
    and a server as the store, several may run at once. If the store doesn't answer, it waits: with --follow until the
    store answers, else for half a minute.

    \b
    Examples:
      tradecap load
      tradecap load --follow --metrics-port 9101
      tradecap load --log file:/data/log --store clickhouse://default@localhost:8123/market
      tradecap load --feed kafka --follow --log kafka://localhost:19092/trades.raw
    """
    log = log_in_force(settings, out.warn)
    if feed == "kafka":
        topic_of(log)
    status = LoadStatus()
    access = topic_access(log, settings, reads=feed != "loader")
    with (
        open_store(settings.store.value, read=read_record, topic=access) as store,
        _metrics(metrics_port, log, status, out),
    ):
        if feed == "kafka" or (feed is None and _reads_by_itself(store, log)):
            done = wait_for_reader(log, store, settings, out, follow=follow, status=status)
        else:
            done = load_log(log, store, out, follow=follow, status=status)
    out.show(result_of(done), lambda: sentence(done))
    return Exit.OK


def _reads_by_itself(store: Store, log: Log) -> bool:
    return store.topics is not None and store.topics.feed(log.id) is not None


def load_afterwards(log: Log, store: Store, settings: Settings, out: Output) -> Loaded:
    """What a command with --load does at its end: the same as `tradecap load`."""
    return wait_for_reader(log, store, settings, out) if _reads_by_itself(store, log) else load_log(log, store, out)


def wait_for_reader(
    log: Log, store: Store, settings: Settings, out: Output, *, follow: bool = False, status: LoadStatus | None = None
) -> Loaded:
    """Wait with progress until the store has read the topic by itself."""
    status = status or LoadStatus()
    group, properties = topic_of(log).group(reader_of(store).group(log.id)), settings.kafka_properties()
    with interruptible(out) as stop, out.progress("load") as advance:
        followed = (lambda: not stop()) if follow else None
        progress = _towards_the_end(log, status, advance)
        done = load_topic(
            log, group, store, properties, follow=followed, stop=stop, progress=progress, say=out.warn, status=status
        )
    _warn(done.damage, out)
    return done


def _metrics(port: int | None, log: Log, status: LoadStatus, out: Output) -> AbstractContextManager[object]:
    if port is None:
        return nullcontext()
    from tradecap.metrics import LoadMetrics  # not before it is wanted: it takes its time

    return LoadMetrics(port, log, status, out.note)


def load_log(log: Log, store: Store, out: Output, *, follow: bool = False, status: LoadStatus | None = None) -> Loaded:
    """Load with progress; damage in the log is warned of, not hidden."""
    status = status or LoadStatus()
    with interruptible(out) as stop, out.progress("load") as advance:
        progress = _towards_the_end(log, status, advance)
        done = flow(
            log,
            store,
            follow=(lambda: not stop()) if follow else None,
            stop=stop,
            progress=progress,
            say=out.warn,
            status=status,
        )
    _warn(done.damage, out)
    return done


def _towards_the_end(log: Log, status: LoadStatus, advance: Advance) -> Advance:
    """Progress up to the end of the log as it is when the store's position is known."""
    known: list[int | None] = []

    def advanced(amount: int, *, total: int | None = None) -> None:  # noqa: ARG001 -- the flow doesn't know it
        if not known:
            known.append(records_after(log, status.positions or BEGINNING))
        end = known[0]
        advance(amount, total=end if end is None else max(end, status.records))

    return advanced


def _warn(damages: Iterable[Damage], out: Output) -> None:
    for damage in damages:
        out.warn(f"{damage.detail}. What can be read of it was loaded.", **damage._asdict())
        out.note("hint: bring the segment back from a copy; 'tradecap verify' shows what is missing.")


def result_of(done: Loaded) -> dict[str, object]:
    return asdict(done) | {"damage": [damage._asdict() for damage in done.damage]}


def sentence(done: Loaded) -> str:
    rate = f" ({number(round(done.records / done.seconds))}/s)" if done.seconds and done.records else ""
    parts = (
        f"{number(done.valid)} valid, {number(done.quarantined)} quarantined, {number(done.ignored)} ignored, "
        f"{counted(done.events, 'event')}"
    )
    again = f", {number(done.redelivered)} redelivered" if done.redelivered else ""
    made = counted(done.candles, "one-minute candle")
    return f"{counted(done.records, 'record')} loaded in {span(done.seconds)}{rate}: {parts}{again}; {made} built"
