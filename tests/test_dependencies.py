"""Dependencies that the package doesn't call yet, or only behind an option: that any version allowed has what will be
called."""

import pytest

pytestmark = pytest.mark.core


def test_the_kafka_client_has_what_exactly_once_needs() -> None:
    """A version without transactions or watermarks would be found out in front of a broker."""
    from confluent_kafka import Consumer, Producer, TopicPartition
    from confluent_kafka.admin import AdminClient

    producer = Producer({"transactional.id": "t", "partitioner": "murmur2_random", "enable.idempotence": True})
    consumer = Consumer({"group.id": "g", "isolation.level": "read_committed", "enable.auto.commit": False})
    for client, methods in (
        (
            producer,
            "produce poll flush init_transactions begin_transaction commit_transaction abort_transaction "
            "send_offsets_to_transaction",
        ),
        (
            consumer,
            "assign seek poll consume pause commit committed position get_watermark_offsets "
            "consumer_group_metadata close",
        ),
        (AdminClient({}), "create_topics describe_configs list_topics"),
    ):
        assert [name for name in methods.split() if not callable(getattr(client, name, None))] == []
    consumer.assign([TopicPartition("trades.raw", 0, 5)])
    consumer.close()
