"""tradecap ship: a log in a folder into another log."""

from pathlib import Path

import click

from tradecap.cli.logs import log_to_write
from tradecap.cli.options import command, shared
from tradecap.cli.output import Output, counted, lost
from tradecap.cli.settings import Settings, at_home
from tradecap.cli.signals import interruptible
from tradecap.errors import Exit, TradecapError
from tradecap.flows.ship import Shipped
from tradecap.flows.ship import ship as flow
from tradecap.log import open_log
from tradecap.log.api import Log
from tradecap.log.folder.log import SEGMENT_AGE_S, SEGMENT_BYTES, FileLog
from tradecap.log.folder.spool import Spool, Target


@command
@click.argument("source", metavar="SOURCE")
@click.option("--follow", is_flag=True, help="Keep copying new records until Ctrl-C.")
@shared
def ship(source: str, follow: bool, settings: Settings, out: Output) -> Exit:
    """Copy a log into another one, record by record, unchanged.

    SOURCE is the folder of a log: a spool that a capture left behind, or any other. It is copied into the log that is
    in use (--log), which is a topic or another folder. Nothing is removed from SOURCE. If you run it again, it
    continues where it stopped. While the broker is unreachable, it waits.

    \b
    Examples:
      tradecap ship tradecap-data/spool --log kafka://localhost:19092/trades.raw
      tradecap ship /data/log --log file:/backup/log
    """
    spool = Spool(_source(source))
    target = log_to_write(settings, out, SEGMENT_BYTES, SEGMENT_AGE_S)
    if target.id == spool.log.id:
        raise TradecapError(
            f"{spool.log.path} and {target.url} are the same log.", "name the log to copy into with --log."
        )
    done = Shipped(target=Target(target.id, target.url))

    def opened() -> Log:
        return open_log(target.url, kafka=settings.kafka_properties())

    with interruptible(out) as stop, out.progress("ship") as advance:

        def progress(records: int) -> None:
            advance(records, total=done.records + spool.waiting(done.at))
            _tell(done, out)

        def is_wanted() -> bool:
            _tell(done, out)
            return not stop()

        flow(
            spool, opened, done, follow=(lambda: not stop()) if follow else None, is_wanted=is_wanted, progress=progress
        )
    _tell(done, out)
    return _finished(spool, done, out)


def _source(source: str) -> FileLog:
    scheme, colon, _ = source.partition(":")
    if colon and scheme == "kafka":
        raise TradecapError(
            f"{source} is a topic; ship copies the log in a folder.",
            "to copy a topic, use a tool of its broker (MirrorMaker, rpk).",
        )
    log = open_log(source if colon and scheme == "file" else f"file:{Path(at_home(source))}")
    assert isinstance(log, FileLog)
    return log


def _tell(done: Shipped, out: Output) -> None:
    while done.news:
        level, text, fields = done.news.popleft()
        (out.warn if level == "warning" else out.note)(text, **fields)


def _finished(spool: Spool, done: Shipped, out: Output) -> Exit:
    undelivered = spool.waiting(done.at)
    result = {
        "records": done.records,
        "undelivered": undelivered,
        "shortened": done.shortened,
        "position": done.position,
        "damage": [damage._asdict() for damage in done.damage],
    }
    left = [lost(f"{counted(undelivered, 'record')} not yet copied: run the same line again")] if undelivered else []
    out.show(result, lambda: left[0] if left else f"{counted(done.records, 'record')} copied to {done.target.url}")
    if undelivered:
        return Exit.UNDELIVERED
    return Exit.CHECK_FAILED if done.damage else Exit.OK
