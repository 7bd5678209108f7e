"""The loader of `stream --load`: a thread that follows the log into the store.

It never stops the capture: what goes wrong here is told at the end, and `tradecap load` makes up for it.
"""

import threading
from types import TracebackType
from typing import Self

from tradecap.errors import TradecapError
from tradecap.flows.load import Loaded, load
from tradecap.log import Log
from tradecap.store import Store


class Loading:
    """Loads log into store, beside the capture; with store None nothing. loaded is there after `finish`, problem where it failed."""

    def __init__(self, log: Log, store: Store | None) -> None:
        self.loaded: Loaded | None = None
        self.problem: TradecapError | None = None
        self._log, self._store = log, store
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to follow the log."""
        if self._store:
            self._thread = threading.Thread(target=self._run, args=(self._store,), name="loader", daemon=True)
            self._thread.start()

    def finish(self) -> None:
        """Pour what is still in the log, and end."""
        self._is_over.set()
        if self._thread:
            self._thread.join()
            self._thread = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.finish()

    def _run(self, store: Store) -> None:
        try:
            self.loaded = load(self._log, store, follow=lambda: not self._is_over.is_set(), stop=lambda: False, progress=lambda _: None)
        except TradecapError as error:
            self.problem = error
        except Exception as error:  # noqa: BLE001 -- of a thread: it would end unseen
            self.problem = TradecapError(f"The loader failed: {type(error).__name__}: {error}.", "the log is whole: run 'tradecap load'.")
