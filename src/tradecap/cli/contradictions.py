"""Options that don't go together. What is typed and can't be meant is refused (exit 2); which of two would win is
nobody's guess.

Defaults, variables and profiles contradict nothing: only the command line counts.
"""

from typing import Final

import click
from click.core import ParameterSource

from tradecap.errors import TradecapError

EVERYWHERE: Final = [("--quiet", "--verbose")]
CONTRADICTIONS: Final = {
    "candles": [("--csv", "--plot"), ("--csv", "--json"), ("--plot", "--json")],
    "query": [("--csv", "--json")],
    "replay": [("--dry-run", "--load")],
    "init-db": [("--print", "--drop"), ("--print", "--yes")],
    "stream": [("--no-repair", "--repair-max")],
    "verify": [("--since", "--against")],
}
"""By command, pairs of which one contradicts the other."""
BELONG_TO: Final = {
    "verify": [("--klines-offset", "--klines"), ("--as", "--klines")],
    "topics": [("--partitions", "--create"), ("--replication", "--create")],
    "init-db": [("--yes", "--drop")],
}
"""By command, options that mean something with another one alone."""


def refuse_contradictions(ctx: click.Context) -> None:
    """Raises TradecapError (exit 2) for options that don't go together."""
    typed = {name for param in ctx.command.params if _is_typed(ctx, param) for name in param.opts}
    name = ctx.info_name or ""
    for one, other in [*EVERYWHERE, *CONTRADICTIONS.get(name, [])]:
        if one in typed and other in typed:
            raise TradecapError(
                f"{one} and {other} don't go together.", f"leave out one of them; see '{ctx.command_path} --help'."
            )
    for one, other in BELONG_TO.get(name, []):
        if one in typed and other not in typed:
            raise TradecapError(f"{one} means something with {other} alone.", f"add {other}, or leave out {one}.")


def _is_typed(ctx: click.Context, param: click.Parameter) -> bool:
    return bool(param.name) and ctx.get_parameter_source(param.name or "") is ParameterSource.COMMANDLINE
