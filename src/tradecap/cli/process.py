"""tradecap process: a topic into topics of enriched trades and candles."""

from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING

import click

from tradecap.cli.logs import log_in_force
from tradecap.cli.options import service, shared, typed
from tradecap.cli.output import Output, counted, number, span
from tradecap.cli.settings import Settings
from tradecap.cli.signals import interruptible
from tradecap.errors import Exit, TradecapError
from tradecap.flows.process import Processed, ProcessStatus
from tradecap.flows.process import process as flow
from tradecap.log import topic_of

if TYPE_CHECKING:
    from tradecap.log.kafka.exactly_once import ExactlyOnce


def _instance(text: str) -> str:
    if not text or len(text) > 100 or not all(sign.isascii() and (sign.isalnum() or sign in "._-") for sign in text):
        raise ValueError(
            f"{text!r} is not a name for an instance: use 1 to 100 letters, digits, dots, underscores and hyphens."
        )
    return text


@service
@click.option("--follow", is_flag=True, help="Keep processing new records until Ctrl-C.")
@click.option(
    "--emit",
    type=click.Choice(["updates", "closed"]),
    default="updates",
    help="Send a candle whenever it changes (updates), or only once it is closed (closed); default updates.",
)
@click.option(
    "--instance",
    type=typed("name", _instance),
    metavar="NAME",
    help="A name that stays the same across restarts, so that a transaction left open by a crash is ended at once. No "
    "two processes may run with the same name.",
)
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Serve /metrics, /health and /ready on this port (0: any free port).",
)
@shared
def process(
    follow: bool, emit: str, instance: str | None, metrics_port: int | None, settings: Settings, out: Output
) -> Exit:
    """Write enriched trades and candles to topics, exactly once.

    Each distinct trade goes to trades.enriched, each one-minute candle to candles.1m, and each rejected record to
    trades.quarantine. Messages, state and position are committed in one transaction; consumers must read with
    isolation.level=read_committed. Several processes may run at once: they share the partitions. To make the topics,
    run `tradecap topics --create`. Exit 1: some trades were in the wrong partition for their symbol, and were left out.

    \b
    Examples:
      tradecap process --log kafka://localhost:19092/trades.raw
      tradecap process --log kafka://localhost:19092/trades.raw --follow --instance one --metrics-port 9102
      tradecap process --profile compose --follow --emit closed
    """
    if not settings.log.value.startswith("kafka:"):
        raise TradecapError(
            f"{settings.log.shown} is not a topic.", "name one: --log kafka://localhost:19092/trades.raw"
        )
    log = log_in_force(settings, out.warn)
    status = ProcessStatus()
    chosen = {each.name: each.value for each in settings.topics}
    with ExitStack() as opened:
        topic = opened.enter_context(topic_of(log).exactly_once(chosen, instance or ""))
        if metrics_port is not None:
            opened.enter_context(_metrics(metrics_port, topic, status, out))
        stop, advance = opened.enter_context(interruptible(out)), opened.enter_context(out.progress("process"))
        done = flow(
            topic,
            log.id,
            topic.partition_of,
            only_closed=emit == "closed",
            follow=(lambda: not stop()) if follow else None,
            stop=stop,
            progress=advance,
            status=status,
        )
    out.show(vars(done), lambda: sentence(done))
    return _judged(done, out)


def _metrics(port: int, topic: "ExactlyOnce", status: ProcessStatus, out: Output) -> AbstractContextManager[object]:
    from tradecap.metrics import ProcessMetrics  # not before it is wanted: it takes its time

    return ProcessMetrics(port, topic, status, out.note)


def _judged(done: Processed, out: Output) -> Exit:
    if not done.misplaced:
        return Exit.OK
    out.warn(
        f"{counted(done.misplaced, 'trade')} left out: in a partition that isn't their symbol's.",
        misplaced=done.misplaced,
    )
    out.note(
        "hint: produce with the symbol as the key and the partitioner murmur2 (docs/processing.md, 'Misplaced trades')."
    )
    return Exit.CHECK_FAILED


def sentence(done: Processed) -> str:
    rate = f" ({number(round(done.records / done.seconds))}/s)" if done.seconds and done.records else ""
    parts = (
        f"{number(done.trades)} trades, {counted(done.duplicates, 'duplicate')}, {counted(done.conflicts, 'conflict')}"
    )
    rest = (
        f"{number(done.quarantined)} quarantined; {number(done.candles)} candle messages in "
        f"{counted(done.transactions, 'transaction')}"
    )
    return f"{counted(done.records, 'record')} processed in {span(done.seconds)}{rate}: {parts}, {rest}"
