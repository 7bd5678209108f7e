"""python-binance, unchanged, its socket manager and a loop that does nothing with what it gives.

Run in an environment that has it: URL MESSAGES CORE.
"""

import asyncio

from bench.clients.measure import Stopwatch, asked
from binance import AsyncClient, BinanceSocketManager  # type: ignore[import-not-found]  # in an environment of its own


async def receive(url: str, messages: int) -> None:
    """Take each message, and do nothing."""
    client = AsyncClient()
    sockets = BinanceSocketManager(client)
    sockets.STREAM_URL = f"{url}/"
    async with sockets.multiplex_socket(["btcusdt@trade"]) as socket:
        for _ in range(messages):
            message = await socket.recv()
            assert "data" in message, message
        watch.tell(messages, "python-binance", "websockets")  # here: its goodbye takes up to ten seconds
    await client.close_connection()


url, messages = asked()
watch = Stopwatch()
asyncio.run(receive(url, messages))
