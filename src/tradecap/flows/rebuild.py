"""Rebuild lost or wrong manifests of a log, and write down which: a repair is a record, in a run of its own."""

from collections.abc import Callable

from tradecap.flows.records import read_record
from tradecap.flows.run import Run
from tradecap.log import rebuild_manifests
from tradecap.log.api import Log, LogWriter
from tradecap.log.folder.manifests import REBUILT, Repaired


def rebuild(log: Log, *, progress: Callable[[int], None]) -> list[Repaired]:
    """Every manifest that wasn't right, and what was done about it. Raises TradecapError for a log that has none."""
    repaired = rebuild_manifests(log, read_record, progress)
    if any(each.done == REBUILT for each in repaired):
        with log.writer() as writer:
            record_rebuilt(writer, repaired)
    return repaired


def record_rebuilt(writer: LogWriter, repaired: list[Repaired]) -> None:
    """Write down in the log what was rebuilt."""
    rebuilt = {each.segment: each.why for each in repaired if each.done == REBUILT}
    run = Run(writer, "verify")
    run.event("manifests_rebuilt", segments=rebuilt)
    run.end()
