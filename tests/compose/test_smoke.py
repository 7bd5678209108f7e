"""The stack of compose.yaml does its job: tradecap's own services run as the file says, as processes (compose/smoke.py).

Apache Kafka stands in for Redpanda, an HTTP endpoint around the embedded engine for ClickHouse. Console is left out.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from compose.smoke import OFFLINE, SmokeError, Stack, Where, interpolated, job, placed

from tests.kafka.client import Kafka
from tests.store.conftest import server as server
from tests.store.endpoint import PASSWORD, USER

FILE = Path(__file__).parents[2] / "compose/compose.yaml"
Begin = Callable[[str], Stack]


@pytest.fixture
def begin(tmp_path: Path, kafka: Kafka, server: str) -> Iterator[Begin]:
    """Makes the stack of a compose file's text, with a topic and a database of its own."""
    stacks: list[Stack] = []

    def made(text: str, within_s: float = 60.0) -> Stack:
        file = tmp_path / "compose.yaml"
        file.write_text(text)
        secret = tmp_path / "secret"
        secret.write_text(f"{PASSWORD}\n")
        store = f"{USER}@{server.rpartition('@')[2]}/smoke{uuid4().hex}"
        variables = {**OFFLINE, "TRADECAP_TOPIC": f"smoke-{uuid4().hex}", "TRADECAP_RATE": "5"}
        stack = Stack(file, Where(variables, placed(kafka.bootstrap, store, secret), tmp_path, within_s))
        stacks.append(stack)
        return stack

    yield made
    for stack in stacks:
        stack.stop()


@pytest.mark.kafka
def test_the_stack_does_its_whole_job(begin: Begin) -> None:
    """One command for everything is only worth something if everything it starts works together."""
    stack = begin(FILE.read_text())
    stack.up()
    job(stack)


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("right", "wrong", "who"),
    [
        ("      stream --venue", "      strem --venue", "stream"),
        ("TRADECAP_STORE_PASSWORD_FILE", "TRADECAP_STORE_PASSWORT_FILE", "init"),
        ("urlopen('http://localhost:8080/health'", "urlopen('http://localhost:8081/health'", "stream"),
    ],
    ids=["command", "variable", "health check"],
)
def test_a_mistake_in_the_file_is_found(begin: Callable[[str, float], Stack], right: str, wrong: str, who: str) -> None:
    """A smoke test that passes whatever the file says proves nothing about the file."""
    text = FILE.read_text()
    assert right in text
    with pytest.raises(SmokeError, match=rf"^{who} isn't"):
        begin(text.replace(right, wrong), 12.0).up()


def test_variables_are_put_in_as_compose_does() -> None:
    """A default that this runner reads otherwise than compose would hide a mistake."""
    there = {"A": "a"}
    assert interpolated("${A}-${B}-${A:-x}-${B:-x}-${A:+y}-${B:+y}-${A:+--a=${A}}", there) == "a--a-x-y--" + "--a=a"
