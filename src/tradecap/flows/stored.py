"""What the store answers to those who are served: by few readers, and remembered until the store's candles change.

Rules: a question waits for a free reader no longer than WAIT_S, and its statement is cut by the reader itself. An
answer about candles is remembered under the number of the store's newest sweep, which is looked up once a second in a
thread of its own.

Memory: ROWS_KEPT rows at most are remembered, those that were asked for last; about 50 MB of bars.
"""

import queue
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Final, TypeVar

from tradecap.errors import Exit, TradecapError
from tradecap.store.api import QueryCutError, Store

READERS: Final = 2
"""More answer hardly faster: embedded, four answer 40 questions a second where one answers 30 (measured 2026-11-21)."""
WAIT_S: Final = 5.0
LOOK_S: Final = 1.0
ROWS_KEPT: Final = 50_000
Answer = TypeVar("Answer")
Rows = TypeVar("Rows", bound=Sequence[object])


class Stored:
    """Asks a store from any thread. Made before another thread uses the store, and closed before the store is."""

    def __init__(self, store: Store, readers: int = READERS) -> None:
        self.problem: TradecapError | None = None
        """Why the store doesn't answer now."""
        self.hits = self.misses = self.cut = 0
        self.failed = 0
        """Questions without an answer: what was made without one isn't the whole."""
        self._readers: queue.Queue[Store] = queue.Queue()
        for _ in range(readers):
            self._readers.put(store.reader())
        self._count = readers
        self._kept: OrderedDict[Hashable, tuple[int, Sequence[object]]] = OrderedDict()
        self._rows = 0
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self.sweep = self.ask(lambda reader: reader.newest_sweep())
        """Number of the newest sweep, LOOK_S ago at most."""
        self._thread = threading.Thread(target=self._watch, name="store", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Give the readers back."""
        self._is_over.set()
        self._thread.join()
        for _ in range(self._count):
            self._readers.get(timeout=WAIT_S * 3).close()

    def ask(self, question: Callable[[Store], Answer]) -> Answer:
        """What the store answers now. Raises TradecapError (exit 3) where it is away, busy or too slow."""
        try:
            reader = self._readers.get(timeout=WAIT_S)
        except queue.Empty:
            self.cut += 1
            self.failed += 1
            raise QueryCutError(
                "The store is busy with other questions.", "ask again in a moment, or for less.", Exit.UNREACHABLE
            ) from None
        try:
            return question(reader)
        except TradecapError as error:
            self.cut += isinstance(error, QueryCutError)
            self.failed += 1
            raise
        finally:
            self._readers.put(reader)

    def remembered(self, key: Hashable, question: Callable[[Store], Rows]) -> Rows:
        """As `ask`, for rows that stay the same until candles change."""
        with self._lock:
            sweep, rows = self._kept.get(key, (-1, ()))
            if sweep == self.sweep:
                self.hits += 1
                self._kept.move_to_end(key)
                return rows  # type: ignore[return-value]  # what this key was put in with
            sweep = self.sweep
        self.misses += 1
        found = self.ask(question)
        with self._lock:
            self._forget(key)
            self._kept[key] = sweep, found
            self._rows += len(found) + 1
            while self._rows > ROWS_KEPT and len(self._kept) > 1:
                self._forget(next(iter(self._kept)))
        return found

    def not_ready(self) -> list[str]:
        """What is missing: [] is ready."""
        return [f"the store doesn't answer: {self.problem.message}"] if self.problem else []

    def _forget(self, key: Hashable) -> None:
        if key in self._kept:
            self._rows -= len(self._kept.pop(key)[1]) + 1

    def _watch(self) -> None:
        while not self._is_over.wait(LOOK_S):
            try:
                self.sweep = self.ask(lambda reader: reader.newest_sweep())
                self.problem = None
            except QueryCutError:
                continue  # busy isn't away
            except TradecapError as problem:
                self.problem = problem
            except Exception as error:  # noqa: BLE001 -- of a thread: it would end unseen, and old answers would stay
                self.problem = TradecapError(f"{type(error).__name__}: {error}", "look at the store.", Exit.UNREACHABLE)
