"""The loader of `stream --load`: a thread that follows the log into the store.

Rules: it never stops the capture. An error here is reported at once, shown by /health, and decides the exit code when
the command ends; `tradecap load` loads the rest. A stop doesn't wait for a store that is far behind.
"""

import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from tradecap.errors import Exit, TradecapError
from tradecap.flows.capture.status import NewsItem
from tradecap.flows.load import Loaded, LoadStatus, load
from tradecap.flows.stop import Stop
from tradecap.log.api import Log
from tradecap.store.api import Store

LAST_S: Final = 9.0
"""Seconds after the request to stop: what isn't loaded by then is left to `tradecap load`."""
RECORDS_PER_S: Final = 50_000
"""The load rate of a slow machine: decides whether another batch as large as the last one would be done in time."""
OPEN_AGAIN_S: Final = 1.0
HINT: Final = "the log is whole: run 'tradecap load' when the capture has ended."


class Loading:
    """Loads log into store alongside the capture; with store None it loads nothing.

    loaded is set after `finish`, problem if it failed; news holds the messages to report, is_left whether there was no
    time to load everything.
    """

    def __init__(self, log: Log | Callable[[], Log], store: Store | None) -> None:
        """A log that may be out of reach at the beginning is opened by the loader, as soon as it can be."""
        self.loaded: Loaded | None = None
        self.problem: TradecapError | None = None
        self.news: deque[NewsItem] = deque()
        self.is_left = False
        self.status = LoadStatus()
        self.log: Log | None = None if callable(log) else log
        """What is loaded; None until it was opened."""
        self._late = log if callable(log) else None
        self._store = store
        self._stop = Stop()
        self._is_over = threading.Event()
        self._batch = 0
        self._thread: threading.Thread | None = None

    def start(self, stop: Stop) -> None:
        """Begin to follow the log. stop says since when somebody waits for the end."""
        self._stop = stop
        if self._store:
            self._thread = threading.Thread(target=self._run, args=(self._store,), name="loader", daemon=True)
            self._thread.start()

    def finish(self) -> None:
        """Load what is still in the log, and end."""
        self._is_over.set()
        if self._thread:
            self._thread.join()
            self._thread = None

    @property
    def is_wanted(self) -> bool:
        """Whether there is a store to load into."""
        return self._store is not None

    def ills(self) -> list[str]:
        """What is wrong: [] is healthy."""
        return [f"nothing is loaded any more: {self.problem.message}"] if self.problem else []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """After a second Ctrl-C it only takes its hands off the store, which is about to be closed."""
        self.is_left = self.is_left or kind is KeyboardInterrupt
        self._is_over.set()
        if self._thread:
            self._thread.join(1.0 if kind is KeyboardInterrupt else None)

    def _run(self, store: Store) -> None:
        try:
            log = self._opened()
            self.loaded = load(
                log,
                store,
                follow=lambda: not self._is_over.is_set(),
                stop=self._is_enough,
                progress=self._note_batch,
                say=lambda text: self.news.append(NewsItem("warning", text, {})),
                status=self.status,
            )
            self.is_left = self.is_left or self._is_behind(log, store)
            return
        except TradecapError as error:
            self.problem = TradecapError(error.message, HINT, error.exit_code)
        except Exception as error:  # noqa: BLE001 -- of a thread: it would end unseen
            self.problem = TradecapError(f"The loader failed: {type(error).__name__}: {error}.", HINT)
        self.news.append(
            NewsItem("warning", f"nothing is loaded any more: {self.problem.message}", {"hint": self.problem.hint})
        )

    def _opened(self) -> Log:
        while True:
            try:
                if self.log is None:
                    assert self._late is not None
                    self.log = self._late()
                return self.log
            except TradecapError as error:
                if error.exit_code is not Exit.UNREACHABLE or self._is_over.wait(OPEN_AGAIN_S):
                    raise

    @staticmethod
    def _is_behind(log: Log, store: Store) -> bool:
        """Whether the log holds more than was loaded: a loader of a topic may have ended before its group gave it a
        partition."""
        try:
            return any(log.behind(store.positions(log.id)).values())
        except TradecapError:  # who can't be asked may hold more
            return True

    def _note_batch(self, records: int) -> None:
        self._batch = records

    def _is_enough(self) -> bool:
        """Whether somebody asked for the end, and another batch wouldn't be done in time."""
        if not self._stop():
            return False
        left_s = LAST_S - self._stop.asked_for_s - self._batch / RECORDS_PER_S
        self.is_left = self.is_left or left_s < 0
        return self.is_left
