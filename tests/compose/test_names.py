"""What compose.yaml, .env.example, the Dockerfile and the Makefile name exists: commands, options, variables, extras,
services, ports."""

import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose.smoke import FEEDS

from tradecap.cli import COMMANDS, load_command

ROOT = Path(__file__).parents[2]
FILE = yaml.safe_load((ROOT / "compose/compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
TEXT = (ROOT / "compose/compose.yaml").read_text()
EXAMPLE = (ROOT / "compose/.env.example").read_text()
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
READ = {"TRADECAP_LOG", "TRADECAP_STORE", "TRADECAP_STORE_PASSWORD_FILE", "TRADECAP_SYMBOLS"}
"""Variables that tradecap itself reads; the others are put into commands by compose."""


def lines(service: dict[str, Any]) -> Iterator[list[str]]:
    """The tradecap command lines of a service, without the program's name; ${…} stands for any value."""
    command = service["command"]
    text = (
        command if isinstance(command, str) else "\n".join(command) if "entrypoint" in service else shlex.join(command)
    )
    bare = re.sub(r"\$\{\w+:\+((?:[^{}]|\{\w+\})*)\}", r"\1", text)
    bare = re.sub(r"\$\{\w+(?::-[^}]*)?\}", "value", bare)
    for line in bare.splitlines() if "entrypoint" in service else [" ".join(bare.split("\n"))]:
        words = shlex.split(line.removeprefix("exec ").partition(" $$(")[0])
        if words:
            yield words[1:] if "entrypoint" in service else words


@pytest.mark.parametrize("name", OURS)
def test_each_command_and_option_is_one_of_ours(name: str) -> None:
    """A renamed option would only show when somebody starts the stack."""
    for command, *words in lines(OURS[name]):
        assert command in COMMANDS
        options = {option for param in load_command(command).params for option in param.opts}
        assert {word.partition("=")[0] for word in words if word.startswith("-")} <= options


def test_each_variable_is_explained_and_each_explained_one_is_used() -> None:
    """A variable that nobody explains can't be set, and one that nothing reads is a promise."""
    used = set(re.findall(r"\$\{(\w+)", TEXT))
    explained = set(re.findall(r"^#?(\w+)=", EXAMPLE, re.MULTILINE))
    assert used == explained - {"COMPOSE_PROFILES"}
    assert {name for service in OURS.values() for name in service["environment"]} == READ


def test_defaults_are_those_that_the_example_shows() -> None:
    """Two places that say a version or a default would drift apart."""
    defaults = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", TEXT))
    shown = dict(re.findall(r"^(\w+)=(.*)$", EXAMPLE, re.MULTILINE))
    assert defaults == {name: shown[name] for name in defaults}


def test_names_inside_the_file_lead_somewhere() -> None:
    """A host, profile or secret that isn't there shows only when the stack is up."""
    hosts = set(re.findall(r"(?:://(?:\w+@)?|=(?:internal://)?|[\w/]+: )([a-z]+):\d{4,5}\b", TEXT)) - {"localhost"}
    assert hosts <= set(SERVICES)
    assert {each for service in SERVICES.values() for each in service.get("depends_on", {})} <= set(SERVICES)
    assert {each for service in SERVICES.values() for each in service.get("secrets", [])} <= set(FILE["secrets"])
    volumes = {each.partition(":")[0] for service in SERVICES.values() for each in service.get("volumes", [])}
    assert {each for each in volumes if not each.startswith(".")} == set(FILE["volumes"])
    assert all((ROOT / "compose" / each).is_file() for each in volumes if each.startswith("."))


def test_ports_of_health_checks_are_those_that_are_served() -> None:
    """A health check at another port than the command's would call a healthy service sick."""
    for service in OURS.values():
        port = re.search(
            r"--metrics-port[= ](\d+)",
            " ".join(service["command"]) if isinstance(service["command"], list) else service["command"],
        )
        if port:
            assert f"localhost:{port[1]}/health" in " ".join(service["healthcheck"]["test"])
            assert f"localhost:{port[1]}/health" in (ROOT / "Dockerfile").read_text()


def test_the_dockerfile_names_extras_and_targets_that_exist() -> None:
    """An image without the extra that a service needs starts, and fails later."""
    text = (ROOT / "Dockerfile").read_text()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {extra for group in re.findall(r"'\.\[([a-z,]+)\]'", text) for extra in group.split(",")} <= set(extras)
    targets = set(re.findall(r"^FROM .* AS ([\w-]+)$", text, re.MULTILINE))
    assert {service["build"]["target"] for service in OURS.values()} <= targets
    assert {"embedded", "tradecap"} <= targets


def test_the_makefile_names_services_that_exist() -> None:
    """`make topics` runs in a service: a renamed one would break it unseen."""
    recipes = (ROOT / "Makefile").read_text()
    assert set(re.findall(r"--entrypoint tradecap (\w+)", recipes)) == {"init"}
    profiles = {each for service in SERVICES.values() for each in service.get("profiles", [])}
    assert {*FEEDS, "offline"} <= profiles
    assert {*shown("COMPOSE_PROFILES")[0].split(",")} <= profiles


def shown(name: str) -> list[str]:
    """The values of a variable in .env.example."""
    return re.findall(rf"^{name}=(.*)$", EXAMPLE, re.MULTILINE)


@pytest.mark.parametrize(
    ("given", "profiles", "ends"),
    [
        ("", "loader", "engine"),
        ("offline", "loader,offline", "engine"),
        ("engine", "engine", "load"),
        ("engine,offline", "engine,offline", "load"),
    ],
)
def test_make_up_has_one_feed_and_ends_the_other(given: str, profiles: str, ends: str) -> None:
    """Without a feed nothing is loaded; a former one that still runs is refused by the store and started again,
    forever."""
    answer = subprocess.run(
        ["make", "--dry-run", "up", f"COMPOSE_PROFILES={given}"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert f"COMPOSE_PROFILES={profiles} docker compose" in answer
    assert f"rm --force --stop {ends}\n" in answer
    assert ends in OURS
    assert {*profiles.split(",")} <= {each for service in OURS.values() for each in service.get("profiles", [])}


def test_make_up_refuses_two_feeds() -> None:
    """Both at once would take the topic from each other."""
    done = subprocess.run(
        ["make", "--dry-run", "up", "COMPOSE_PROFILES=loader,engine"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "keep one of them" in done.stderr
