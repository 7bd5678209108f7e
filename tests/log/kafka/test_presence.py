"""Which failures of a broker may pass."""

import pytest
from confluent_kafka import KafkaError, KafkaException

from tradecap.errors import TradecapError
from tradecap.log.kafka.presence import is_passing


def caused_by(cause: BaseException | None) -> TradecapError:
    error = TradecapError("It failed.", "look.")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("cause", "passes"),
    [
        (KafkaException(KafkaError(KafkaError._TRANSPORT, "Connection refused")), True),
        (KafkaException(KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down")), True),
        (KafkaException(KafkaError(KafkaError._TIMED_OUT, "timed out")), True),
        (KafkaException(KafkaError(-137, "Broker handle destroyed")), True),
        (KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE, "an election")), True),
        (KafkaException(KafkaError(KafkaError._NOENT, "No leaders found")), True),
        (KafkaException(KafkaError(KafkaError.FENCED_LEADER_EPOCH, "an election")), True),
        (KafkaException(KafkaError(KafkaError._TRANSPORT, "connecting to a PLAINTEXT broker listener?")), False),
        (KafkaException(KafkaError(KafkaError._AUTHENTICATION, "wrong password")), False),
        (KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED, "no right")), False),
        (KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART, "gone")), False),
        (OSError("no route"), True),
        (ValueError("a mistake"), False),
        (None, False),
    ],
)
def test_what_may_pass_is_waited_for_and_nothing_else(cause: BaseException | None, passes: bool) -> None:
    """A loader would wait forever for a right that nobody grants, or die of a broker's restart."""
    assert is_passing(caused_by(cause)) is passes
