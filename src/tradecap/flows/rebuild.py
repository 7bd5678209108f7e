"""Rebuild lost or wrong manifests of a log, and write down which: a repair is a record, in a run of its own."""

from collections.abc import Callable

from tradecap.flows.records import read_record
from tradecap.flows.run import Run
from tradecap.log import rebuild_manifests
from tradecap.log.api import Log, LogWriter
from tradecap.log.folder.manifests import REBUILT, Mended


def rebuild(log: Log, *, progress: Callable[[int], None]) -> list[Mended]:
    """Every manifest that wasn't right, with what was done about it. Raises TradecapError for a log that has none."""
    mended = rebuild_manifests(log, read_record, progress)
    if any(each.done == REBUILT for each in mended):
        with log.writer() as writer:
            record_rebuilt(writer, mended)
    return mended


def record_rebuilt(writer: LogWriter, mended: list[Mended]) -> None:
    """Write down in the log what was rebuilt."""
    rebuilt = {each.segment: each.why for each in mended if each.done == REBUILT}
    run = Run(writer, "verify")
    run.event("manifests_rebuilt", segments=rebuilt)
    run.end()
