"""Waiting for a store that is away.

Rules: it is reported once, and again when it is over. A follower waits until nobody wants it any more; everything else
waits for PATIENCE_S, and then fails with the store's error. What is asked again must be safe to repeat: rows and
positions of a load are.
"""

import time
from collections.abc import Callable
from typing import Final, TypeVar

from tradecap.store.api import StoreAwayError

PATIENCE_S: Final = 30.0
"""How long a load with an end waits for a store."""
FIRST_PAUSE_S: Final = 0.2
LONGEST_PAUSE_S: Final = 10.0
LOOK_S: Final = 0.05
"""How often a wait looks whether somebody asked for the end."""
Answer = TypeVar("Answer")


class Patience:
    """Repeats what a store doesn't answer, with growing pauses. away: what is wrong now, '' while the store answers."""

    def __init__(self, is_followed: Callable[[], bool], stop: Callable[[], bool], say: Callable[[str], None]) -> None:
        self.away = ""
        self._is_followed, self._stop, self._say = is_followed, stop, say

    def __call__(self, question: Callable[[], Answer]) -> Answer:
        """The answer. Raises StoreAwayError once nobody waits any longer."""
        began_s, pause_s = time.monotonic(), FIRST_PAUSE_S
        while True:
            try:
                answer = question()
            except StoreAwayError as error:
                if not self.away:
                    self.away = error.message
                    self._say(f"{error.message.removesuffix('.')}. It is waited for.")
                if not self._waits(began_s, pause_s):
                    raise
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            else:
                if self.away:
                    self.away = ""
                    self._say("The store answers again.")
                return answer

    def _waits(self, began_s: float, pause_s: float) -> bool:
        """Wait; False where there is no time left to."""
        until_s = time.monotonic() + pause_s
        while time.monotonic() < until_s:
            if self._stop() or (not self._is_followed() and time.monotonic() - began_s >= PATIENCE_S):
                return False
            time.sleep(LOOK_S)
        return True
