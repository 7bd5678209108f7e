"""The options of `stream` that say what to capture."""

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

import click

from tradecap.cli.options import DURATION, POSITIVE, SIZE, SYMBOL, Body, parse_symbol
from tradecap.cli.settings import Settings
from tradecap.errors import Exit, TradecapError
from tradecap.flows.capture.plan import Plan
from tradecap.market.records import CHANNELS
from tradecap.venues.api import SITES
from tradecap.venues.sites import Site


@dataclass(frozen=True, kw_only=True)
class StreamOptions:
    """What was typed, or the defaults."""

    symbols: tuple[str, ...]
    venue: str
    channel: str
    connections: int
    duration_s: float | None
    max_trades: int | None
    also_load: bool
    ws_url: str
    rest_url: str
    no_repair: bool
    no_resume: bool
    repair_max: int
    stale_s: float
    min_free: int

    def site(self) -> Site:
        """Where to capture. Raises TradecapError for a URL that can't be used."""
        return SITES[self.venue].at(self.ws_url, self.rest_url)

    def names(self, settings: Settings) -> tuple[str, ...]:
        """Each symbol once: those that were typed, else those that are configured. Raises TradecapError if there are
        none."""
        return tuple(dict.fromkeys(self.symbols or _configured(settings)))

    def plan(self, site: Site, names: tuple[str, ...], detail: Mapping[str, Any]) -> Plan:
        """What the capture is asked to do. detail: further members of the run's `started` record."""
        return Plan(
            venue=site.venue,
            channel=self.channel,
            symbols=names,
            duration_s=self.duration_s,
            max_trades=self.max_trades,
            is_resumed=not self.no_resume,
            is_repaired=not self.no_repair,
            repair_max=self.repair_max,
            stale_s=self.stale_s,
            min_free=self.min_free,
            detail={"site": site.name, "url": site.ws_url, "connections": self.connections, **detail},
        )


OPTIONS: Final = (
    click.argument("symbols", nargs=-1, type=SYMBOL, metavar="[SYMBOL...]"),
    click.option(
        "--venue",
        type=click.Choice([*SITES]),
        default="binance",
        help="Where to capture (default binance; binance-data: Binance spot through its public data-only hosts).",
    ),
    click.option(
        "--channel",
        type=click.Choice(CHANNELS),
        default="trade",
        help="Single trades or aggregates (default trade).",
    ),
    click.option(
        "--connections",
        type=click.IntRange(1, 4),
        default=1,
        help="Parallel connections; each trade is written once (default 1).",
    ),
    click.option("--duration", "duration_s", type=DURATION, metavar="DURATION", help="Stop after this time."),
    click.option("--max-trades", type=POSITIVE, metavar="N", help="Stop after N trades."),
    click.option("--load", "also_load", is_flag=True, help="Also load the store and build candles, in this process."),
    click.option(
        "--ws-url", default="", metavar="URL", help="Use this base URL for the streams, like ws://localhost:8080."
    ),
    click.option(
        "--rest-url", default="", metavar="URL", help="Use this base URL for REST (default: the host of --ws-url)."
    ),
    click.option("--no-repair", is_flag=True, help="Don't fetch missed trades by REST."),
    click.option("--no-resume", is_flag=True, help="Don't fill the gap between the last capture and this one."),
    click.option(
        "--repair-max",
        type=POSITIVE,
        default="100000",
        metavar="N",
        help="Don't repair gaps of more than N trades (default 100000).",
    ),
    click.option(
        "--stale",
        "stale_s",
        type=DURATION,
        default="60s",
        metavar="DURATION",
        help="Ask REST about a series that has been silent for this long (default 60s).",
    ),
    click.option(
        "--min-free",
        type=SIZE,
        default="1GB",
        metavar="SIZE",
        help="End when less than this is free on the disk (default 1GB).",
    ),
    click.option(
        "--metrics-port",
        type=click.IntRange(0, 65535),
        metavar="PORT",
        help="Serve /metrics, /health and /ready on this port (0: any free port).",
    ),
)


def stream_options(body: Body) -> Body:
    """The options of `StreamOptions`, and --metrics-port. The body gets `wanted` and `metrics_port`."""
    names = [field.name for field in fields(StreamOptions)]

    @functools.wraps(body)
    def streaming(**given: Any) -> Exit | None:
        wanted = StreamOptions(**{name: given.pop(name) for name in names})
        return body(wanted=wanted, **given)

    for option in reversed(OPTIONS):
        streaming = option(streaming)
    return streaming


def _configured(settings: Settings) -> list[str]:
    """The symbols of variable, profile or file. Raises TradecapError if there are none."""
    named = [each for each in re.split(r"[,\s]+", settings.symbols.value) if each]
    if not named:
        message = (
            "name some: tradecap stream BTCUSDT; or set TRADECAP_SYMBOLS=BTCUSDT,ETHUSDT, or symbols = "
            '["BTCUSDT"] in tradecap.toml.'
        )
        raise TradecapError("No symbol to capture.", message)
    try:
        return [parse_symbol(each) for each in named]
    except ValueError as error:
        raise TradecapError(
            f"{settings.symbols.source}: {error}", "write symbols like BTCUSDT, separated by commas."
        ) from error
