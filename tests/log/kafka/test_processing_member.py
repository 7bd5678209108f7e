"""The steps of a transaction: asked again while the broker may still do them. The transactions are tested in
tests/flows/test_process.py."""

import pytest
from confluent_kafka import KafkaError, KafkaException

from tradecap.log.kafka.processing_member import ask_again


def test_a_step_is_asked_again_while_it_may_still_be_done() -> None:
    """A transaction that the broker had only not finished yet would be thrown away, with all that was computed."""
    errors = [KafkaException(KafkaError(KafkaError._TIMED_OUT, "not yet", False, True))] * 2

    def step() -> None:
        if errors:
            raise errors.pop()

    ask_again(step, 60.0)
    assert not errors


@pytest.mark.parametrize(("retriable", "patience_s"), [(False, 60.0), (True, 0.0)])
def test_a_step_that_failed_for_good_is_raised(retriable: bool, patience_s: float) -> None:
    """A process would ask forever, and its partitions would not move."""
    error = KafkaException(KafkaError(KafkaError._FENCED, "taken", False, retriable))

    def step() -> None:
        raise error

    with pytest.raises(KafkaException) as raised:
        ask_again(step, patience_s)
    assert raised.value is error
