"""Whole commands against a broker that authenticates its clients, by every method."""

import json
import os
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.cli.test_stream import started
from tests.exchange import running
from tests.kafka.secured import PLAIN_USERS, Secured
from tests.serve.serving import serving
from tradecap.cli import cli

pytestmark = pytest.mark.kafka
SCRAM_PASSWORD = "a'b\"c %41 d\\e ü€ $(x)"


def variables(properties: dict[str, str]) -> dict[str, str]:
    """Properties of the Kafka client as a container is given them."""
    return {f"TRADECAP_KAFKA_{name.upper().replace('.', '_')}": value for name, value in properties.items()}


def way_in(secured: Secured, way: str, topic: str) -> tuple[str, dict[str, str]]:
    """The URL of a topic and the environment for one of the ways to log in, with all the rights a pipeline needs."""
    if way == "mutual TLS":
        user, listener, properties = "client", "MUTUAL", secured.certificate()
    elif way == "PLAIN":
        user, listener, properties = "odd", "LOGIN", secured.login("odd", "PLAIN")
        Path("secret").write_text(f"{PLAIN_USERS['odd']}\n", encoding="utf-8")
    else:
        user, listener, properties = way.lower(), "LOGIN", secured.login(way.lower(), way)
        secured.add_user(user, SCRAM_PASSWORD)
        Path("secret").write_text(f"{SCRAM_PASSWORD}\r\n", encoding="utf-8")
    secured.allow(user, topic, "READ", "WRITE", "DESCRIBE_CONFIGS", group=True)
    own = {"TRADECAP_KAFKA_SASL_PASSWORD_FILE": "secret"} if listener == "LOGIN" else {}
    return secured.url(topic, listener), variables(properties) | own


@pytest.mark.parametrize("way", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "mutual TLS"])
def test_the_pipeline_runs_through_a_broker_that_asks_for_a_name(
    secured: Secured, topic_name: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody could use tradecap with a broker that isn't open to everyone."""
    url, environ = way_in(secured, way, secured.kafka.new_topic(topic_name, partitions=2))
    for name, value in (environ | {"TRADECAP_LOG": url}).items():
        monkeypatch.setenv(name, value)
    replayed = CliRunner().invoke(cli, ["replay", "sample:", "--limit", "200", "-vv"])
    with running() as exchange:
        capture = started(exchange, "-vv", "--max-trades", "20")
        exchange.play(20)
        out, err = capture.communicate(timeout=90)
        streamed = (capture.returncode, out, err)
    report = [
        replayed,
        *(CliRunner().invoke(cli, command.split()) for command in ("topics", "init-db", "load -vv", "verify --json")),
    ]
    assert [each.output for each in report if each.exit_code != 0] + [
        streamed for code in streamed[:1] if code != 0
    ] == []
    assert json.loads(report[-1].stdout)["counts"]["trades"] == 220
    everything = "".join([*streamed[1:], *(each.output for each in report)])
    assert PLAIN_USERS["odd"] not in everything
    assert SCRAM_PASSWORD not in everything


def test_settings_that_may_not_be_seen_are_not_called_right(
    secured: Secured, topic_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A topic that may lose records would pass for one without drift."""
    secured.allow("plain", secured.kafka.new_topic(topic_name), "READ")
    for name, value in variables(secured.login("plain", "PLAIN") | {"sasl.password": PLAIN_USERS["plain"]}).items():
        monkeypatch.setenv(name, value)
    report = CliRunner().invoke(cli, ["topics", "--log", secured.url(topic_name)])
    assert report.exit_code == 0
    assert "can't be seen: this client has no right to DESCRIBE_CONFIGS" in report.stderr


def documented_rights() -> dict[str, list[str]]:
    """By command, the rights to the topic that docs/kafka.md names."""
    text = (Path(__file__).parents[2] / "docs/kafka.md").read_text()
    table = text.partition("**Rights.**")[2].partition("\n\nWithout DESCRIBE_CONFIGS")[0]
    rows = [row.split("|")[1:3] for row in table.splitlines() if row.startswith("| `")]
    return {name: rights.strip().split(", ") for names, rights in rows for name in re.findall("`([^`]+)`", names)}


COMMANDS = {
    "replay": "replay sample: --limit 50",
    "ship": "ship file:./tradecap-data/log",
    "inject-bad": "inject-bad --nulls 3 --yes",
    "attest": "attest --all-silent 1h",
    "topics": "topics",
    "load": "load",
    "verify": "verify",
}
"""A line for each command that docs/kafka.md names."""


def test_the_rights_of_the_document_are_enough(
    secured: Secured, topic_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever grants what the document says would be refused."""
    topic = secured.kafka.new_topic(topic_name)
    assert CliRunner().invoke(cli, ["replay", "sample:", "--limit", "50"]).exit_code == 0
    monkeypatch.setenv("TRADECAP_LOG", secured.url(topic))
    rights = documented_rights()
    assert COMMANDS.keys() | {"serve", "stream"} == {name.split()[0] for name in rights}
    assert CliRunner().invoke(cli, ["init-db"]).exit_code == 0

    def become(user: str) -> None:
        own = secured.login(user, "PLAIN") | {"sasl.password": PLAIN_USERS[user]}
        for name, value in variables(own).items():
            monkeypatch.setenv(name, value)

    reports = {}
    for name, line in COMMANDS.items():
        user = "odd" if name == "load" else "plain"  # one with the right to groups, and one without
        secured.allow(user, topic, *rights[name], group=name == "load")
        become(user)
        reports[name] = CliRunner().invoke(cli, line.split())
        secured.forbid(user, topic)
    assert {name: report.output for name, report in reports.items() if report.exit_code != 0} == {}
    secured.allow("plain", topic, *rights["serve"])
    become("plain")
    own = {name: value for name, value in os.environ.items() if name.startswith("TRADECAP_")}
    with serving(Path(), environment=own) as served:
        assert served.end() == 0
