"""tradecap inject-bad: synthetic bad records into the log."""

import secrets
from collections.abc import Iterable, Iterator
from io import BytesIO
from itertools import chain
from typing import BinaryIO

import click

from tradecap.cli.logs import log_to_write
from tradecap.cli.options import COUNT, FILE_NAME, Body, command, segments, shared
from tradecap.cli.output import Output, number, stacked, table
from tradecap.cli.output import spoilt as yellow
from tradecap.cli.settings import Settings
from tradecap.cli.signals import StoppableInput, interruptible, standard_input
from tradecap.errors import Exit, TradecapError
from tradecap.flows.inject import Bad, Injected, captured_live, counted_as_written, inject, spoilt
from tradecap.flows.inject import from_file as lines_of
from tradecap.log.api import Log
from tradecap.market.faults import FAULTS
from tradecap.recordings.reading import raw_lines


def _fault_options(body: Body) -> Body:
    for fault, kind in reversed(FAULTS.items()):
        body = click.option(
            f"--{fault.replace('_', '-')}", fault, type=COUNT, metavar="N", default=None, help=kind.help
        )(body)
    return body


@command
@_fault_options
@click.option("--all", "each", type=COUNT, metavar="N", default=0, help="Add N of each kind.")
@click.option("--from-file", type=FILE_NAME, metavar="PATH", help="Add the lines of this file as they are.")
@click.option(
    "--seed",
    type=COUNT,
    metavar="S",
    default=None,
    help="Make the same payloads again (default: a random seed, which is printed).",
)
@click.option("--dry-run", is_flag=True, help="Print the payloads; write nothing.")
@click.option("--yes", is_flag=True, help="Write even to a topic, or to a log that holds live captures.")
@segments
@shared
def inject_bad(
    each: int,
    from_file: str | None,
    seed: int | None,
    dry_run: bool,
    yes: bool,
    segment_bytes: int,
    segment_age_s: float,
    settings: Settings,
    out: Output,
    **faults: int | None,
) -> Exit:
    """Add synthetic bad records to the log, made from its own trades.

    They are written as a run of their own. Its end record counts the faults of each kind, so verify can check that all
    of them were found.

    \b
    Examples:
      tradecap inject-bad --dupes 100 --nulls 20
      tradecap inject-bad --all 50 --seed 7
      tradecap inject-bad --malformed 3 --dry-run
    """
    wanted = {fault: n if n is not None else each for fault, n in faults.items()}
    if not any(wanted.values()) and not from_file:
        raise TradecapError("Nothing to inject.", "say what and how many: --dupes 100, --all 50, or --from-file PATH.")
    is_new_allowed = not dry_run and settings.log.value.startswith("kafka:")
    log = log_to_write(settings, out, segment_bytes, segment_age_s, create=is_new_allowed)
    if not (dry_run or yes):
        _refuse_live(log, settings)
    drawn = secrets.randbits(32) if seed is None else seed
    stdin = standard_input() if from_file == "-" else BytesIO()
    records = _bad(log, wanted, drawn, from_file, stdin)
    if dry_run:
        return _show_payloads(records, drawn, out)
    total = sum(wanted.values()) if not from_file else None
    with interruptible(out) as stop, out.progress("inject", total=total) as advance, log.writer() as writer:
        if isinstance(stdin, StoppableInput):
            stdin.stop = stop
        done = inject(records, writer, drawn, stop=stop, progress=advance)
    return _report(done, out)


def _refuse_live(log: Log, settings: Settings) -> None:
    """Raise TradecapError (exit 2) for a log that a capture may be writing to: it isn't spoilt by mistake."""
    if captured_live(log):
        holds = "holds live captures" if log.has_one_writer else "is a topic, which may hold live captures"
        raise TradecapError(
            f"{settings.log.shown} {holds}.", "add --yes to spoil it all the same, or replay it into another log first."
        )


def _bad(log: Log, wanted: dict[str, int], seed: int, path: str | None, stdin: BinaryIO) -> Iterator[Bad]:
    """The records to write. What can't be drawn is raised here, before a run begins."""
    drawn = spoilt(log, wanted, seed) if any(wanted.values()) else ()
    bad = chain(drawn, lines_of(raw_lines(path, stdin)) if path else ())
    first = next(bad, None)
    return chain([first] if first else [], bad)


def _show_payloads(bad: Iterable[Bad], seed: int, out: Output) -> Exit:
    """Print what would be written, and count it as if it had been: where a real run breaks off, this one does too."""
    done = Injected(seed=seed)
    payloads = (record.payload.decode(errors="backslashreplace") for record in counted_as_written(bad, done))
    if out.json:
        shown = list(payloads)
        out.show(
            {"run": "", "seed": seed, "injected": dict(done.injected), "records": done.records, "payloads": shown}, str
        )
    else:
        out.note(f"seed {seed}; dry run: nothing was written", seed=seed)
        out.lines(payloads)
    if done.problem:
        raise done.problem
    return Exit.OK


def _report(done: Injected, out: Output) -> Exit:
    result = {"run": done.run, "seed": done.seed, "injected": dict(done.injected), "records": done.records}
    rows = [(fault, FAULTS[fault].outcome if fault in FAULTS else "as it is", n) for fault, n in done.injected.items()]
    summary = yellow(f"{number(done.injected.total())} bad records written on purpose")
    out.show(
        result,
        lambda: stacked(
            table(("fault", "must end as", "records"), rows), summary, f"seed {done.seed} · run {done.run}"
        ),
    )
    if done.problem:
        raise done.problem
    return Exit.OK
