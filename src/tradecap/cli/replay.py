"""tradecap replay: recordings into the log."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO

import click

from tradecap import sample
from tradecap.cli.load import load_afterwards, result_of, sentence
from tradecap.cli.logs import log_to_write, own_log, records_after, topic_access
from tradecap.cli.options import POSITIVE, SERIES, SPEED, SYMBOL, command, segments, shared, time_range
from tradecap.cli.output import Advance, Output, counted, number, span, stacked, table
from tradecap.cli.settings import Settings
from tradecap.cli.signals import StoppableInput, interruptible, standard_input
from tradecap.errors import Exit, TradecapError
from tradecap.flows.load import Loaded
from tradecap.flows.records import read_record
from tradecap.flows.replay.replay import Choice, Nowhere, Replayed, look_at, refuse_own_log
from tradecap.flows.replay.replay import replay as flow
from tradecap.flows.stop import Stop
from tradecap.log import open_log
from tradecap.log.api import Log
from tradecap.recordings.reading import Meter, Source, expand
from tradecap.store import open_store
from tradecap.times import time_text

RESULT = (
    "run",
    "lines",
    "records",
    "valid",
    "events",
    "filtered",
    "ignored",
    "quarantined",
    "seconds",
    "pacing",
    "named_by_file",
    "stopped",
)

_WITHOUT_TRADES = "the counts above say what they are; docs/recordings.md lists what can be read."

if TYPE_CHECKING:
    from rich.console import RenderableType


@command
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--speed", type=SPEED, default="max", metavar="max|N", help="1 = as recorded, 10 = ten times faster (default max)."
)
@time_range
@click.option("--symbol", "symbols", type=SYMBOL, multiple=True, help="Replay only this symbol (may be repeated).")
@click.option("--limit", type=POSITIVE, metavar="N", help="Stop after N trades.")
@click.option("--now", is_flag=True, help="Shift times so that the first trade is now.")
@click.option(
    "--as",
    "series",
    type=SERIES,
    default=None,
    metavar="VENUE:SYMBOL",
    help="Venue and symbol of lines that don't name theirs.",
)
@click.option("--dry-run", is_flag=True, help="Only report; write nothing.")
@click.option("--load", "also_load", is_flag=True, help="Load the log into the store afterwards.")
@segments
@shared
def replay(
    paths: tuple[str, ...],
    speed: float | None,
    from_ns: int | None,
    to_ns: int | None,
    symbols: tuple[str, ...],
    limit: int | None,
    now: bool,
    series: tuple[str, str] | None,
    dry_run: bool,
    also_load: bool,
    segment_bytes: int,
    segment_age_s: float,
    settings: Settings,
    out: Output,
) -> Exit:
    """Write recordings into the log as a new run.

    PATH is a file (plain, .gz, .bz2, .xz, .zst, .zip or .tar, recognised by its content), a tradecap log, `-` (stdin),
    or `sample:` (the recording that comes with the package). Messages that can't be read are logged whole and end up in
    quarantine; messages of other streams are counted and left out. A file is refused (exit 2) if nothing in it is
    recognised or if its market isn't supported. If the lines don't contain a single trade, the exit code is 1.

    \b
    Examples:
      tradecap replay sample:
      tradecap replay capture-*.gz --speed 10
      zcat capture.gz | tradecap replay - --as binance-usdm:BTCUSDT --load
    """
    venue, symbol = series or ("", "")
    choice = Choice(
        speed=speed,
        from_ns=from_ns,
        to_ns=to_ns,
        symbols=frozenset(symbols),
        limit=limit,
        now=now,
        venue=venue,
        symbol=symbol,
    )
    sources = _sources(paths)
    inputs = look_at(sources, choice)
    if dry_run:
        with _working(sources, out) as (stop, advance):
            done = flow(inputs, Nowhere(), choice, stop=stop, progress=advance)
        return _report(done, None, out, choice)
    log = log_to_write(settings, out, segment_bytes, segment_age_s)
    refuse_own_log(inputs, log)
    with _opened(log, settings, also_load) as load_too:
        with _working(sources, out) as (stop, advance), log.writer() as writer:
            done = flow(inputs, writer, choice, stop=stop, progress=advance)
        loaded = load_too(out)
    return _report(done, loaded, out, choice)


@contextmanager
def _working(sources: list[Source], out: Output) -> Iterator[tuple[Stop, Advance]]:
    """While it works, the first signal ends the intake, also where it waits for standard input."""
    with interruptible(out) as stop, out.progress("replay") as advance:
        for source in sources:
            if isinstance(source.stream, StoppableInput):
                source.stream.stop = stop
        yield stop, _estimating(sources, advance)


def _estimating(sources: list[Source], advance: Advance) -> Advance:
    """Progress whose total follows from how much of the files has been read; none where a size isn't known (a pipe)."""
    meters = [source.meter for source in sources if source.meter]
    size = sum(meter.size for meter in meters) if len(meters) == len(sources) else 0
    records = 0

    def advanced(amount: int, *, total: int | None = None) -> None:
        nonlocal records
        records += amount
        read = sum(meter.done for meter in meters)
        advance(amount, total=round(records * size / read) if size and read else total)

    return advanced


