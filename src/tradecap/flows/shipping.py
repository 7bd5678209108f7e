"""The shipper of `stream`: a thread that copies the spool to the log it is for, next to the capture.

Rules: it never stops the capture and never holds it up; the spool takes what the other log doesn't. When the capture
has ended, it copies what is left, for a bounded time. What stays is counted: it is safe in the spool, and 'tradecap
ship' or the next capture copies it.
"""

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, NamedTuple, Self

from tradecap.digits import number
from tradecap.errors import Exit, TradecapError
from tradecap.flows.capture.status import NewsItem
from tradecap.flows.ship import Shipped, ship
from tradecap.flows.stop import Stop
from tradecap.log.api import Log
from tradecap.log.folder.spool import Spool

LAST_S: Final = 8.0
"""From the moment that somebody asked for the end."""
DRAIN_S: Final = 30.0
"""... and where the capture ended by itself ..."""
QUIET_S: Final = 5.0
"""... but not this long without an acknowledgement."""
LOOK_S: Final = 1.0
"""How often the size of the spool is looked at."""


class Figures(NamedTuple):
    """How it goes. size: bytes of the spool's files; waiting: uncompressed bytes not yet acknowledged; age_s: of the
    oldest such record."""

    size: int
    waiting: int
    age_s: float
    shipped: int
    retries: int
    is_up: bool


class Shipping:
    """Copies `spool` to `done.target` while the capture runs. most: bytes that the spool may have; again: the command
    that copies what is left."""

    def __init__(self, spool: Spool, opened: Callable[[], Log], done: Shipped, most: int, again: str) -> None:
        self.spool, self.done = spool, done
        self.problem: TradecapError | None = None
        self._opened, self._most, self._again = opened, most, again
        self._stop = Stop()
        self._over_s: float | None = None
        self._is_abandoned = False
        self._looked_s = 0.0
        self._size = 0
        self._thread = threading.Thread(target=self._run, name="shipper", daemon=True)

    def start(self, stop: Stop) -> None:
        """Begin; only while the spool's lock is held. stop says since when somebody waits for the end."""
        self._stop = stop
        self._thread.start()

    def finish(self) -> int:
        """Copy what is left, for a bounded time; how many records stay undelivered."""
        self._over_s = self._over_s or time.monotonic()
        self._thread.join()
        return self.spool.waiting(self.done.at)

    def undelivered(self, count: int) -> TradecapError:
        """What to tell of records that stayed in the spool."""
        why = f" ({self.done.trouble.removesuffix('.')})" if self.done.trouble else ""
        return TradecapError(
            f"{number(count)} records aren't in {self.done.target.url} yet{why}: they are safe in "
            f"{self.spool.log.path}.",
            f"the next capture on this spool ships them, and so does: {self._again}",
            Exit.UNDELIVERED,
        )

    def full(self) -> TradecapError | None:
        """Why the spool may not grow any more; None while it may."""
        if time.monotonic() - self._looked_s < LOOK_S:
            return None
        self._looked_s, self._size = time.monotonic(), self.spool.size()
        if self._size <= self._most:
            return None
        waiting = self.spool.waiting(self.done.at)
        return TradecapError(
            f"The spool {self.spool.log.path} has {self._size / 1e6:,.1f} MB, --spool-max allows "
            f"{self._most / 1e6:,.1f} MB: the capture has ended. "
            f"All its records are safe there; {number(waiting)} of them aren't in {self.done.target.url} yet.",
            f"when the broker is back, ship them and start again: {self._again}",
            Exit.UNDELIVERED,
        )

    def figures(self) -> Figures:
        """How it goes now."""
        done = self.done
        waiting = self.spool.waiting_bytes(done.at)
        age_s = done.age_s(time.time_ns()) if waiting else 0.0
        return Figures(
            self._size,
            waiting,
            age_s,
            done.records,
            done.retries,
            self.problem is None and done.is_up(time.monotonic()),
        )

    def ills(self) -> list[str]:
        """What doesn't pass by itself: [] is healthy."""
        return [f"nothing is shipped any more: {self.problem.message}"] if self.problem else []

    def not_ready(self) -> list[str]:
        """What may pass by itself: the other log doesn't answer, or refuses."""
        if self.problem or self.done.is_up(time.monotonic()):
            return []
        return [f"nothing is shipped for now: {self.done.trouble or 'no acknowledgement comes'}"]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """After a second Ctrl-C nothing is waited for; after an error it is as at any end."""
        self._is_abandoned = kind is KeyboardInterrupt
        self._over_s = self._over_s or time.monotonic()
        if self._thread.is_alive():
            self._thread.join(1.0 if self._is_abandoned else None)

    def _is_wanted(self) -> bool:
        if self._is_abandoned:
            return False
        if self._over_s is None:
            return True
        is_late = self._stop() and self._stop.asked_for_s > LAST_S
        now_s = time.monotonic()
        quiet_s = now_s - max(self._over_s, self.done.acknowledged_s)
        return not is_late and now_s - self._over_s < DRAIN_S and quiet_s < QUIET_S

    def _run(self) -> None:
        try:
            ship(
                self.spool,
                self._opened,
                self.done,
                follow=lambda: self._over_s is None,
                is_wanted=self._is_wanted,
                progress=lambda _: None,
                is_trimmed=True,
            )
            return
        except TradecapError as error:
            self.problem = error
        except Exception as error:  # noqa: BLE001 -- of a thread: it would end unseen
            self.problem = TradecapError(
                f"The shipper failed: {type(error).__name__}: {error}.", self._again, Exit.UNDELIVERED
            )
        self.done.news.append(
            NewsItem("warning", f"nothing is shipped any more: {self.problem.message}", {"hint": self.problem.hint})
        )
