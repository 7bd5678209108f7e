"""cryptofeed, unchanged, with a callback that does nothing but count. Run in an environment that has it: URL MESSAGES
CORE.

Its TRADES are the venue's aggTrade. It refuses addresses without TLS, so the connection is made without TLS below it,
as for all the others; the symbols are set rather than asked for by REST. uvloop is on, as is its default.
"""

import asyncio
from collections.abc import Callable

from bench.clients.measure import Stopwatch, asked
from cryptofeed import FeedHandler, connection  # type: ignore[import-not-found]  # in an environment of its own
from cryptofeed.defines import TRADES  # type: ignore[import-not-found]  # the same
from cryptofeed.exchanges import Binance  # type: ignore[import-not-found]  # the same
from cryptofeed.symbols import Symbols  # type: ignore[import-not-found]  # the same


def without_tls(connect: Callable[..., object]) -> Callable[..., object]:
    """connect, but of ws:// for wss://."""
    return lambda address, **terms: connect(address.replace("wss://", "ws://"), **terms)


class Counting:
    """Ends the loop after a number of trades."""

    def __init__(self, messages: int) -> None:
        self._left = messages

    async def trade(self, trade: object, received: float) -> None:  # noqa: ARG002 -- what cryptofeed hands over
        """Does nothing."""
        self._left -= 1
        if not self._left:
            asyncio.get_running_loop().stop()


url, messages = asked()
connection.connect = without_tls(connection.connect)
Binance.websocket_endpoints[0].address = url.replace("ws://", "wss://")
Symbols.set(
    Binance.id, {"BTC-USDT": "BTCUSDT"}, {"tick_size": {"BTC-USDT": "0.01"}, "instrument_type": {"BTC-USDT": "spot"}}
)
handler = FeedHandler(config={"uvloop": True, "log": {"disabled": True}})
handler.add_feed(Binance(symbols=["BTC-USDT"], channels=[TRADES], callbacks={TRADES: Counting(messages).trade}))
watch = Stopwatch()
handler.run(start_loop=False)
asyncio.get_event_loop().run_forever()
watch.tell(messages, "cryptofeed", "websockets", "uvloop")
