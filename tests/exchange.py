"""The local exchange for tests that aren't coroutines: in a thread, told what to do from outside."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from tests.simulate.builders import Scripted, some_entries
from tradecap.simulate import Exchange, Fault, Rules

T = TypeVar("T")
NO_LIMITS = Rules(weight_per_minute=None, connections_per_5_minutes=None)


class Running:
    """An exchange that is running in another thread."""

    def __init__(self, exchange: Exchange, loop: asyncio.AbstractEventLoop) -> None:
        self.exchange = exchange
        self.url = exchange.url
        self.rest_url = exchange.rest_url
        self._loop = loop

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the exchange's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10.0)

    def call(self, function: Callable[[], T]) -> T:
        """Call a function in the exchange's loop."""

        async def called() -> T:
            return function()

        return self.do(called())

    def play(self, count: int = 1) -> None:
        """Trade the next `count` entries of the script."""
        self.do(self.exchange.play(count))

    def fire(self, kind: str, **how: Any) -> None:
        """Let a fault happen."""
        self.call(lambda: self.exchange.fire(Fault(kind, **how)))

    def play_unheard(self, count: int) -> None:
        """Abort the connections and trade on in the same turn of the loop: nobody can be back in between, however slow the machine is."""

        async def unheard() -> None:
            self.exchange.fire(Fault("abort"))
            await self.exchange.play(count)

        self.do(unheard())

    def until_heard(self, connections: int = 1) -> None:
        """Wait until so many connections are subscribed."""
        until(lambda: sum(1 for socket in [*self.exchange.sockets] if socket.session.streams) == connections)


def until(is_so: Callable[[], bool], within_s: float = 10.0) -> None:
    """Wait for something, for a bounded time."""
    deadline = time.monotonic() + within_s
    while not is_so():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s:g} s")
        time.sleep(0.005)


@contextmanager
def running(trades: int = 3000, *, rules: Rules = NO_LIMITS, channel: str = "trade", **how: Any) -> Iterator[Running]:
    """An exchange with a script of trades 1, 2, 3 ... of BTCUSDT, played by hand."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    made = asyncio.run_coroutine_threadsafe(_made(trades, channel, rules, how), loop).result(10.0)
    asyncio.run_coroutine_threadsafe(made.__aenter__(), loop).result(10.0)
    try:
        yield Running(made, loop)
    finally:
        asyncio.run_coroutine_threadsafe(made.__aexit__(None, None, None), loop).result(10.0)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5.0)


async def _made(trades: int, channel: str, rules: Rules, how: dict[str, Any]) -> Exchange:
    return Exchange(Scripted(some_entries(trades, channel=channel)), start="manual", rules=rules, **how)
