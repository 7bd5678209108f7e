"""What makes ClickHouse read a topic: statements without secrets, a configuration file that goes again, objects that
belong to the schema."""

import stat
from pathlib import Path

import pytest

from tests.store.builders import LOG
from tradecap.errors import TradecapError
from tradecap.store import create_store, feed_text, open_store
from tradecap.store.api import TopicFeed
from tradecap.store.clickhouse.configuration import configuration
from tradecap.store.clickhouse.store import ClickHouseStore
from tradecap.store.clickhouse.topics import collection_statement, feed_statements

FEED = TopicFeed(LOG, "trades.raw", "127.0.0.1:9", "")
SECRETS = {
    "sasl.password": "s3cr3t-p",
    "ssl.key.password": "s3cr3t-k",
    "ssl.key.pem": "s3cr3t-pem",
    "ssl.keystore.password": "s3cr3t-s",
}


@pytest.mark.parametrize("name", SECRETS)
def test_no_statement_holds_a_secret(name: str) -> None:
    """A password in a statement is in the server's query log, in what --print shows, and in the store's folder."""
    with pytest.raises(TradecapError, match="credentials") as error:
        collection_statement(FEED, {"sasl.mechanism": "PLAIN", name: SECRETS[name]})
    assert SECRETS[name] not in str(error.value) + error.value.hint
    printed = "".join(feed_text("clickhouse://h/market", FEED._replace(collection="theirs"), SECRETS))
    assert "s3cr3t" not in printed
    assert "Kafka(theirs, kafka_topic_list = 'trades.raw'" in printed


def test_a_collection_without_secrets_keeps_the_engine_from_choosing_an_offset() -> None:
    """With ClickHouse's own setting a topic made again is read from its beginning, under the id of the old one."""
    made = collection_statement(FEED, {"security.protocol": "PLAINTEXT", "client.rack": "it's"})
    assert "`kafka.auto_offset_reset` = 'error'" in made
    assert r"`kafka.client_rack` = 'it\'s'" in made


def test_the_configuration_file_is_private_and_goes() -> None:
    """A password that other users can read, or that stays in the temporary folder, is lost."""
    with configuration(SECRETS, "here & now") as name:
        text = Path(name).read_text()
        assert stat.S_IMODE(Path(name).stat().st_mode) == 0o600
    assert all(secret in text for secret in SECRETS.values())
    assert "<group_instance_id>here &amp; now</group_instance_id>" in text
    assert not Path(name).exists()


@pytest.mark.parametrize(
    "feed",
    [
        FEED._replace(topic="a', kafka_x = 'b"),
        FEED._replace(brokers="h:1', x"),
        FEED._replace(collection="c; DROP TABLE trades"),
        FEED._replace(topic=""),
    ],
)
def test_what_is_pasted_is_checked(feed: TopicFeed) -> None:
    """A name with a quote would be a statement of its own."""
    with pytest.raises(TradecapError, match="isn't the name of"):
        feed_statements(feed, LOG, "market", is_embedded=False)


def test_an_embedded_store_prints_nothing_for_a_topic() -> None:
    """It keeps no Kafka table: one on disk makes its folder unopenable."""
    assert list(feed_text("chdb:db", FEED, {})) == []


def test_the_engine_belongs_to_the_schema_of_a_server(server: str) -> None:
    """An upgrade that takes the engine for a stranger drops it and stops the feed; init-db --drop would leave it
    behind."""
    url = f"{server}/engine"
    create_store(url)
    with open_store(url) as store:
        assert isinstance(store, ClickHouseStore)
        store.topics.record(FEED, is_read=True)
        store.topics.start(FEED, {})
        done = store.create()
        assert (done.created, done.replaced) == ([], [])
        assert store.schema_differences() == []
        store.topics.record(FEED._replace(topic="another"), is_read=True)
        assert [each.fix for each in store.schema_differences()] == ["tradecap init-db --feed kafka"]
        store.topics.record(FEED, is_read=True)
        store.topics.stop(LOG)
        assert len(store.create().created) == 2, "what is missing of a recorded feed is made"
        store.drop()
        assert store.rows("SELECT name FROM system.tables WHERE database = currentDatabase()") == []


def test_an_embedded_engine_says_that_it_has_no_scram(store: ClickHouseStore) -> None:
    """Its own error names a property of a library that nobody has heard of."""
    with pytest.raises(TradecapError, match="can't do SCRAM-SHA-256") as error:
        store.topics.start(FEED, {"sasl.mechanism": "SCRAM-SHA-256"})
    assert "init-db --feed loader" in error.value.hint


def test_a_store_without_an_engine_has_nothing_to_stop(store: ClickHouseStore) -> None:
    """The first change of the feed would end in an error."""
    store.topics.stop(LOG)
    assert (store.topics.feed(LOG), store.topics.feeds(), store.topics.problem(LOG)) == (None, [], (0, ""))


def test_a_store_that_reads_by_itself_says_where_its_position_is(store: ClickHouseStore) -> None:
    """The position of a loader that ended long ago would call real losses pending."""
    store.topics.record(FEED, is_read=True)
    with pytest.raises(TradecapError, match="its position is in Kafka"):
        store.positions(LOG)
    store.topics.record(FEED, is_read=False)
    assert store.positions(LOG) == {}
