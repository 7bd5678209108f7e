"""How often a process that follows a topic begins again. The transactions are tested in tests/flows/test_process.py."""

from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from tradecap.errors import TradecapError
from tradecap.log.kafka import exactly_once as module
from tradecap.log.kafka.client import TopicGoneError
from tradecap.log.kafka.exactly_once import FAILURES, ExactlyOnce


class _Answering:
    """A broker that answers again; it may not know the topic any more."""

    def __init__(self, cluster: Any = None) -> None:
        self._is_gone = cluster == "gone"

    def confirm(self, _: object = None) -> bool:
        if self._is_gone:
            raise TopicGoneError("It was deleted.", "look.")
        return True


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> ExactlyOnce:
    """A process between two members, and what it reports."""
    monkeypatch.setattr(module, "AGAIN_S", 0.0)
    monkeypatch.setattr(module, "Presence", _Answering)
    process = object.__new__(ExactlyOnce)
    reported: list[str] = []
    log = SimpleNamespace(reported=reported, say=reported.append)
    outputs = SimpleNamespace(state="there")
    process.__dict__.update(_failures=0, _again=0, _member=None, _presence=_Answering(), _log=log, _outputs=outputs)
    return process


def failure(code: int) -> TradecapError:
    error = TradecapError("It failed.", "look.")
    error.__cause__ = KafkaException(KafkaError(code, "it failed"))
    return error


@pytest.mark.parametrize("code", [KafkaError._TRANSPORT, KafkaError.UNKNOWN_TOPIC_OR_PART])
def test_outages_of_weeks_do_not_add_up(process: ExactlyOnce, code: int) -> None:
    """On a quiet topic a follower would end at its eighth outage."""
    for _ in range(FAILURES * 2):
        process._wait_out(failure(code), lambda: True)
    assert process._failures == 0


def test_a_failure_that_lasts_is_reported_once(process: ExactlyOnce) -> None:
    """A follower would do nothing for days, without a word."""
    for _ in range(5):
        process._wait_out(failure(KafkaError._TIMED_OUT), lambda: True)
    assert vars(process._log)["reported"] == ["It failed. It is tried again."]


def test_a_state_topic_that_is_gone_ends_a_follower(process: ExactlyOnce) -> None:
    """It would wait for it forever, while the log's topic is there."""
    vars(process._outputs)["state"] = "gone"
    with pytest.raises(TopicGoneError):
        process._wait_out(failure(KafkaError.UNKNOWN_TOPIC_OR_PART), lambda: True)


def test_a_process_that_was_asked_for_an_end_gives_up(process: ExactlyOnce) -> None:
    """A job in CI would wait forever."""
    for _ in range(FAILURES - 1):
        process._wait_out(failure(KafkaError._TRANSPORT), None)
    with pytest.raises(TradecapError):
        process._wait_out(failure(KafkaError._TRANSPORT), None)


def test_what_does_not_pass_ends_a_follower(process: ExactlyOnce) -> None:
    """It would wait for a right that nobody grants."""
    with pytest.raises(TradecapError):
        process._wait_out(failure(KafkaError.TOPIC_AUTHORIZATION_FAILED), lambda: True)
