"""What to capture, and where log and store are, without a word on the command line; and variables of other programs."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Program
from tradecap.cli.settings import FOREIGN, resolve, unread

NOWHERE = ("--ws-url", "ws://127.0.0.1:9", "--rest-url", "http://127.0.0.1:9")
NOTHING: dict[str, str | None] = {"log": None, "store": None, "profile": None, "config": None}


def test_symbols_come_from_the_argument_else_the_environment_else_the_profile_else_the_file(lonely: Path) -> None:
    """One more symbol must be no change of code, and the nearest place must win."""
    (lonely / "tradecap.toml").write_text('symbols = ["SOLUSDT"]\n[profile.two]\nsymbols = ["BTCUSDT", "ethusdt"]\n')
    assert resolve(NOTHING, {}).symbols.value == "SOLUSDT"
    assert resolve({**NOTHING, "profile": "two"}, {}).symbols.value == "BTCUSDT,ethusdt"
    assert resolve({**NOTHING, "profile": "two"}, {"TRADECAP_SYMBOLS": "PEPEUSDT"}).symbols.value == "PEPEUSDT"


def test_stream_captures_the_symbols_that_were_configured(tradecap: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets as far as asking the venue, which isn't there."""
    monkeypatch.setenv("TRADECAP_SYMBOLS", "btcusdt, ETHUSDT")
    done = tradecap("stream", *NOWHERE, "--duration", "1s")
    assert done.returncode == 3
    assert "127.0.0.1:9" in done.stderr


@pytest.mark.parametrize(
    ("symbols", "answer"),
    [
        ("", "No symbol to capture"),
        ("BTC/USDT", "TRADECAP_SYMBOLS"),
        (",,", "No symbol to capture"),
        ("A,B C/D", "TRADECAP_SYMBOLS"),
    ],
)
def test_symbols_that_cant_be_captured_are_reported_with_their_place(
    tradecap: Program, monkeypatch: pytest.MonkeyPatch, symbols: str, answer: str
) -> None:
    """A slip in a variable is found in that variable."""
    monkeypatch.setenv("TRADECAP_SYMBOLS", symbols)
    done = tradecap("stream", *NOWHERE)
    assert done.returncode == 2
    assert answer in done.stderr
    assert "hint" in done.stderr


@pytest.mark.parametrize("symbols", ['"BTCUSDT"', "[]", "[1]", '[""]', '["BTC USDT"]', '["BTCUSDT,ETHUSDT"]'])
def test_symbols_in_the_file_are_a_list_of_texts(tradecap: Program, lonely: Path, symbols: str) -> None:
    """A wrong type must be named, not captured; a name with a separator would become two symbols."""
    (lonely / "tradecap.toml").write_text(f"symbols = {symbols}\n")
    done = tradecap("config")
    assert done.returncode == 2
    assert "'symbols' must be a list of texts" in done.stderr


def test_the_profile_compose_is_there_after_config_init(tradecap: Program) -> None:
    """`tradecap verify --profile compose` must work from the host."""
    assert tradecap("config", "--init").returncode == 0
    values = {
        row["name"]: row["value"]
        for row in json.loads(tradecap("config", "--profile", "compose", "--json").stdout)["values"]
    }
    assert (values["log"], values["store"]) == (
        "kafka://localhost:19092/trades.raw",
        "clickhouse://default@localhost:8123/market",
    )


@pytest.mark.parametrize("name", FOREIGN)
def test_a_variable_of_another_program_is_answered_and_never_shown(name: str) -> None:
    """Someone who comes with REDPANDA_BROKERS must learn that nobody reads it, before he wonders where his records
    are."""
    settings = resolve(NOTHING, {})
    answer = unread(settings, {name: "s3cret"})
    assert name in answer
    assert FOREIGN[name][1] in answer
    assert "s3cret" not in answer
    assert unread(settings, {}) == ""


def test_a_variable_of_another_program_is_no_news_where_ours_is_set(
    tradecap: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a container both may be there for two programs."""
    monkeypatch.setenv("REDPANDA_BROKERS", "redpanda:9092")
    monkeypatch.setenv("CLICKHOUSE_PASSWORD", "s3cret")
    heard = tradecap("init-db").stderr
    assert "doesn't read REDPANDA_BROKERS: write TRADECAP_LOG" in heard
    assert "s3cret" not in heard
    assert "REDPANDA" not in tradecap("init-db", "-q").stderr
    monkeypatch.setenv("TRADECAP_LOG", "file:./elsewhere")
    monkeypatch.setenv("TRADECAP_STORE_PASSWORD", "x")
    assert "doesn't read" not in tradecap("init-db").stderr


def test_an_option_that_is_given_is_not_asked_for(tradecap: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that asks for an option that is there already, or that the command doesn't have, sends people the wrong
    way."""
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    monkeypatch.setenv("METRICS_PORT", "8080")
    assert "LOG_LEVEL: write -v or -q; METRICS_PORT: write --metrics-port" in tradecap("load").stderr
    assert "doesn't read" not in tradecap("load", "-v", "--metrics-port", "0").stderr
    assert "METRICS_PORT" not in tradecap("attest").stderr


@pytest.mark.parametrize(
    ("environ", "is_answered"),
    [
        ({}, True),
        ({"TRADECAP_STORE": "clickhouse://default@h/d"}, True),
        ({"TRADECAP_STORE": "clickhouse://default:pw@h/d"}, False),
        ({"TRADECAP_STORE": "chdb:./db"}, False),
        ({"TRADECAP_STORE_PASSWORD_FILE": "/run/secrets/pw"}, False),
    ],
)
def test_a_password_is_asked_for_only_where_one_is_missing(environ: dict[str, str], is_answered: bool) -> None:
    """With the password in a file, or a store that takes none, every command would ask for a variable to be set."""
    # there is no such file here
    settings = resolve(NOTHING, {name: value for name, value in environ.items() if not name.endswith("_FILE")})
    assert bool(unread(settings, environ | {"CLICKHOUSE_PASSWORD": "s3cret"})) == is_answered


def test_a_symbol_on_the_command_line_wins(tradecap: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable of the session that beat the argument would capture something else."""
    monkeypatch.setenv("TRADECAP_SYMBOLS", "not/valid")
    done = tradecap("stream", "btcusdt", *NOWHERE, "--duration", "1s")
    assert done.returncode == 3
    assert "not/valid" not in done.stderr.lower()
