"""tradecap demo: the whole pipeline on the embedded default."""

import shutil
from functools import partial
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Final

import click

from tradecap import sample
from tradecap.cli.candles import title
from tradecap.cli.options import command, spoken
from tradecap.cli.output import Output, counted, number, span, stacked
from tradecap.cli.pasting import given, paste
from tradecap.cli.plot import plot
from tradecap.cli.signals import interruptible
from tradecap.cli.verify import drawn, result_of
from tradecap.errors import Exit, TradecapError
from tradecap.flows.candles import BarsQuery, candles
from tradecap.flows.capture.plan import Plan
from tradecap.flows.capture.wiring import Wiring
from tradecap.flows.inject import inject
from tradecap.flows.inject import spoilt as bad_records
from tradecap.flows.load import load
from tradecap.flows.verify.audit import pasted
from tradecap.flows.verify.verify import Wanted, verify
from tradecap.log import open_log
from tradecap.log.api import Log
from tradecap.market.faults import FAULTS
from tradecap.recordings.reading import Source
from tradecap.simulate import Exchange, Fault, Recording
from tradecap.simulate.exchange_thread import ExchangeThread
from tradecap.store import open_store
from tradecap.store.api import Store
from tradecap.venues.api import SITES

if TYPE_CHECKING:
    from collections.abc import Callable

    from tradecap.flows.capture.status import Status

FOLDER: Final = Path("tradecap-demo")
SEED: Final = 7
EACH: Final = 20
SPEED: Final = 60.0
AWAY_S: Final = 0.4
ILLS: Final = (
    Fault("refuse", trades=2500, for_s=AWAY_S),
    Fault("abort", trades=2500),
    Fault("drop", trades=6000, count=5, symbol="BTCUSDT"),
)
"""What the exchange does wrong: it aborts the connection and refuses new ones for a moment; later it leaves out five
trades."""
STALE_S: Final = 5.0
"""After this long without a message, REST is asked for the newest ids: no later id shows what was lost at the end of
the tape."""
LONGEST_S: Final = 300.0
"""Five minutes at SPEED take 5 s. A slow machine needs longer, but not this long."""


@command
@click.option("--keep", is_flag=True, help=f"Continue with the data in ./{FOLDER} instead of starting over.")
@spoken
def demo(keep: bool, out: Output) -> Exit:
    """Run the whole pipeline once on this machine, up to the proof.

    It captures live from an exchange on this machine that misbehaves, adds bad records on purpose, loads the store,
    builds the candles and proves the result; each step is explained. Its data stays in ./tradecap-demo, for you to look
    around.

    \b
    Examples:
      tradecap demo
      tradecap candles BTCUSDT --log file:tradecap-demo/log --store chdb:tradecap-demo/db --plot
    """
    if FOLDER.exists() and not keep:
        _remove(FOLDER)
    log_url, store_url = f"file:{FOLDER}/log", f"chdb:{FOLDER}/db"
    by = given({"log": log_url, "store": store_url}, store_url)
    log = open_log(log_url, create=True)
    _tell(out, f"The whole pipeline, in ./{FOLDER}: log {log_url} · store {store_url}\n")
    with interruptible(out) as stop, open_store(store_url, create=True) as store:
        for step in (partial(_capture, log), partial(_spoil, log), partial(_load, log, store)):
            step(out, stop)
            if stop():
                raise KeyboardInterrupt
        verdict = pasted(verify(log, store, Wanted(), progress=_quietly), partial(paste, by=by))
        chart = candles(store, BarsQuery(symbol="BTCUSDT"))
    _tell(out, "4. Proof: log and store are compared, record by record (tradecap verify).\n")
    picture = stacked(title(chart, 60), plot(chart.candles), "")
    out.show(result_of(verdict), lambda: stacked(picture, drawn(verdict)))
    here = f"--log {log_url} --store {store_url}"
    _tell(out, f"\nLook around:\n  tradecap candles ETHUSDT {here}\n  tradecap verify {here}")
    return Exit.OK if verdict.ok else Exit.CHECK_FAILED


def _tell(out: Output, text: str) -> None:
    """Print several lines: a line break inside one would be written as an escape."""
    for line in text.split("\n"):
        out.note(line)


def _remove(folder: Path) -> None:
    """Remove a folder that is surely an earlier demo."""
    if not (folder / "log" / "log.json").exists():
        raise TradecapError(
            f"./{folder} exists, and it is not an earlier demo.", "move it away, or run the demo in another folder."
        )
    shutil.rmtree(folder)


def _capture(log: Log, out: Output, stop: "Callable[[], bool]") -> None:
    tape = Recording([lambda: Source("sample:", stream=sample.open_sample())])
    trades = sum(1 for entry in tape.entries() if entry.trade and entry.trade.channel == "trade")
    out.note(f"1. A live capture over a socket: an exchange on this machine plays five synthetic minutes at {SPEED:g}")
    out.note("   times their pace, breaks the connection off, is away for a moment, and leaves messages out")
    out.note("   (tradecap simulate sample:, tradecap stream). What was missed is seen by the ids, and asked for.")

    def tell(status: "Status") -> None:
        while status.news:
            out.note(f"   {status.news.popleft().text}")

    plan = Plan(
        venue="binance",
        channel="trade",
        symbols=tuple(tape.symbols),
        duration_s=LONGEST_S,
        stale_s=STALE_S,
        max_trades=trades,
        is_resumed=False,
        detail={"site": "demo"},
    )
    with (
        ExchangeThread(lambda: Exchange(tape, speed=SPEED, start="subscriber", faults=ILLS)) as exchange,
        log.writer() as writer,
    ):
        done = Wiring(SITES["binance"].at(exchange.exchange.url), log, writer, plan).run(stop=stop, see=tell)
    if done.problem:
        raise done.problem
    if done.counts.valid < trades and not stop():
        missing = (
            f"{number(trades - done.counts.valid)} of {number(trades)} trades were not captured within "
            f"{span(LONGEST_S)}."
        )
        raise TradecapError(missing, "the machine is very busy: run the demo again.", Exit.CHECK_FAILED)
    counts = done.counts
    gaps = (
        f"{counted(counts.reconnects, 'reconnect')}, {counted(counts.gaps_found, 'gap')} found, "
        f"{number(counts.gaps_repaired)} repaired"
    )
    _tell(out, f"   {number(counts.valid)} trades captured of {number(trades)}; {gaps}.\n")


def _spoil(log: Log, out: Output, stop: "Callable[[], bool]") -> None:
    out.note(f"2. Bad records are added on purpose: {EACH} of each fault (tradecap inject-bad --all {EACH}).")
    with log.writer() as writer:
        done = inject(bad_records(log, dict.fromkeys(FAULTS, EACH), SEED), writer, SEED, stop=stop, progress=_quietly)
    faults = ", ".join(f"{n} {fault}" for fault, n in done.injected.items())
    _tell(
        out,
        fill(
            f"{number(done.injected.total())} bad records: {faults}.", 97, initial_indent="   ", subsequent_indent="   "
        ),
    )
    out.note("")


def _load(log: Log, store: Store, out: Output, stop: "Callable[[], bool]") -> None:
    out.note("3. The log is loaded into ClickHouse, embedded: its views sort every line out (tradecap load).")
    store.create()
    done = load(log, store, stop=stop, progress=_quietly)
    _tell(
        out,
        f"   {counted(done.records, 'record')} in {span(done.seconds)}: {number(done.valid)} valid, "
        f"{number(done.quarantined)} quarantined.\n",
    )


def _quietly(_: int) -> None:
    """The steps are short: no bar."""
