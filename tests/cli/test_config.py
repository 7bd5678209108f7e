"""tradecap config."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tradecap.cli import cli
from tradecap.cli.config import EXAMPLE
from tradecap.cli.settings import CONFIG_NAME, DEFAULTS, resolve

IN_FORCE = f"log {DEFAULTS['log']} · store {DEFAULTS['store']}"


def config(*args: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(cli, ["config", *args], env=env)


def test_each_value_comes_with_its_source() -> None:
    """Someone who wonders why the wrong log is used needs to see where it was set."""
    result = config("--json", "--store", "chdb:mine", env={"TRADECAP_LOG": "file:theirs"})
    assert json.loads(result.stdout) == {
        "values": [
            {"name": "log", "value": "file:theirs", "source": "TRADECAP_LOG"},
            {"name": "store", "value": "chdb:mine", "source": "--store"},
            {"name": "profile", "value": None, "source": "default"},
            {"name": "config", "value": None, "source": "default"},
        ]
    }
    assert result.stdout.count("\n") == 1


def test_people_get_a_table() -> None:
    """The same must be readable without --json, whole and without escape signs in a pipe."""
    long = "file:" + "very/" * 60 + "long"
    lines = config("--log", long).stdout.splitlines()
    assert lines[0].split() == ["name", "value", "from"]
    assert lines[1].split() == ["log", long, "--log"]


@pytest.mark.parametrize("args", [(), ("--json",), ("--log-format", "json"), ("-vv",)])
def test_no_secret_is_shown_in_any_form(args: tuple[str, ...]) -> None:
    """The output of config is what people paste into issues."""
    result = config(
        *args, "--store", "clickhouse://me:s3cr3t@host/db", env={"TRADECAP_LOG": "kafka://me:s3cr3t@host/t"}
    )
    assert "s3cr3t" not in result.output
    assert "me:***@host" in result.stdout


def test_a_token_is_named_and_masked() -> None:
    """Whoever is asked for a token needs to see which variable set it, and nobody else its value."""
    result = config("--json", env={"TRADECAP_TOKEN": "s3cr3t-of-mine"})
    assert {"name": "serve.token", "value": "***", "source": "TRADECAP_TOKEN"} in json.loads(result.stdout)["values"]
    assert "s3cr3t-of-mine" not in result.output


def test_the_first_line_on_stderr_names_log_and_store() -> None:
    """Without it, a command in the wrong folder works on an empty log unnoticed."""
    assert config().stderr == f"{IN_FORCE}\n"
    line = json.loads(config("--log-format", "json").stderr)
    assert (line["message"], line["log"], line["store"]) == (IN_FORCE, DEFAULTS["log"], DEFAULTS["store"])
    assert config("-q").stderr == ""


def test_init_writes_an_example_that_changes_nothing() -> None:
    """An example with values of its own would put settings in force that nobody chose."""
    before = resolve({}, {})[:2]
    result = config("--init")
    assert result.exit_code == 0
    assert [value.value for value in resolve({}, {})[:2]] == [value.value for value in before]
    assert resolve({}, {}).config.value == f"./{CONFIG_NAME}"


def test_every_line_of_the_example_may_be_uncommented() -> None:
    """A first tradecap.toml that is refused when its comment signs are taken away teaches the wrong keys."""
    bare = re.sub(r"^# (?=\[|\w+ = )", "", EXAMPLE, flags=re.MULTILINE)
    assert set(tomllib.loads(bare)) == {"log", "store", "as", "symbols", "default_profile", "profile"}
    Path(CONFIG_NAME).write_text(bare)
    assert resolve({}, {}).profile.value == "server"


def test_init_overwrites_only_when_asked() -> None:
    """A second --init would throw a person's settings away."""
    Path(CONFIG_NAME).write_text('log = "file:mine"')
    result = config("--init")
    assert result.stderr.splitlines() == [
        f"{CONFIG_NAME} is there already.",
        "hint: edit it, or overwrite it with --force.",
    ]
    assert result.exit_code == 2
    assert Path(CONFIG_NAME).read_text() == 'log = "file:mine"'
    assert config("--init", "--force").exit_code == 0
    assert Path(CONFIG_NAME).read_text() == EXAMPLE


def test_init_writes_where_config_says() -> None:
    """--config names the file of this call, also the one that isn't there yet."""
    assert config("--init", "--config", "other.toml").exit_code == 0
    assert Path("other.toml").read_text() == EXAMPLE
    assert not Path(CONFIG_NAME).exists()


@pytest.mark.parametrize(
    ("args", "sentence"),
    [(("--force",), "--force only goes with"), (("--init", "--config", "no/folder.toml"), "no/folder.toml: No such")],
)
def test_what_cannot_be_done_is_one_sentence(args: tuple[str, ...], sentence: str) -> None:
    """A folder that isn't there would end in a traceback."""
    result = config(*args)
    assert result.stderr.startswith(sentence)
    assert result.exit_code == 2
