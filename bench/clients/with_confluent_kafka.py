"""A plain script from the socket to a topic: `websockets` and confluent-kafka, nothing read and nothing checked. URL
MESSAGES CORE TOPIC."""

import asyncio
import sys

from bench.clients.measure import Stopwatch, asked
from confluent_kafka import Producer
from websockets.asyncio.client import connect


async def produce(url: str, messages: int, producer: Producer, topic: str) -> None:
    """Receive, and produce each message as it came."""
    async with connect(f"{url}/stream", compression=None, max_queue=2048) as socket:
        await socket.send('{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}')
        await socket.recv(decode=False)
        for _ in range(messages):
            payload = await socket.recv(decode=False)
            while True:
                try:
                    producer.produce(topic, payload, b"BTCUSDT")
                    break
                except BufferError:
                    producer.poll(0.1)
            producer.poll(0)
    producer.flush()


url, messages = asked()
servers, _, topic = sys.argv[4].removeprefix("kafka://").partition("/")
producer = Producer(
    {
        "bootstrap.servers": servers,
        "enable.idempotence": True,
        "acks": "all",
        "compression.type": "zstd",
        "linger.ms": 5,
    }
)
watch = Stopwatch()
asyncio.run(produce(url, messages, producer, topic))
watch.tell(messages, "websockets", "confluent-kafka")
