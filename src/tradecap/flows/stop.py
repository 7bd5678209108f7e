"""The request to end: asked by a signal, seen by a flow between two steps."""

import time


class Stop:
    """Says whether somebody asked for the end; a flow calls it between two steps."""

    def __init__(self) -> None:
        self._since_s: float | None = None

    def ask(self) -> None:
        """Somebody does."""
        self._since_s = time.monotonic()

    def __call__(self) -> bool:
        return self._since_s is not None

    @property
    def asked_for_s(self) -> float:
        """How long somebody has been waiting for the end."""
        return 0.0 if self._since_s is None else time.monotonic() - self._since_s
