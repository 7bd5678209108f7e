"""Fixtures for tests with the marker `kafka`. One broker serves the whole test session, also with several pytest-xdist
workers.

A test that kills or pauses a broker takes `killable_broker`. Where a part is missing, `outside_part` skips the test or,
in CI, fails it.
"""

import importlib.util
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.kafka.installation import Installation, MissingPartError

if TYPE_CHECKING:
    from tests.kafka.broker import Broker
    from tests.kafka.client import Kafka
    from tests.kafka.secured import Secured


@pytest.fixture(scope="session")
def kafka_installation(outside_part: Callable[[bool, str], None]) -> Installation:
    """Java and Kafka's jars, fetched on first use."""
    outside_part(importlib.util.find_spec("confluent_kafka") is not None, "the package confluent-kafka")
    from tests.kafka.broker import prepare

    try:
        return prepare()
    except MissingPartError as error:
        outside_part(False, str(error))
        raise


@pytest.fixture(scope="session")
def session_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of this test session see."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def kafka(kafka_installation: Installation, session_folder: Path) -> Iterator["Kafka"]:
    """The broker of the test session. Other tests use it at the same time: it is never stopped, and each test has
    topics of its own."""
    from tests.kafka.broker import shared_broker

    with shared_broker(session_folder, kafka_installation) as running:
        yield running


@pytest.fixture(scope="session")
def secured(kafka_installation: Installation, session_folder: Path) -> Iterator["Secured"]:
    """A broker that asks who its clients are: another one, shared the same way. It starts for the first test that asks
    for it."""
    from tests.kafka.secured import shared_secured_broker

    with shared_secured_broker(session_folder, kafka_installation) as running:
        yield running


@pytest.fixture
def topic_name(request: pytest.FixtureRequest) -> str:
    """A name that no other test has, for a topic that doesn't exist yet."""
    return f"{re.sub('[^A-Za-z0-9-]+', '-', request.node.name)[:100]}-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def topic(kafka: "Kafka", topic_name: str) -> str:
    """A new topic with four partitions on the broker of the test session."""
    return kafka.new_topic(topic_name)


@pytest.fixture(scope="session")
def spare_broker(kafka_installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator["Broker"]:
    """What `killable_broker` hands out; it starts on first use."""
    from tests.kafka.broker import Broker

    folder = tmp_path_factory.mktemp("spare-kafka")
    broker = Broker(folder, kafka_installation)
    yield broker
    broker.kill()
    shutil.rmtree(folder)


@pytest.fixture
def killable_broker(spare_broker: "Broker") -> Iterator["Broker"]:
    """A running broker that this test alone uses, and may stop, kill, pause and start again. The next test gets it in
    running order."""
    if not spare_broker.is_running:
        spare_broker.start()
    yield spare_broker
    spare_broker.resume()
