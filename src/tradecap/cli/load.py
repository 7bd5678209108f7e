"""tradecap load: the log into the store."""

from dataclasses import asdict

import click

from tradecap.cli.options import command, later, shared
from tradecap.cli.output import Output, number, span
from tradecap.cli.settings import Settings
from tradecap.cli.signals import interruptible
from tradecap.errors import Exit
from tradecap.flows.load import Loaded
from tradecap.flows.load import load as flow
from tradecap.log import open_log
from tradecap.store import open_store


@command
@click.option("--follow", is_flag=True, help="Go on: pour what comes in until Ctrl-C.")
@click.option("--feed", type=click.Choice(["loader"]), default="loader", help="Who pours: this process.")
@later("--metrics-port")
@shared
def load(follow: bool, feed: str, settings: Settings, out: Output) -> Exit:  # noqa: ARG001 -- there is one feed so far
    """Pour the log into the store, and make the candles.

    It goes on where the store stands, so it is safe to run again at any time, also after a crash.

    \b
    Examples:
      tradecap load
      tradecap load --follow
      tradecap load --log file:/data/log --store clickhouse://default@localhost:8123/market
    """
    done = pour(settings, out, follow=follow)
    out.show(_result(done), lambda: _sentence(done))
    return Exit.OK


def pour(settings: Settings, out: Output, *, follow: bool = False) -> Loaded:
    """Load with progress; damage in the log is warned of, not hidden."""
    log = open_log(settings.log.value)
    with open_store(settings.store.value) as store, interruptible(out) as stop, out.progress("load") as advance:
        done = flow(log, store, follow=(lambda: not stop()) if follow else None, stop=stop, progress=advance)
    for damage in done.damage:
        out.warn(f"segment {damage.segment} is damaged after line {number(damage.line)}: {damage.problem}")
    return done


def _result(done: Loaded) -> dict[str, object]:
    return asdict(done) | {"damage": [damage._asdict() for damage in done.damage]}


def _sentence(done: Loaded) -> str:
    rate = f" ({number(round(done.records / done.seconds))}/s)" if done.seconds and done.records else ""
    parts = f"{number(done.valid)} valid, {number(done.quarantined)} quarantined, {number(done.ignored)} ignored, {number(done.events)} events"
    again = f", {number(done.redelivered)} redelivered" if done.redelivered else ""
    return f"{number(done.records)} records poured in {span(done.seconds)}{rate}: {parts}{again}; {number(done.candles)} minutes made"
