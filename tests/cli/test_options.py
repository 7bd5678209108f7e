"""What can be typed, and the form of the help."""

from contextlib import suppress
from typing import Any

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from tradecap.cli.options import (
    COUNT,
    DURATION,
    POSITIVE,
    SIZE,
    SPEED,
    SYMBOL,
    TIME,
    WAIT,
    command,
    parse_size,
    shared,
    spoken,
    time_range,
)
from tradecap.errors import TradecapError

NOW = 1_723_161_300_000_000_000


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("64MB", 64_000_000),
        ("1GiB", 2**30),
        ("4096", 4096),
        ("1.5kb", 1500),
        ("8 KiB", 8192),
        ("1b", 1),
        ("2TB", 2 * 10**12),
    ],
)
def test_sizes(text: str, size: int) -> None:
    """MB and MiB taken for each other makes segments that differ from what the documents promise."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MB", "-1MB", "1XB", "1MB2", "0", "0.1", "1e6", "1,5MB"])
def test_what_is_no_size(text: str) -> None:
    """A size of nothing would start a new segment for each record."""
    with pytest.raises(ValueError, match=r"not a size|less than a byte"):
        parse_size(text)


@pytest.mark.parametrize("convert", [DURATION, WAIT, SIZE, TIME, SYMBOL, COUNT, POSITIVE, SPEED])
@given(st.text())
def test_no_type_ever_raises_but_for_the_user(convert: Any, text: str) -> None:
    """What somebody types must never end in a traceback."""
    with suppress(click.BadParameter):
        convert(text)


@pytest.mark.parametrize(
    ("convert", "text", "value"),
    [
        (SYMBOL, "btcusdt", "BTCUSDT"),
        (SYMBOL, "BTCUSDT_240927", "BTCUSDT_240927"),
        (COUNT, "0", 0),
        (COUNT, "10_000", 10_000),
        (POSITIVE, "1", 1),
        (SPEED, "max", None),
        (SPEED, "0.5", 0.5),
        (WAIT, "0s", 0),
        (SIZE, 64, 64),
    ],
)
def test_what_is_understood(convert: Any, text: object, value: object) -> None:
    """The contract allows symbols in any case, counts of nothing, and `max`."""
    assert convert(text) == value


@pytest.mark.parametrize(
    ("convert", "text"),
    [
        (SYMBOL, ""),
        (SYMBOL, "BTC USDT"),
        (SYMBOL, "BTC/USDT"),
        (COUNT, "-1"),
        (COUNT, "1.0"),
        (COUNT, str(2**63)),
        (POSITIVE, "0"),
        (SPEED, "0"),
        (SPEED, "-1"),
        (SPEED, "nan"),
        (SPEED, "inf"),
        (DURATION, "0s"),
    ],
)
def test_what_is_refused(convert: Any, text: str) -> None:
    """A speed of 0 never ends, a negative count means nothing; taken as they are they would do harm."""
    with pytest.raises(click.BadParameter):
        convert(text)


@command
@shared
@time_range
@click.option("--count", type=COUNT, default="3", help="How many.")
def a_command(from_ns: int | None, to_ns: int | None, count: int, **_: object) -> None:
    """Do nothing at all.

    But say what was typed.

    \b
    Examples:
      tradecap a-command --from 2024-08-09
      tradecap a-command --json
    """
    click.echo(f"{from_ns} {to_ns} {count}")


def typed(*args: str) -> tuple[str, Exception | None]:
    result = CliRunner().invoke(a_command, ["-q", *args], standalone_mode=False)
    return result.stdout.strip(), result.exception if isinstance(result.exception, Exception) else None


def test_a_relative_time_is_not_taken_for_an_option() -> None:
    """`--from -10m` is in the contract; a parser that sees an option -1 there would refuse it."""
    from_ns, _, count = typed("--from", "-10m")[0].split()
    assert int(from_ns) > NOW
    assert count == "3"


@pytest.mark.parametrize("to", ["2024-08-09", "2024-08-08"])
def test_a_range_that_holds_nothing_is_refused(to: str) -> None:
    """--from after --to gives an empty result that looks like missing data."""
    _, error = typed("--from", "2024-08-09", "--to", to)
    assert isinstance(error, TradecapError)
    assert "is not before --to" in error.message


def test_help_starts_with_what_it_does_and_ends_with_examples() -> None:
    """Someone who reads only the first and the last lines of a help must know what to type."""
    lines = CliRunner().invoke(a_command, ["--help"]).stdout.splitlines()
    assert lines[0] == "Do nothing at all."
    assert lines[-3:] == ["Examples:", "  tradecap a-command --from 2024-08-09", "  tradecap a-command --json"]


def test_options_of_all_commands_are_listed_apart() -> None:
    """A command's own options would drown among those that every command has."""
    own, common = CliRunner().invoke(a_command, ["--help"]).stdout.split("Options of all commands:")
    assert "--count" in own
    assert "--log URL" in common
    assert "--log URL" not in own


def test_a_command_has_all_common_options() -> None:
    """docs/cli.md promises them for every command."""
    names = {name for param in a_command.params for name in param.opts}
    assert names >= {"--log", "--store", "--profile", "--config", "--json", "-v", "-q", "--log-format"}


def test_a_command_without_log_and_store_has_only_the_rest() -> None:
    """A demo that took the user's own log from the environment would spoil it."""

    @command
    @spoken
    def bare(**_: object) -> None:
        """Nothing."""

    assert {name for param in bare.params for name in param.opts} >= {"--json", "-q"}
    assert not {name for param in bare.params for name in param.opts} & {"--log", "--store"}
