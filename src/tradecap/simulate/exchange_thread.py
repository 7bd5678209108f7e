"""An exchange in a thread with a loop of its own, for a program that isn't a coroutine. It lives as long as a `with`.

Rule: the exchange belongs to its loop. Another thread may read its `url`, `rest_url`, `reports` and `counts`;
everything else goes through `do` and `call`.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from tradecap.simulate.exchange import Exchange

T = TypeVar("T")


class ExchangeThread:
    """Serves the exchange that make() returns. Entering raises what the exchange raises when it can't start."""

    exchange: Exchange

    def __init__(self, make: Callable[[], Exchange]) -> None:
        self._make = make
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="exchange", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self.exchange = self.call(self._make)
            self._loop.set_exception_handler(self.exchange.connections.handle_loop_error)
            self.do(self.exchange.__aenter__())
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.do(self.exchange.__aexit__(kind, error, trace))
        finally:
            self._end()

    def do(self, work: Coroutine[Any, Any, T], within_s: float = 60.0) -> T:
        """Run a coroutine in the exchange's loop. Raises TimeoutError."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(within_s)

    def call(self, function: Callable[[], T]) -> T:
        """Call a function in the exchange's loop."""

        async def called() -> T:
            return function()

        return self.do(called())

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
