"""tradecap simulate: a local exchange."""

import asyncio
import ipaddress
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from tradecap import sample
from tradecap.cli.logs import own_log
from tradecap.cli.options import COUNT, DURATION, FILE_NAME, PORT, POSITIVE, SPEED, SYMBOL, TIME, Command, spoken, typed
from tradecap.cli.output import Output, counted, span, stacked, table
from tradecap.cli.signals import interruptible
from tradecap.errors import Exit, TradecapError
from tradecap.flows.stop import Stop
from tradecap.recordings.reading import Source as Opened
from tradecap.recordings.reading import expand
from tradecap.simulate import Exchange, ExchangeSettings, Fault, Generated, Recording, Rules
from tradecap.simulate.faults import read_faults, short_fault
from tradecap.simulate.limits import NO_LIMITS
from tradecap.simulate.recordings import Opener, opener
from tradecap.simulate.settings import FaultReport
from tradecap.simulate.tls import throw_away

if TYPE_CHECKING:
    from rich.console import RenderableType

DEFAULT_PORT: Final = 9443
LOOK_S: Final = 0.05


def _factor(text: str) -> float:
    try:
        factor = float(text)
    except ValueError:
        factor = 0.0
    if not 0.001 <= factor <= 1_000_000:
        raise ValueError(f"{text!r} is not a factor; write a number like 60.")
    return factor


def _series(text: str) -> tuple[str, str]:
    venue, colon, symbol = text.partition(":")
    if venue.lower() not in ("binance", "binance-us") or (colon and not symbol):
        raise ValueError(f"{text!r} is not a spot series; write VENUE:SYMBOL, like binance:BTCUSDT.")
    return venue.lower(), symbol.upper()


FACTOR: Final = typed("factor", _factor)
SERIES: Final = typed("series", _series)


