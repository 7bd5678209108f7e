"""A bare `websockets` receive loop that does nothing: what the measure is. URL MESSAGES CORE."""

import asyncio

from bench.clients.measure import Stopwatch, asked
from websockets.asyncio.client import connect


async def receive(url: str, messages: int) -> None:
    """Receive, and do nothing."""
    async with connect(f"{url}/stream", compression=None, max_queue=2048) as socket:
        await socket.send('{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}')
        for _ in range(messages + 1):
            await socket.recv(decode=False)


url, messages = asked()
watch = Stopwatch()
asyncio.run(receive(url, messages))
watch.tell(messages, "websockets")
