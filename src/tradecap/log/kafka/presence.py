"""Whether the topic that a process reads or writes is still the one it opened, and whether anybody answers.

Rules: what was read or acknowledged counts only after the topic was seen to be the same, since client libraries go on
in a topic that was made again. A broker that is away is reported once and waited for: by a follower until nobody wants
it to go on, by everything else for PATIENCE_S.
"""

import time
from collections.abc import Callable
from typing import Final

from confluent_kafka import KafkaException

from tradecap.errors import TradecapError
from tradecap.log.kafka.client import PASSING, UNREACHED
from tradecap.log.kafka.cluster import Cluster
from tradecap.log.kafka.refusals import is_refusal

LOOK_S: Final = 2.0
"""How often a process that reads or acknowledges nothing asks."""
PATIENCE_S: Final = 30.0
"""How long a broker may be away before a process that was asked for an end gives up."""
REPORTED: Final = 2
"""Which failure in a row a follower reports: the first one may be the end of an outage that was reported."""


class Presence:
    """Asks about the topic of a cluster, which must have been opened (`Cluster.log_id`)."""

    def __init__(self, cluster: Cluster, patience_s: float = PATIENCE_S) -> None:
        self._cluster = cluster
        self._patience_s = patience_s
        self._looked_s = time.monotonic()
        self._away_since_s: float | None = None

    def confirm(self, is_wanted: Callable[[], bool] | None = None) -> bool:
        """Return True once the topic is known to be the same.

        False where is_wanted, which a follower hands in, says that nobody waits any more. Raises TopicGoneError, and
        TradecapError (exit 3) where no broker has answered for patience_s.
        """
        while problem := self._look():
            if is_wanted is not None and not is_wanted():
                return False
            if (
                is_wanted is None
                and self._away_since_s is not None
                and time.monotonic() - self._away_since_s >= self._patience_s
            ):
                raise problem
        return True

    def confirm_if_due(self, is_wanted: Callable[[], bool] | None = None) -> bool:
        """As `confirm`, for a process that has nothing to do meanwhile; True without a question where the last answer
        is young."""
        return time.monotonic() - self._looked_s < LOOK_S or self.confirm(is_wanted)

    def _look(self) -> TradecapError | None:
        """None: the topic is the same. An error: nobody answers."""
        began_s = time.monotonic()
        try:
            self._cluster.refuse_another_topic()
        except TradecapError as problem:
            if not is_passing(problem):
                raise
            if self._away_since_s is None:
                self._away_since_s = began_s
                self._cluster.say(f"{problem.message} It is waited for.")
            return problem
        finally:
            self._looked_s = time.monotonic()
        if self._away_since_s is not None:
            self._away_since_s = None
            self._cluster.say(f"Log {self._cluster.address.url} answers again.")
        return None


def is_passing(problem: TradecapError) -> bool:
    """Whether it may be over by itself: nobody answers, or leaders are being chosen."""
    cause = problem.__cause__
    if not isinstance(cause, KafkaException):
        return isinstance(cause, OSError)
    return cause.args[0].code() in {*UNREACHED, *PASSING} and not is_refusal(cause.args[0])
