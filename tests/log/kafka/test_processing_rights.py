"""What a broker with rights refuses to `process`: one sentence, and the line that grants it."""

import pytest

from tests.flows.builders import never, replayed, some_messages
from tests.kafka.secured import Secured
from tests.processing import topics_of
from tradecap.errors import Exit, TradecapError
from tradecap.flows.process import process
from tradecap.log import open_log, topic_of

pytestmark = pytest.mark.kafka
PASSWORD = "pass w0rd"


def refusal(secured: Secured, topic_name: str, user: str, writable: int) -> TradecapError:
    """How processing ends for a user who may write only this many of the output topics, and has no right to
    transactional ids."""
    topic = secured.kafka.new_topic(topic_name)
    names = topics_of(secured.kafka.url(topic))
    replayed(open_log(secured.kafka.url(topic)), some_messages(range(10)))
    secured.add_user(user, PASSWORD)
    for number, name in enumerate((topic, *names)):
        secured.allow(user, name, *(["READ", "WRITE"] if number <= writable else ["READ"]), group=True)
    log = open_log(secured.url(topic), kafka=secured.login(user) | {"sasl.password": PASSWORD})
    with pytest.raises(TradecapError) as refused, topic_of(log).exactly_once({}, "") as transactions:
        process(transactions, log.id, transactions.partition_of, stop=never)
    assert refused.value.exit_code is Exit.UNREACHABLE
    return refused.value


def test_the_right_to_transactional_ids_is_named(secured: Secured, topic_name: str) -> None:
    """Everybody forgets this right: the broker's own words name no id and no command."""
    error = refusal(secured, topic_name, f"transactor-{topic_name[-8:]}", 4)
    assert "has no right to WRITE the transactional ids tradecap-process-…" in error.message
    assert "--transactional-id tradecap-process- --resource-pattern-type prefixed" in error.hint


def test_the_right_to_an_output_is_named(secured: Secured, topic_name: str) -> None:
    """The first transaction would fail, again and again, and name no topic."""
    error = refusal(secured, topic_name, f"reader-{topic_name[-8:]}", 1)
    assert f"has no right to WRITE topic {topic_name}.candles.1m" in error.message
