"""tradecap demo: the whole river on the embedded default."""

import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from tradecap import sample
from tradecap.cli.candles import title
from tradecap.cli.options import SEGMENT_AGE_S, SEGMENT_BYTES, command, spoken
from tradecap.cli.output import Output, number, span, stacked
from tradecap.cli.plot import plot
from tradecap.cli.signals import interruptible
from tradecap.cli.verify import drawn, result_of
from tradecap.errors import Exit, TradecapError
from tradecap.flows.candles import Bars, candles
from tradecap.flows.inject import inject
from tradecap.flows.inject import spoilt as bad_records
from tradecap.flows.load import load
from tradecap.flows.replay import Choice, look_at, replay
from tradecap.flows.verify import Wanted, verify
from tradecap.log import Log, open_log
from tradecap.log.foreign import Source
from tradecap.market.faults import FAULTS
from tradecap.store import Store, open_store

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER: Final = Path("tradecap-demo")
SEED: Final = 7
EACH: Final = 20


@command
@click.option("--keep", is_flag=True, help=f"Go on in ./{FOLDER} instead of starting anew.")
@spoken
def demo(keep: bool, out: Output) -> Exit:
    """The whole river on the embedded default, in one go.

    Recording, log, faults on purpose, store, candles, proof; each step says what it does. Its data stays in ./tradecap-demo for looking around.

    \b
    Examples:
      tradecap demo
      tradecap candles BTCUSDT --log file:tradecap-demo/log --store chdb:tradecap-demo/db --plot
    """
    if FOLDER.exists() and not keep:
        _remove(FOLDER)
    log_url, store_url = f"file:{FOLDER}/log", f"chdb:{FOLDER}/db"
    log = open_log(log_url, create=True)
    out.note(f"The whole river, in ./{FOLDER}: log {log_url} · store {store_url}\n")
    with interruptible(out) as stop, open_store(store_url, create=True) as store:
        for step in (partial(_record, log), partial(_spoil, log), partial(_pour, log, store)):
            step(out, stop)
            if stop():
                raise KeyboardInterrupt
        verdict = verify(log, store, Wanted(), progress=_quietly)
        chart = candles(store, Bars("BTCUSDT"))
    out.note("4. Proof: log and store are held against each other, record by record (tradecap verify).\n")
    picture = stacked(title(chart, 60), plot(chart.candles), "")
    out.show(result_of(verdict), lambda: stacked(picture, drawn(verdict)))
    out.note(f"\nLook around:\n  tradecap candles ETHUSDT --log {log_url} --store {store_url}\n  tradecap verify --log {log_url} --store {store_url}")
    return Exit.OK if verdict.ok else Exit.CHECK_FAILED


def _remove(folder: Path) -> None:
    """Only what is surely an earlier demo."""
    if not (folder / "log" / "log.json").exists():
        raise TradecapError(f"./{folder} is there, and it is no earlier demo.", "move it away, or run the demo in another folder.")
    shutil.rmtree(folder)


def _record(log: Log, out: Output, stop: "Callable[[], bool]") -> None:
    out.note("1. A recording goes into the log: five synthetic minutes of BTCUSDT, ETHUSDT and PEPEUSDT (tradecap replay sample:).")
    inputs = look_at([Source("sample:", stream=sample.open_sample())], Choice())
    with log.writer(segment_bytes=SEGMENT_BYTES, segment_age_s=SEGMENT_AGE_S) as writer:
        done = replay(inputs, writer, Choice(), stop=stop, progress=_quietly)
    others = ", ".join(f"{number(n)} {kind}" for kind, n in sorted(done.ignored.items()))
    out.note(f"   {number(done.lines)} lines: {number(done.valid)} trades logged; of other streams, left out: {others}.\n")


def _spoil(log: Log, out: Output, stop: "Callable[[], bool]") -> None:
    out.note(f"2. It is spoilt on purpose: {EACH} of each fault, drawn from its own trades (tradecap inject-bad --all {EACH}).")
    with log.writer(segment_bytes=SEGMENT_BYTES, segment_age_s=SEGMENT_AGE_S) as writer:
        done = inject(bad_records(log, dict.fromkeys(FAULTS, EACH), SEED), writer, SEED, stop=stop, progress=_quietly)
    faults = ", ".join(f"{n} {fault}" for fault, n in done.injected.items())
    out.note(f"   {number(done.injected.total())} bad records: {faults}.\n")


def _pour(log: Log, store: Store, out: Output, stop: "Callable[[], bool]") -> None:
    out.note("3. The log is poured into ClickHouse, embedded: its views sort every line out and candles are made (tradecap load).")
    store.create()
    done = load(log, store, stop=stop, progress=_quietly)
    out.note(f"   {number(done.records)} records in {span(done.seconds)}: {number(done.valid)} valid, {number(done.quarantined)} quarantined.\n")


def _quietly(_: int) -> None:
    """The steps are short: no bar."""
