"""The local exchange for tests that aren't coroutines: in a thread, controlled from outside."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.simulate.builders import Scripted, some_entries
from tradecap.simulate import Exchange, Fault, Rules
from tradecap.simulate.exchange_thread import ExchangeThread

NO_LIMITS = Rules(weight_per_minute=None, connections_per_5_minutes=None)


class Running(ExchangeThread):
    """An exchange that is running in another thread."""

    @property
    def url(self) -> str:
        """The base of its streams."""
        return self.exchange.url

    @property
    def rest_url(self) -> str:
        """The base of its REST."""
        return self.exchange.rest_url

    def play(self, count: int = 1) -> None:
        """Trade the next `count` entries of the script."""
        self.do(self.exchange.play(count))

    def fire(self, kind: str, **how: Any) -> None:
        """Let a fault happen."""
        self.call(lambda: self.exchange.fire(Fault(kind, **how)))

    def play_unheard(self, count: int) -> None:
        """Abort the connections and trade on in the same turn of the loop: nobody can be back in between, however slow
        the machine is."""

        async def unheard() -> None:
            self.exchange.fire(Fault("abort"))
            await self.exchange.play(count)

        self.do(unheard())

    def until_heard(self, connections: int = 1) -> None:
        """Wait until this many connections are subscribed."""
        until(lambda: sum(1 for socket in [*self.exchange.sockets] if socket.session.streams) == connections)


def until(is_so: Callable[[], bool], within_s: float = 60.0) -> None:
    """Wait for something, for a bounded time."""
    deadline = time.monotonic() + within_s
    while not is_so():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s:g} s")
        time.sleep(0.005)


@contextmanager
def running(trades: int = 3000, *, rules: Rules = NO_LIMITS, channel: str = "trade", **how: Any) -> Iterator[Running]:
    """An exchange with a script of trades 1, 2, 3 ... of BTCUSDT, played by hand."""
    script = Scripted(some_entries(trades, channel=channel))
    with Running(lambda: Exchange(script, start="manual", rules=rules, **how)) as exchange:
        yield exchange
