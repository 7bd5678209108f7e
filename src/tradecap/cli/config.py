"""tradecap config: what is in force, and a first tradecap.toml."""

import os
from pathlib import Path
from typing import Final

import click

from tradecap.cli.kafka_settings import Property
from tradecap.cli.options import command, places, spoken
from tradecap.cli.output import Output, table
from tradecap.cli.secrets import TOKEN, secret_of
from tradecap.cli.settings import CONFIG_NAME, DEFAULTS, Value, resolve
from tradecap.errors import TradecapError

EXAMPLE: Final = f"""\
# tradecap: where the records and the trades are kept.
# Order: option (--log), environment (TRADECAP_LOG), profile, this top level, default.
# 'tradecap config' shows what holds and why.
# Relative paths are relative to the folder you are in.

# The log: where records are kept in order.
# log = "{DEFAULTS["log"]}"

# The store: where trades can be queried.
# store = "{DEFAULTS["store"]}"

# The profile that holds when neither --profile nor TRADECAP_PROFILE names one.
# default_profile = "server"

# The venue of messages in a topic that no tradecap wrote, where their shape doesn't tell. Set it before the first load.
# as = "binance-us"

# What `tradecap stream` captures when no symbol is named.
# symbols = ["BTCUSDT", "ETHUSDT", "SOLUSDT"]

# A profile sets any of these: tradecap load --profile server
# [profile.server]
# log = "file:/var/lib/tradecap/log"
# store = "clickhouse://default@localhost:8123/market"

# The topics that `tradecap process` writes, where they have other names than by default (docs/processing.md).
# [profile.server.topics]
# enriched = "trades.enriched"
# candles = "candles.1m"
# quarantine = "trades.quarantine"
# state = "process.state"

# The stack of compose/compose.yaml, as this machine sees it: tradecap verify --profile compose
# The store's password comes from TRADECAP_STORE_PASSWORD, or from the file that TRADECAP_STORE_PASSWORD_FILE names.
[profile.compose]
log = "kafka://localhost:19092/trades.raw"
store = "clickhouse://default@localhost:8123/market"
"""


@command
@places
@spoken
@click.option("--init", is_flag=True, help=f"First write a commented {CONFIG_NAME} (or the file that --config names).")
@click.option("--force", is_flag=True, help="With --init: overwrite an existing file.")
def config(out: Output, init: bool, force: bool, **options: str | None) -> None:
    """Show which settings are in use and where each comes from.

    Passwords are masked. The first of these that sets a value counts: option, environment (TRADECAP_LOG,
    TRADECAP_STORE, TRADECAP_SYMBOLS, TRADECAP_PROFILE, TRADECAP_CONFIG), profile, top level of tradecap.toml, default.

    \b
    Examples:
      tradecap config
      tradecap config --json
      tradecap config --init
    """
    if force and not init:
        raise TradecapError(
            "--force only goes with --init.", "write 'tradecap config --init --force' to overwrite the file."
        )
    if init:
        out.note(f"wrote {write_example(Path(options['config'] or CONFIG_NAME), overwrite=force)}")
    settings = resolve(options, os.environ)
    out.announce(settings)
    values = [*settings.values(), *_token()]
    out.show(
        {"values": [_row(value) for value in values]},
        lambda: table(("name", "value", "from"), _cells(values), wrap=("from",), drop=("from",)),
    )


def write_example(path: Path, *, overwrite: bool) -> Path:
    """Write the commented example; a file that is there stays unless it may be overwritten."""
    try:
        with path.open("w" if overwrite else "x", encoding="utf-8") as file:
            file.write(EXAMPLE)
    except FileExistsError as error:
        raise TradecapError(f"{path} is there already.", "edit it, or overwrite it with --force.") from error
    return path


def _row(value: Value | Property) -> dict[str, str | None]:
    return {"name": value.name, "value": value.shown or None, "source": value.source}


def _cells(values: list[Value | Property]) -> list[tuple[str, str, str]]:
    return [(value.name, value.shown or "-", value.source) for value in values]


def _token() -> list[Property]:
    """What clients of `tradecap serve` must send, where it comes from a variable."""
    secret = secret_of(TOKEN, os.environ)
    return [Property("serve.token", secret.value, secret.source)] if secret else []
