"""tradecap load: the log into the store."""

from collections.abc import Iterable
from dataclasses import asdict

import click

from tradecap.cli.logs import log_in_force, topic_access
from tradecap.cli.options import command, later, shared
from tradecap.cli.output import Output, counted, number, span
from tradecap.cli.settings import Settings
from tradecap.cli.signals import interruptible
from tradecap.errors import Exit
from tradecap.flows.load import Loaded
from tradecap.flows.load import load as flow
from tradecap.flows.load_topic import load_topic, reader_of
from tradecap.flows.records import read_record
from tradecap.log import topic_of
from tradecap.log.api import Damage, Log
from tradecap.store import open_store
from tradecap.store.api import Store


@command
@click.option("--follow", is_flag=True, help="Go on: pour what comes in until Ctrl-C.")
@click.option(
    "--feed",
    type=click.Choice(["loader", "kafka"]),
    help="How records get in: `loader` is this command; `kafka` waits for ClickHouse, which reads the topic by itself (default: as init-db set it).",
)
@later("--metrics-port")
@shared
def load(follow: bool, feed: str | None, settings: Settings, out: Output) -> Exit:
    """Pour the log into the store, and make the candles.

    It goes on where the store stands, so it is safe to run again at any time, also after a crash.

    \b
    Examples:
      tradecap load
      tradecap load --follow
      tradecap load --log file:/data/log --store clickhouse://default@localhost:8123/market
      tradecap load --feed kafka --follow --log kafka://localhost:19092/trades.raw
    """
    log = log_in_force(settings)
    if feed == "kafka":
        topic_of(log)
    with open_store(settings.store.value, read=read_record, topic=topic_access(log, settings, reads=feed != "loader")) as store:
        by_itself = feed == "kafka" or (feed is None and store.topics is not None and store.topics.feed(log.id) is not None)
        done = wait_for_reader(log, store, settings, out, follow=follow) if by_itself else pour(log, store, out, follow=follow)
    out.show(result_of(done), lambda: sentence(done))
    return Exit.OK


def wait_for_reader(log: Log, store: Store, settings: Settings, out: Output, *, follow: bool = False) -> Loaded:
    """Wait with progress until the store has read the topic by itself."""
    group = topic_of(log).group(reader_of(store).group(log.id))
    with interruptible(out) as stop, out.progress("load") as advance:
        done = load_topic(
            log, group, store, settings.kafka_properties(), follow=(lambda: not stop()) if follow else None, stop=stop, progress=advance
        )
    _warn(done.damage, out)
    return done


def pour(log: Log, store: Store, out: Output, *, follow: bool = False) -> Loaded:
    """Load with progress; damage in the log is warned of, not hidden."""
    with interruptible(out) as stop, out.progress("load") as advance:
        done = flow(log, store, follow=(lambda: not stop()) if follow else None, stop=stop, progress=advance)
    _warn(done.damage, out)
    return done


def _warn(damages: Iterable[Damage], out: Output) -> None:
    for damage in damages:
        out.warn(f"{damage.detail}. What can be read of it was loaded.", **damage._asdict())
        out.note("hint: bring the segment back from a copy; 'tradecap verify' says what is missing.")


def result_of(done: Loaded) -> dict[str, object]:
    return asdict(done) | {"damage": [damage._asdict() for damage in done.damage]}


def sentence(done: Loaded) -> str:
    rate = f" ({number(round(done.records / done.seconds))}/s)" if done.seconds and done.records else ""
    parts = f"{number(done.valid)} valid, {number(done.quarantined)} quarantined, {number(done.ignored)} ignored, {counted(done.events, 'event')}"
    again = f", {number(done.redelivered)} redelivered" if done.redelivered else ""
    made = counted(done.candles, "minute")
    return f"{counted(done.records, 'record')} poured in {span(done.seconds)}{rate}: {parts}{again}; {made} made"