class _Simulate(Command):
    """Allows --wait without a value; click would take the next word for it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, list(with_wait(args)))


def with_wait(args: list[str]) -> Iterator[str]:
    """The arguments with a value for each `--wait`: the next word if it is a whole number, else 1."""
    words = iter(args)
    for word in words:
        if word == "--":
            yield word
            yield from words
        elif word != "--wait":
            yield word
        else:
            following = next(words, None)
            if following is not None and re.fullmatch(r"\d+", following, re.ASCII):
                yield f"--wait={following}"
            else:
                yield "--wait=1"
                yield from () if following is None else with_wait([following, *words])


@click.command("simulate", cls=_Simulate)
@click.argument("paths", nargs=-1, metavar="[PATH...]")
@click.option(
    "--port",
    type=PORT,
    default=str(DEFAULT_PORT),
    metavar="N",
    help=f"Port to listen on; 0 takes any free one (default {DEFAULT_PORT}).",
)
@click.option(
    "--host",
    default="localhost",
    metavar="ADDRESS",
    help="Address to listen on (default localhost: 127.0.0.1 and ::1; '::' is all addresses).",
)
@click.option(
    "--tls", is_flag=True, help="Use wss and https, with a throw-away certificate; prints the path of the CA file."
)
@click.option(
    "--symbol",
    "symbols",
    type=SYMBOL,
    multiple=True,
    help="With PATH: serve only this symbol; without PATH: generate trades of it (may be repeated).",
)
@click.option(
    "--rate",
    type=FACTOR,
    default=None,
    metavar="N",
    help="Generator: trades per second of each symbol (default: about 9).",
)
@click.option(
    "--seed",
    type=COUNT,
    default=None,
    metavar="N",
    help="Generator and faults: the same seed gives the same trades and faults (default 1).",
)
@click.option(
    "--begin",
    "begin_ns",
    type=TIME,
    default=None,
    metavar="TIME",
    help="Generator: the time of the first trade (default: now).",
)
@click.option(
    "--speed",
    type=SPEED,
    default="1",
    metavar="max|N",
    help="1 = as recorded, max = as fast as clients read (default 1).",
)
@click.option("--loop", is_flag=True, help="After the end, start again from the beginning; ids and times keep rising.")
@click.option("--now", is_flag=True, help="Shift times so that the first trade is now.")
@click.option(
    "--wait",
    type=POSITIVE,
    default=None,
    metavar="[N]",
    help="Start only when N streams are subscribed, not at once (--wait without N: 1).",
)
@click.option(
    "--history",
    "history_s",
    type=DURATION,
    default=None,
    metavar="DURATION",
    help="Start with this much trading history behind it (for REST).",
)
@click.option(
    "--as",
    "series",
    type=SERIES,
    default=None,
    metavar="VENUE:SYMBOL",
    help="Venue and symbol of rows that don't name theirs.",
)
@click.option(
    "--faults", "faults_file", type=FILE_NAME, default=None, metavar="FILE", help="Inject the faults in this TOML file."
)
@click.option(
    "--fault",
    "short_faults",
    multiple=True,
    metavar="TEXT",
    help='Inject one fault, like "close at=10s code=1001" or "drop trades=1000 count=5" (may be repeated).',
)
@click.option(
    "--time-scale",
    type=FACTOR,
    default="1",
    metavar="N",
    help="The venue's clocks (ping, pong, 24 h, weights, bans) run N times as fast.",
)
@click.option("--no-limits", is_flag=True, help="Don't limit request weight, connections and incoming messages.")
@click.option(
    "--keep",
    type=POSITIVE,
    default="500000",
    metavar="N",
    help="REST remembers the newest N trades of each series (default 500000).",
)
@click.option("--duration", "duration_s", type=DURATION, default=None, metavar="DURATION", help="End after this time.")
@spoken
def simulate(paths: tuple[str, ...], out: Output, **options: Any) -> Exit:
    """Run a local exchange, fed by recordings or a generator.

    PATH is anything that replay reads: a file, a tradecap log, `-` (stdin), or `sample:` (the recording that comes
    with the package). Several recordings are merged by trade time. Without PATH, trades are generated. docs/simulate.md
    shows how to point clients at this exchange, and lists the faults.

    \b
    Examples:
      tradecap simulate --symbol BTCUSDT --rate 500 --seed 7
      tradecap simulate sample: --now --loop
      tradecap simulate capture.gz --wait --fault "close at=10s code=1001" --fault "drop trades=1000 count=5"
    """
    faults, seed = _faults(options["faults_file"], options["short_faults"], options["seed"])
    source = _source(paths, options, seed)
    with ExitStack() as stack:
        tls, ca = None, None
        if options["tls"]:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tradecap-tls-"))
            tls, ca = throw_away(options["host"], Path(folder))
        settings = ExchangeSettings(
            host=options["host"],
            port=options["port"],
            tls=tls,
            ca=str(ca) if ca else None,
            speed=options["speed"],
            loop=options["loop"] and bool(paths),
            now=options["now"],
            history_s=options["history_s"] or 0.0,
            start="subscriber" if options["wait"] else "now",
            streams=options["wait"] or 1,
            rules=NO_LIMITS if options["no_limits"] else Rules(),
            time_scale=options["time_scale"],
            keep=options["keep"],
            faults=faults,
            seed=seed,
        )
        _warn_of(options["host"], out)
        stop = stack.enter_context(interruptible(out))
        asyncio.run(_serve(source, settings, stop, options["duration_s"], out))
    return Exit.OK


def _faults(file: str | None, short: tuple[str, ...], seed: int | None) -> tuple[list[Fault], int]:
    faults: list[Fault] = []
    its_seed = None
    if file is not None:
        try:
            text = Path(file).read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise TradecapError(f"{file} is not a text file: {error}.", "docs/simulate.md has an example.") from error
        faults, its_seed = read_faults(text, file)
    chosen = seed if seed is not None else its_seed if its_seed is not None else 1
    return faults + [short_fault(each) for each in short], chosen


def _source(paths: tuple[str, ...], options: dict[str, Any], seed: int) -> Recording | Generated:
    if paths:
        for name, value in {"--rate": options["rate"], "--begin": options["begin_ns"]}.items():
            if value is not None:
                raise click.UsageError(f"{name} is for the generator; it can't be used with a recording.")
        if "-" in paths and options["loop"]:
            raise click.UsageError("--loop can't read stdin twice.")
        return Recording([_opener(path) for path in paths], options["symbols"], options["series"] or ("", ""))
    began_ns = (
        options["begin_ns"]
        if options["begin_ns"] is not None
        else time.time_ns() - int((options["history_s"] or 0) * 1e9)
    )
    return Generated(
        options["symbols"] or ("BTCUSDT", "ETHUSDT"), begin_ms=began_ns // 1_000_000, rate=options["rate"], seed=seed
    )


def _opener(path: str) -> Opener:
    if path == "sample:":
        return lambda: Opened("sample:", stream=sample.open_sample())
    if path == "-":
        return lambda: expand(["-"], sys.stdin.buffer, own_log)[0]
    return opener(path.removeprefix("file:"))


def _warn_of(host: str, out: Output) -> None:
    try:
        is_local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_local = False
    if not is_local:
        out.warn(
            f"warning: listening on {host}: other machines can reach this exchange, and it has no passwords.", host=host
        )


async def _serve(
    source: Recording | Generated, settings: ExchangeSettings, stop: Stop, duration_s: float | None, out: Output
) -> None:
    """Serve until `stop` or for `duration_s`. Faults are printed as they happen."""
    fired: Counter[str] = Counter()

    def report_fault(report: FaultReport) -> None:
        fired[str(report["fault"])] += 0 if report.get("ended") else 1
        out.lines([msgspec.json.encode(report).decode() if out.json else _fault_line(report)])

    began = time.monotonic()
    exchange = Exchange(source, settings, on_fault=report_fault)
    asyncio.get_running_loop().set_exception_handler(exchange.connections.handle_loop_error)
    async with exchange:
        out.lines(_addresses(exchange, out.json))
        out.note(f"serving {', '.join(exchange.symbols[:8])} from {exchange.origin} (Ctrl-C ends it)")
        has_ended = False
        while not stop() and (duration_s is None or time.monotonic() - began < duration_s):
            await asyncio.sleep(LOOK_S)
            exchange.check()
            if exchange.player.has_ended and not has_ended:
                has_ended = True
                out.note("the recording has ended; REST still answers")
                for problem in exchange.problems:
                    out.warn(f"warning: {problem.message}", hint=problem.hint)
    counts = exchange.summary() | {"faults": dict(fired), "seconds": round(time.monotonic() - began, 3)}
    out.show(counts, lambda: _result(counts))


def _addresses(exchange: Exchange, as_json: bool) -> list[str]:
    """Where it listens, and the CA file."""
    addresses = {"url": exchange.url, "rest_url": exchange.rest_url, "ca": exchange.ca}
    if as_json:
        return [msgspec.json.encode(addresses).decode()]
    return [f"{name:9}{value}" for name, value in addresses.items() if value]


def _fault_line(report: FaultReport) -> str:
    rest = {name: value for name, value in report.items() if name not in ("fault", "seconds", "trades")}
    return f"{report['seconds']:>12} s  {report['fault']:12} {msgspec.json.encode(rest).decode()}"


def _result(counts: dict[str, Any]) -> "RenderableType":
    names = ("trades", "messages", "connections", "requests", "cut")
    rows = [(name, counts[name]) for name in names]
    rows += [(f"fault: {kind}", n) for kind, n in sorted(counts["faults"].items())]
    pacing = counts["pacing"]
    paced = (
        [f"lateness p50 {pacing['p50_ms']:.2f} ms, p99 {pacing['p99_ms']:.2f} ms, max {pacing['max_ms']:.2f} ms"]
        if pacing
        else []
    )
    return stacked(
        table(("what", "count"), rows), f"{counted(counts['trades'], 'trade')} in {span(counts['seconds'])}", *paced
    )
