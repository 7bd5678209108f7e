"""Writes docs/cli.md from the commands themselves, so that the page can't say anything else than --help does.

`make docs` runs it; tests/cli/test_docs.py fails when the page is behind. It reads click's objects, not click's printed
help, whose form changes from release to release.
"""

from importlib.util import find_spec
from pathlib import Path

import click

from tradecap.cli import COMMANDS, cli, load_command
from tradecap.cli.options import Command, SharedOption

PAGE = Path(__file__).parent / "cli.md"

HEAD = """\
# The commands

<!-- Written by docs/make_cli.py from the commands: change those and run `make docs`. -->

Names, options, exit codes and JSON keys are stable: scripts may rely on them. For each command,
`tradecap COMMAND --help` prints the same as its section here.
"""

RULES = """\
## Rules of all commands

**Which log and store are used.** An option takes precedence over the environment, the environment over the profile, the
profile over the top level of `tradecap.toml`, and that over the default. The first line on stderr names the log and the
store; `tradecap config` shows where each setting comes from. Passwords are never shown.

**Output.** The result goes to stdout, everything else to stderr. With `--json` stdout holds one JSON object and nothing
else; in it, exact numbers are strings, and times are RFC 3339 in UTC with `Z`. Without `--json` the output is for
people; it is plain, without colours, if stdout isn't a terminal or `NO_COLOR` is set. If the program that reads stdout
stops reading (`| head`), the output ends, but the work goes on, and that isn't an error. If stdout can't be written (a
full disk), the command ends with exit code 4.

**On a terminal** lines are never broken inside a number or a word. If a table is too wide, long texts in it are wrapped
between words; if it is still too wide, columns are left out in a fixed order, and the line below the table names them:
`verify` leaves out `expected`, `ids` and `duplicates`; `candles` leaves out `vwap`, `trades`, `volume`, `complete`,
`low`, `high` and `open`; `query` leaves out its columns from the last one on. `--json` always has all columns. Control
characters in text from data, paths or other programs are written as escapes like `\\x1b`, in JSON as `\\u001b`. Hints
are never wrapped, so that you can paste them. Long-running commands show the share done, the rate and the time left.

**Paths** are taken literally, whatever characters they contain; nothing in the URL of a folder is decoded. `~` at the
beginning of a path, also in `file:~/log`, is your home folder (write `./~` for a folder of that name). The embedded
engine needs write access even to read: if you may not write to a store, copy it first
(`cp -a DB copy && chmod -R u+rwX copy`). Input files may begin with a byte-order mark.

**Values of options.** Times are UTC: `2024-08-09`, `2024-08-09T12:30:00Z`, or `-10m` for ten minutes ago; `--to` is
exclusive. Durations: `500ms`, `30s`, `10m`, `1h30m`. Sizes: `64MB` (10^6), `1GiB` (2^30), or bytes. Symbols may be in
upper or lower case.

**Ctrl-C, SIGTERM and SIGHUP.** After the first of these signals, a command finishes what it has taken in and ends with
the exit code of its result. The second one stops it at once; what was acknowledged is safe. Commands that don't loop
stop at the first one. A terminal that closes sends SIGHUP, which never counts as the second signal; under `nohup`
SIGHUP is ignored and the command goes on.

**Contradictions.** Options that contradict each other (`--csv --json`, `--dry-run --load`, `-q -v`) are refused with
exit code 2. So is an option given without the one that it needs (`--klines-offset` without `--klines`).

**Windows** isn't supported: use WSL2 or the container.

**Errors.** An error is one sentence that says what went wrong and where, then a line `hint: ...` that says what to do.
A traceback is printed only with `-vv`.

## Exit codes

| code | meaning |
|---|---|
| 0 | ok |
| 1 | a check failed |
| 2 | wrong usage or unreadable input; also an internal error, and the message then calls it one |
| 3 | something that the command needs can't be reached, or another process holds it |
| 4 | some records were not delivered, or the disk is full; the message says how many records are safe |
| 130 | stopped at once by Ctrl-C, SIGTERM or SIGHUP |

## Environment

| variable | what it sets |
|---|---|
| `TRADECAP_LOG` | `--log` |
| `TRADECAP_STORE` | `--store` |
| `TRADECAP_SYMBOLS` | the symbols that `stream` captures, separated by commas or spaces |
| `TRADECAP_PROFILE` | `--profile` |
| `TRADECAP_CONFIG` | `--config` |
| `TRADECAP_STORE_PASSWORD` | the password of a store on a server; a password in the URL takes precedence |
| `TRADECAP_STORE_PASSWORD_FILE` | the file that holds this password |
| `TRADECAP_KAFKA_…` | a property of the Kafka client: `…_SASL_PASSWORD` sets `sasl.password`; `…_FILE` names a file |
| `NO_COLOR` | output without colours |

Variables of similar projects aren't read: `REDPANDA_BROKERS`, `KAFKA_BOOTSTRAP_SERVERS`, `CLICKHOUSE_HOST`,
`CLICKHOUSE_PORT`, `CLICKHOUSE_DB`, `CLICKHOUSE_PASSWORD`, `LOG_LEVEL`, `HEALTH_PORT`, `METRICS_PORT`. If one of them
is set and tradecap's own setting isn't, commands that use the log or the store print one line on stderr that names the
setting to use instead (not with `-q`). The values of these variables are never printed.
"""


def page() -> str:
    """The whole page."""
    commands = {name: load_command(name) for name in COMMANDS if find_spec(f"tradecap.cli.{name.replace('-', '_')}")}
    contents = "\n".join(
        f"* [`tradecap {name}`](#tradecap-{name}): {command.summary}" for name, command in commands.items()
    )
    parts = [
        HEAD,
        f"{contents}\n",
        RULES,
        _shared_options(commands),
        *(_chapter(name, command) for name, command in commands.items()),
    ]
    return "\n".join(parts)


def _shared_options(commands: dict[str, Command]) -> str:
    """The options that all commands have, listed once, from the command that has all of them."""
    fullest = max(
        commands.values(), key=lambda command: sum(isinstance(param, SharedOption) for param in command.params)
    )
    return f"## Options of all commands\n\n{_options(fullest, shared=True)}"


def _chapter(name: str, command: Command) -> str:
    usage = " ".join(command.collect_usage_pieces(click.Context(command, info_name=name)))
    parts = [f"## tradecap {name}\n", f"{command.summary}\n", f"```\ntradecap {name} {usage}\n```\n"]
    # \b is click's mark for text that isn't wrapped
    parts += [command.story.replace("\b\n", "") + "\n"] if command.story else []
    options = _options(command, shared=False)
    parts += [options] if options else []
    parts += ["```sh\n" + "\n".join(command.examples) + "\n```\n"] if command.examples else []
    return "\n".join(parts)


def _options(command: Command, *, shared: bool) -> str:
    ctx = click.Context(command, info_name=command.name, parent=click.Context(cli, info_name="tradecap"))
    params = [
        param
        for param in command.params
        if isinstance(param, click.Option) and isinstance(param, SharedOption) == shared
    ]
    records = [record for param in params if (record := param.get_help_record(ctx))]
    if not records:
        return ""
    rows = "\n".join(f"| `{_cell(names)}` | {_cell(text)} |" for names, text in records)
    return f"| option | what it does |\n|---|---|\n{rows}\n"


def _cell(text: str) -> str:
    return text.replace("|", r"\|").replace("\n", " ")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE.name}")