@contextmanager
def _opened(log: Log, settings: Settings, also_load: bool) -> Iterator[Callable[[Output], Loaded | None]]:
    """What loads into the store, which is opened first: what is wrong with it is reported before anything is
    written."""
    if not also_load:
        yield lambda out: None  # noqa: ARG005 -- nothing is loaded
        return
    with open_store(settings.store.value, read=read_record, topic=topic_access(log, settings, reads=True)) as store:
        yield lambda out: load_afterwards(log, store, settings, out)


def _sources(paths: tuple[str, ...]) -> list[Source]:
    if paths.count("-") > 1:
        raise TradecapError("Standard input can be read only once.", "write '-' once.")
    return [_source(path) for path in paths]


def _source(path: str) -> Source:
    if path == "sample:":
        return Source("sample:", stream=sample.open_sample())
    stdin: BinaryIO = standard_input() if path == "-" else BytesIO()
    source = expand([path], stdin, own_log)[0]
    if source.log is not None:
        size = records_after(open_log(f"file:{path}"))
    else:
        size = source.path.stat().st_size if source.path is not None and source.path.is_file() else None
    return source._replace(meter=Meter(size)) if size else source


def _report(done: Replayed, loaded: Loaded | None, out: Output, choice: Choice) -> Exit:
    result = {name: getattr(done, name) for name in RESULT if getattr(done, name) is not None}
    if loaded:
        out.show(result | {"load": result_of(loaded)}, lambda: stacked(_draw(done), "", sentence(loaded)))
    else:
        out.show(result, lambda: _draw(done))
    for host in done.unknown_hosts:
        out.warn(f"{host} isn't a venue that tradecap knows: its other streams are counted, a trade would end its file")
    if done.named_by_file:
        names = ", ".join(done.named_by_file)
        out.warn(
            f"only the name of the file says that its rows are of {names}; --as VENUE:SYMBOL files them under "
            "another symbol"
        )
    if not done.valid and done.left_out_ns and (choice.from_ns, choice.to_ns) != (None, None):
        first, last = map(time_text, done.left_out_ns)
        out.warn(
            f"no trade is in the time that --from and --to leave: those that were left out are of {first} to {last}"
        )
    if done.stopped:
        out.warn("stopped before the end of what was to be replayed")
    for problem in done.problems[1:]:
        out.warn(problem.message)
    if done.problems:
        raise done.problems[0]
    if done.lines and not done.valid and not done.filtered:
        read = (
            "1 line was read, and it isn't a trade"
            if done.lines == 1
            else (f"{number(done.lines)} lines were read, and not one of them is a trade")
        )
        raise TradecapError(f"{read}.", _WITHOUT_TRADES, Exit.CHECK_FAILED)
    return Exit.OK


def _draw(done: Replayed) -> "RenderableType":
    rows = [("trade", "logged", done.valid)]
    rows += [(f"quarantined: {reason}", "logged", n) for reason, n in sorted(done.quarantined.items())]
    rows += [("event", "logged", done.events)]
    rows += [(kind, "left out", n) for kind, n in sorted(done.ignored.items())]
    rows += [("filtered by options", "left out", done.filtered)] if done.filtered else []
    rate = done.lines / done.seconds if done.seconds else 0
    summary = (
        f"{counted(done.lines, 'line')}, {counted(done.records, 'record')} in {span(done.seconds)} "
        f"({number(round(rate))} lines/s)"
    )
    summary += "; stopped before the end" if done.stopped else ""
    paced = (
        [f"lateness p50 {done.pacing['p50_ms']} ms, p99 {done.pacing['p99_ms']} ms, max {done.pacing['max_ms']} ms"]
        if done.pacing
        else []
    )
    return stacked(
        table(("what", "", "lines"), rows),
        summary,
        *paced,
        f"run {done.run}" if done.run else "dry run: nothing was written",
    )
