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

Names, options, exit codes and JSON keys are stable: scripts may rely on them. `tradecap COMMAND --help` says the same
as this page.
"""

RULES = """\
## Rules of all commands

**Log and store in force.** An option wins over the environment, that over the profile, that over the top level of
`tradecap.toml`, that over the default. The first line on stderr names both; `tradecap config` says where each comes
from. Passwords are never shown.

**Output.** The result goes to stdout, everything else to stderr. With `--json` stdout holds one JSON object and nothing
else; exact numbers are strings in it, times are RFC 3339 in UTC with `Z`. Without it the output is for people: plain
when it isn't a terminal or `NO_COLOR` is set. A reader that stops reading (`| head`) ends the output, not the work, and
isn't an error. Standard output that takes no more (a full disk) ends with 4.

**On a terminal** nothing is broken inside a number or a word. Where a table is too wide, long texts in it are broken
between words, then columns are left out in a fixed order, and the line below the table names them: `verify` leaves out
`expected`, `ids` and `duplicates`; `candles` leaves out `vwap`, `trades`, `volume`, `complete`, `low`, `high` and
`open`; `query` its columns from the last one on. `--json` always has all of them. Control characters in text from data,
paths or other programs are written as escapes like `\\x1b`, in JSON as `\\u001b`. Hints are not broken, to be pasted.
Long work shows the share done, the rate and the time left.

**Paths** mean themselves, whatever signs are in them; nothing in a URL of a folder is decoded. `~` at the beginning of
one, also in `file:~/log`, is the home (write `./~` for a folder of that name). The embedded engine must write, also to
read: a store without the right to write is copied first (`cp -a DB copy && chmod -R u+rwX copy`). Files may begin with
a byte-order mark.

**What is typed.** Times are UTC: `2024-08-09`, `2024-08-09T12:30:00Z`, or `-10m` for ten minutes ago; `--to` is
exclusive. Durations: `500ms`, `30s`, `10m`, `1h30m`. Sizes: `64MB` (10^6), `1GiB` (2^30), or bytes. Symbols in any
case.

**Ctrl-C, SIGTERM and SIGHUP.** The first lets a command finish what it took in, and end by its result. The second stops
at once; what was acknowledged is safe. Commands that don't loop stop at the first. A terminal that closes sends SIGHUP,
which is never the second; under `nohup` it is ignored and the command goes on.

**Contradictions.** Options that can't be meant together (`--csv --json`, `--dry-run --load`, `-q -v`), or that mean
something with another one alone, are refused with exit code 2.

**Windows** isn't supported: use WSL2 or the container.

**Errors.** One sentence that says what and where, then a line `hint: ...` that says what to do. A traceback only with
`-vv`.

## Exit codes

| code | meaning |
|---|---|
| 0 | ok |
| 1 | a check failed |
| 2 | wrong usage or unreadable input (an internal error as well, which is named as one) |
| 3 | a part can't be reached, or another process holds it |
| 4 | records stayed undelivered, or the disk is full: they are safe on disk, the message says where |
| 130 | stopped at once by Ctrl-C, SIGTERM or SIGHUP |

## Environment

| variable | stands for |
|---|---|
| `TRADECAP_LOG` | `--log` |
| `TRADECAP_STORE` | `--store` |
| `TRADECAP_SYMBOLS` | the symbols of `stream`, separated by commas or blanks |
| `TRADECAP_PROFILE` | `--profile` |
| `TRADECAP_CONFIG` | `--config` |
| `TRADECAP_STORE_PASSWORD` | the password of a store on a server; one in its URL wins |
| `TRADECAP_STORE_PASSWORD_FILE` | the file that holds it |
| `TRADECAP_KAFKA_…` | a property of the Kafka client: `…_SASL_PASSWORD` is `sasl.password`; with `_FILE` its file |
| `NO_COLOR` | no colours |

Variables of similar projects aren't read: `REDPANDA_BROKERS`, `KAFKA_BOOTSTRAP_SERVERS`, `CLICKHOUSE_HOST`,
`CLICKHOUSE_PORT`, `CLICKHOUSE_DB`, `CLICKHOUSE_PASSWORD`, `LOG_LEVEL`, `HEALTH_PORT`, `METRICS_PORT`. If one is set and
tradecap's own setting isn't, commands that use the log or the store name what to use instead, in one line on stderr
(not with `-q`). Values are never printed.
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
