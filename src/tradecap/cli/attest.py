"""tradecap attest: runs whose writers died."""

import click

from tradecap.cli.logs import log_in_force, records_after
from tradecap.cli.options import DURATION, command, shared
from tradecap.cli.output import Output, counted
from tradecap.cli.settings import Settings
from tradecap.errors import TradecapError
from tradecap.flows.attest import attest as flow


@command
@click.argument("runs", nargs=-1, metavar="[RUN...]")
@click.option(
    "--all-silent",
    "all_silent_s",
    type=DURATION,
    metavar="DURATION",
    help="Attest all runs without an end record that have been silent for this long.",
)
@shared
def attest(runs: tuple[str, ...], all_silent_s: float | None, settings: Settings, out: Output) -> None:
    """Declare runs finished when their writers are known to be dead.

    Such runs have no end record. On a topic nothing shows whether a writer is dead, so verify fails on a silent run
    until you attest it. In a folder the next writer attests all such runs by itself. So does this
    command there, whichever runs you name.

    \b
    Examples:
      tradecap attest 01a22196-f14e-75c5-9f68-bacc87af7389 --log kafka://localhost:19092/trades.raw
      tradecap attest --all-silent 10m --log kafka://localhost:19092/trades.raw
    """
    if bool(runs) == (all_silent_s is not None):
        raise TradecapError(
            "Which runs?", "name runs, or use --all-silent 10m; 'tradecap verify' names the runs without an end."
        )
    log = log_in_force(settings)
    with out.progress("attest", total=records_after(log)) as advance:
        done = flow(log, tuple(dict.fromkeys(run.lower() for run in runs)), all_silent_s, progress=advance)
    rows = [each._asdict() for each in done.runs]
    out.show({"attested": rows, "run": done.run}, lambda: f"{counted(len(rows), 'run')} attested")
