"""Write recordings into the log, as a new run.

frames -> decode -> filter -> pace -> record. Everything that isn't left out on purpose is logged, even unreadable
messages; other streams are counted by kind. Where a file breaks off, what came before is kept and the break is reported
at the end.
"""

import time
from collections.abc import Callable, Iterator
from typing import Final, Self

from tradecap.errors import TradecapError
from tradecap.flows.candles import which_symbol
from tradecap.flows.replay.choice import Choice, Replayed
from tradecap.flows.replay.inputs import Input, look_at, refuse_own_log, takes_texts
from tradecap.flows.replay.intake import Intake
from tradecap.flows.replay.items import Item, read_item
from tradecap.flows.replay.one_by_one import Sink
from tradecap.flows.replay.pace import Pace, Shift
from tradecap.flows.replay.quick import QuickReplay
from tradecap.flows.run import Run
from tradecap.log.api import Block, LogWriter, TornRun
from tradecap.market.records import Trade, json_text
from tradecap.recordings.lines import framed_lines
from tradecap.recordings.reading import Text

__all__ = ["Choice", "Input", "Nowhere", "Replayed", "look_at", "refuse_own_log", "replay"]

FLUSH_RECORDS: Final = 50_000
"""A replay at full speed makes this many records durable at a time."""


class Nowhere:
    """A writer for a dry run."""

    def __init__(self) -> None:
        self.run = ""
        self.torn: list[TornRun] = []
        self.torn_bytes = 0

    def append(self, line: bytes, trade: Trade | None = None) -> None:
        """Take nothing."""

    def append_many(self, block: Block) -> None:
        """Take nothing."""

    def flush(self) -> None:
        """Nothing to make durable."""

    def close(self) -> None:
        """Nothing to close."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        """Nothing to leave."""


def replay(
    inputs: list[Input], writer: LogWriter, choice: Choice, *, stop: Callable[[], bool], progress: Callable[[int], None]
) -> Replayed:
    """Write the inputs one after another. Ends early, but properly, when stop() is true."""
    started = time.monotonic()
    replayed = Replayed(run=writer.run)
    run = Run(writer, "replay", inputs=[entry.source.name for entry in inputs], speed=choice.speed or "max")
    checkpoint = _checkpoint(run, progress)
    pace = Pace(choice.speed, checkpoint, stop) if choice.speed else None
    intake = Intake(choice, replayed)
    if takes_texts(choice):
        QuickReplay(intake, Sink(run, checkpoint, FLUSH_RECORDS), stop).write(inputs)
    else:
        _write_one_by_one(inputs, intake, run, checkpoint, pace, stop)
    replayed.problems = _problems(inputs, choice, intake.symbols, is_stopped=stop())
    replayed.pacing = pace.lateness.summary() if pace else None
    _end(run, replayed)
    replayed.seconds = time.monotonic() - started
    return replayed


def _write_one_by_one(
    inputs: list[Input],
    intake: Intake,
    run: Run,
    checkpoint: Callable[[], None],
    pace: Pace | None,
    stop: Callable[[], bool],
) -> None:
    """The plain way: each line by itself."""
    shift = Shift() if intake.choice.now else None
    for item in _items(inputs, intake, stop):
        if pace:
            pace.wait(item)
        if shift:
            item = shift.moved(item)
        reading = item.reading
        run.record(item.recv_ns, item.head, item.tail, reading if type(reading) is Trade else None)
        if run.records % FLUSH_RECORDS == 0:
            checkpoint()
        if intake.replayed.valid == intake.choice.limit:
            break


def _items(inputs: list[Input], intake: Intake, stop: Callable[[], bool]) -> Iterator[Item]:
    """What is to be logged, counted on the way."""
    for entry in inputs:
        name = json_text(entry.source.name.rpartition("/")[2])
        for part in entry.parts:
            for each in framed_lines(part) if isinstance(part, Text) else (part,):
                if stop():
                    intake.replayed.stopped = True
                    return
                item = read_item(each, name, intake.choice)
                if why := intake.ends(entry.source.name, each, item.reading):
                    entry.problem = why
                    break
                if intake.is_logged(each, item):
                    yield item
            else:
                continue
            break
        intake.replayed.stopped = entry.source.stream is not None and stop()  # a pipe ends when it is asked to


def _checkpoint(run: Run, progress: Callable[[int], None]) -> Callable[[], None]:
    """Make what was written durable, and report how much it is."""
    reported = 0

    def checkpoint() -> None:
        nonlocal reported
        if run.records == reported:
            run.alive_if_due()
            return
        run.flush()
        progress(run.records - reported)
        reported = run.records

    return checkpoint


def _problems(inputs: list[Input], choice: Choice, others: set[str], *, is_stopped: bool) -> list[TradecapError]:
    """The problems to report at the end. A stream that was left on request isn't cut short, and what may still have
    come isn't missing."""
    problems = [entry.problem for entry in inputs if entry.problem and not (is_stopped and entry.source.stream)]
    if choice.symbols and not is_stopped and not choice.symbols & others:
        wanted = sorted(choice.symbols)
        where = ", ".join(entry.source.name for entry in inputs)
        hint = which_symbol(wanted[0], others, "it holds no trades.")
        problems.append(TradecapError(f"There is no trade of {', '.join(wanted)} in {where}.", hint))
    return problems


def _end(run: Run, replayed: Replayed) -> None:
    counts = {"lines": replayed.lines, "valid": replayed.valid, "filtered": replayed.filtered}
    run.end(**counts, ignored=replayed.ignored, quarantined=replayed.quarantined)
    replayed.records = run.records
    replayed.events = run.records - replayed.valid - sum(replayed.quarantined.values())
