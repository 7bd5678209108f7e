"""The stack of compose.yaml does its job: tradecap's own services run as the file says, as processes
(compose/smoke.py).

Apache Kafka stands in for Redpanda, an HTTP endpoint around the embedded engine for ClickHouse. Console is left out.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest
from compose.smoke import FEEDS, OFFLINE, Service, SmokeError, Stack, Where, interpolated, job, placed

from tests.kafka.client import Kafka
from tests.store.conftest import server as server
from tests.store.endpoint import PASSWORD, USER

FILE = Path(__file__).parents[2] / "compose/compose.yaml"
Begin = Callable[..., Stack]


@pytest.fixture
def begin(tmp_path: Path, kafka: Kafka, server: str) -> Iterator[Begin]:
    """Makes the stack of a compose file's text, with a topic and a database of its own."""
    stacks: list[Stack] = []

    def made(text: str, feed: str = "loader") -> Stack:
        file = tmp_path / "compose.yaml"
        file.write_text(text)
        secret = tmp_path / "secret"
        secret.write_text(f"{PASSWORD}\n")
        store = f"{USER}@{server.rpartition('@')[2]}/smoke{uuid4().hex}"
        variables = {**OFFLINE, "TRADECAP_TOPIC": f"smoke-{uuid4().hex}", "TRADECAP_RATE": "5"}
        stack = Stack(file, Where(variables, placed(kafka.bootstrap, store, secret), tmp_path), feed)
        stacks.append(stack)
        return stack

    yield made
    for stack in stacks:
        stack.stop()


@pytest.mark.kafka
@pytest.mark.parametrize("feed", FEEDS)
def test_the_stack_does_its_whole_job(begin: Begin, feed: str) -> None:
    """One command for everything is only worth something if everything it starts works together, with either
    profile."""
    stack = begin(FILE.read_text(), feed)
    stack.up()
    job(stack)


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("right", "wrong", "service"),
    [
        ("      stream --venue", "      strem --venue", "stream"),
        ("TRADECAP_STORE_PASSWORD_FILE", "TRADECAP_STORE_PASSWORT_FILE", "init"),
        ("urlopen('http://localhost:8080/health'", "urlopen('http://localhost:8081/health'", "stream"),
    ],
    ids=["command", "variable", "health check"],
)
def test_a_mistake_in_the_file_is_found(begin: Begin, right: str, wrong: str, service: str) -> None:
    """A smoke test that passes whatever the file says proves nothing about the file."""
    text = FILE.read_text()
    assert right in text
    stack = begin(text.replace(right, wrong))
    stack.services[service].within_s = 5.0
    with pytest.raises(SmokeError, match=rf"^{service} isn't"):
        stack.up()


@pytest.mark.parametrize(
    ("policy", "code", "starts"),
    [("no", 1, 1), ("on-failure:2", 1, 3), ("on-failure:2", 0, 1), ("unless-stopped", 1, 4), ("always", 0, 4)],
)
def test_restart_policies_are_those_of_compose(tmp_path: Path, policy: str, code: int, starts: int) -> None:
    """A service that compose would leave alone, started again here, hides that it ended."""
    declared = {"command": ["-c", f"exit {code}"], "entrypoint": ["/bin/sh"], "restart": policy}
    service = Service("it", declared, Where({}, {}, tmp_path))
    service.start()
    deadline_s = time.monotonic() + 60
    while service.starts < starts and time.monotonic() < deadline_s:
        service.look_after()
    assert service.process
    service.process.wait()
    if policy.startswith(("no", "on-failure")):
        service.look_after()
    assert service.starts == starts
    service.stop()


def test_two_who_look_after_a_service_start_it_once(tmp_path: Path) -> None:
    """The other process would run on after the stack has ended."""
    declared = {"command": ["-c", "exit 1"], "entrypoint": ["/bin/sh"], "restart": "on-failure:1"}
    service = Service("it", declared, Where({}, {}, tmp_path))
    service.start()
    assert service.process
    service.process.wait()
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: service.look_after(), range(4)))
    assert service.starts == 2
    service.stop()


def test_variables_are_put_in_as_compose_does() -> None:
    """A default that this runner reads otherwise than compose would hide a mistake."""
    there = {"A": "a"}
    assert interpolated("${A}-${B}-${A:-x}-${B:-x}-${A:+y}-${B:+y}-${A:+--a=${A}}", there) == "a--a-x-y--" + "--a=a"
