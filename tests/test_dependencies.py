"""Dependencies that the package doesn't call yet, or only behind an option: that any version allowed has what will be called."""

import asyncio
import socket

import pytest

pytestmark = pytest.mark.core


def test_the_kafka_client_has_what_exactly_once_needs() -> None:
    """A version without transactions or watermarks would be found out in front of a broker."""
    from confluent_kafka import Consumer, Producer, TopicPartition
    from confluent_kafka.admin import AdminClient

    producer = Producer({"transactional.id": "t", "partitioner": "murmur2_random", "enable.idempotence": True})
    consumer = Consumer({"group.id": "g", "isolation.level": "read_committed", "enable.auto.commit": False})
    for client, methods in (
        (producer, "produce poll flush init_transactions begin_transaction commit_transaction abort_transaction send_offsets_to_transaction"),
        (consumer, "assign seek poll consume pause commit committed position get_watermark_offsets consumer_group_metadata close"),
        (AdminClient({}), "create_topics describe_configs list_topics"),
    ):
        assert [name for name in methods.split() if not callable(getattr(client, name, None))] == []
    consumer.assign([TopicPartition("trades.raw", 0, 5)])
    consumer.close()


def test_the_feed_and_http_can_go_through_socks() -> None:
    """websockets wants python-socks and urllib3 wants PySocks; without one of them half of a capture ends with an ImportError."""
    import urllib3.contrib.socks
    from python_socks import ProxyType
    from python_socks.async_.asyncio import Proxy

    async def proxy() -> Proxy:
        return Proxy(ProxyType.SOCKS5, "127.0.0.1", 1080, "user", "pass word", True)

    assert asyncio.run(proxy())
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        address = f"socks5h://127.0.0.1:{nobody.getsockname()[1]}"
    with pytest.raises(urllib3.exceptions.HTTPError):
        urllib3.contrib.socks.SOCKSProxyManager(address).request("GET", "http://example.invalid/", retries=False, timeout=5)
