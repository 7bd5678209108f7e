"""Capture into a topic while exchange, network, capture, loader and broker fail: the topic is proven, and the store has
what was traded.

`make chaos` runs 20 seeds of 20 s, the tests one of 7 s; a seed that fails is run alone with `make chaos SEEDS=7`.
"""

from pathlib import Path

import pytest

from tests.chaos import broker_ordeal
from tests.chaos.account import (
    loaded_and_verified,
    no_connection_is_forgotten,
    nothing_was_repaired_silently,
    the_store_has_what_was_traded,
)
from tests.chaos.ordeal import SYMBOLS
from tests.chaos.test_chaos import cases
from tests.kafka.broker import Broker
from tradecap.log import open_log

pytestmark = pytest.mark.kafka


@pytest.mark.parametrize(("seed", "connections", "seconds"), [*cases()])
def test_whatever_fails_from_socket_to_store_is_made_up_for(
    tmp_path: Path, killable_broker: Broker, topic_name: str, seed: int, connections: int, seconds: float
) -> None:
    """Something acknowledged would be lost, counted twice, or missing without an explanation."""
    kafka = killable_broker.kafka
    topic = kafka.url(kafka.new_topic(topic_name))
    happened = broker_ordeal.run(tmp_path, seed, seconds, connections, killable_broker, topic)
    log = open_log(topic)
    torn = sum(1 for _, how in happened.ends if how in ("kill", "full"))
    nothing_was_repaired_silently(log, torn)
    no_connection_is_forgotten(log)
    with loaded_and_verified(log, tmp_path / "db") as store:
        for symbol in SYMBOLS:
            the_store_has_what_was_traded(store, happened.trades[symbol])
