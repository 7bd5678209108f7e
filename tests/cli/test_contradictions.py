"""Options that can't be meant together."""

import pytest
from click.testing import CliRunner

from tradecap.cli import COMMANDS, cli, load_command
from tradecap.cli.contradictions import BELONG_TO, CONTRADICTIONS, EVERYWHERE

pytestmark = pytest.mark.core


@pytest.mark.parametrize(
    "line",
    [
        "candles BTCUSDT --csv --plot",
        "candles BTCUSDT --csv --json",
        "candles BTCUSDT --plot --json",
        "query runs --csv --json",
        "replay sample: --dry-run --load",
        "init-db --print --drop --yes",
        "init-db --yes",
        "stream BTCUSDT --no-repair --repair-max 5",
        "verify --klines-offset +01:00",
        "verify --as binance:BTCUSDT",
        "verify --junit x --certificate x",
        "topics --partitions 4 --log kafka://127.0.0.1:1/t",
        "load -q -v",
        "config --force",
    ],
)
def test_contradictions_are_refused_before_anything_is_done(line: str) -> None:
    """One of two would win, and the other be ignored in silence."""
    result = CliRunner().invoke(cli, [*line.split(), "--log-format", "text"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert len([each for each in result.stderr.splitlines() if each.startswith("hint: ")]) == 1
    assert "Traceback" not in result.stderr


def test_the_options_named_are_options_there_are() -> None:
    """After a renaming nothing would be refused any more."""
    for name, pairs in [
        *CONTRADICTIONS.items(),
        *BELONG_TO.items(),
        *((name, EVERYWHERE) for name in COMMANDS if name != "completion"),
    ]:
        options = {opt for param in load_command(name).params for opt in param.opts}
        assert {opt for pair in pairs for opt in pair} <= options, name
