"""The commands: the only place that knows click and rich.

Rules: one file a command, with a function of its name, imported when it is called and not before, so that --help,
config and completion start fast and never load a database. A command returns its exit code or raises; what is raised
becomes one sentence and a hint here, once for all, and never a traceback without -vv. Names, options, exit codes and
JSON keys are a contract (docs/cli.md).
"""

import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, Final, NoReturn

import click
from click.shell_completion import CompletionItem, shell_complete

from tradecap import __version__
from tradecap.cli.explain import explain
from tradecap.cli.options import HELP_NAMES, Command, quiet_help
from tradecap.cli.output import Output
from tradecap.cli.signals import die_softly, end_in_peace
from tradecap.errors import TradecapError
from tradecap.urls import learn_all, mask

COMMANDS: Final = {
    "stream": "Capture live trades from the venue into the log.",
    "replay": "Write recordings into the log as a new run.",
    "inject-bad": "Add synthetic bad records to the log, made from its own trades.",
    "init-db": "Create or upgrade the store's schema; safe to run again.",
    "load": "Load the log into the store and build the candles.",
    "process": "Write enriched trades and candles to topics, exactly once.",
    "verify": "Reconcile log and store, record by record.",
    "candles": "Show the candles of one symbol.",
    "query": "Run a read-only query on the store, by name or in SQL.",
    "serve": "Serve candles, trades and statistics over REST and gRPC.",
    "demo": "Run the whole pipeline once on this machine, up to the proof.",
    "simulate": "Run a local exchange, fed by recordings or a generator.",
    "ship": "Copy a log into another one, record by record, unchanged.",
    "attest": "Declare runs finished when their writers are known to be dead.",
    "topics": "Show the topics in use, and which settings should be changed.",
    "config": "Show which settings are in use and where each comes from.",
    "completion": "Print the completion script for a shell.",
}
"""The commands in the order of the pipeline, with the first line of their help (a test holds the two together)."""
COMPLETE_VARIABLE: Final = "_TRADECAP_COMPLETE"
"""Set by a shell's completion script, which click wrote."""


class LazyGroup(click.Group):
    """The group of all commands, loaded one by one."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in COMMANDS:
            return load_command(cmd_name)
        similar = get_close_matches(cmd_name.lower().replace("_", "-"), COMMANDS, n=1)
        if similar and not ctx.resilient_parsing and not cmd_name.startswith("-"):
            raise TradecapError(
                f"No such command {cmd_name!r}.", f"did you mean 'tradecap {similar[0]}'? 'tradecap --help' lists all."
            )
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 -- click's signature
        """From the table above: help must not import every command."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))
        with formatter.section("Examples"):
            formatter.write("  tradecap demo\n  tradecap load --help\n")

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write(f"{self.help}\n\n")
        self.format_usage(ctx, formatter)
        self.format_options(ctx, formatter)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        names = [CompletionItem(name, help=line) for name, line in COMMANDS.items() if name.startswith(incomplete)]
        return names + click.Command.shell_complete(self, ctx, incomplete)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        with quiet_help(ctx):
            return super().parse_args(ctx, args or ["--help"])

    def main(self, args: Sequence[str] | None = None, *_: Any, **__: Any) -> NoReturn:
        """Run and exit: messages and exit code are ours, not click's."""
        sys.exit(run(sys.argv[1:] if args is None else args))


def load_command(name: str) -> Command:
    """The command of that name, imported now."""
    module = name.replace("-", "_")
    command = getattr(importlib.import_module(f"tradecap.cli.{module}"), module)
    assert isinstance(command, Command)
    return command


@click.group(
    cls=LazyGroup,
    help="Replayable market capture: every trade exactly once, and the proof.",
    context_settings={"max_content_width": 110, "help_option_names": [*HELP_NAMES]},
)
@click.version_option(__version__, prog_name="tradecap")
def cli() -> None:
    """Root of the command line."""


def main() -> NoReturn:
    """The entry point of the program."""
    if problem := unsupported(sys.platform):
        sys.exit(_complain(problem, Output()))
    die_softly()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without these signs gets a '?', not a traceback
    try:
        cli.main()
    finally:
        end_in_peace()


def unsupported(platform: str) -> TradecapError | None:
    """Why this system won't do; None where it does."""
    if platform != "win32":
        return None
    return TradecapError(
        "tradecap doesn't run on Windows itself.", "run it in WSL2, or in its container (docs/operations.md)."
    )


def run(args: Sequence[str]) -> int:
    """Run one command line; the exit code."""
    if instruction := os.environ.get(COMPLETE_VARIABLE):
        return shell_complete(cli, {}, "tradecap", COMPLETE_VARIABLE, instruction)
    learn_all(os.environ, args)
    out = Output()
    try:
        with cli.make_context("tradecap", list(args), obj=out) as ctx:
            code = int(cli.invoke(ctx) or 0)
    except click.exceptions.Exit as ending:
        return ending.exit_code
    except BaseException as error:  # noqa: BLE001 -- the one place where everything ends; commands don't raise SystemExit
        return _complain(error, out)
    return code


def _complain(error: BaseException, out: Output) -> int:
    """Print it on stderr, with the traceback only if it was asked for (-v)."""
    ending = explain(error)
    trace = "".join(traceback.format_exception(error)) if out.verbosity > 1 else ""
    if out.json_messages:
        out.say(
            "error", ending.message, hint=ending.hint, exit_code=ending.code, **({"traceback": trace} if trace else {})
        )
    else:
        if trace:
            click.echo(mask(trace), err=True)
        out.say("error", ending.message)
        out.say("hint", f"hint: {ending.hint}")
    return ending.code
