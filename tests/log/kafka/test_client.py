"""The URL of a topic and the properties of a client, without a broker."""

from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from tradecap.errors import Exit, TradecapError
from tradecap.log import open_log
from tradecap.log.kafka.carrier import KafkaCarrier
from tradecap.log.kafka.client import OURS, Address


@pytest.mark.parametrize("name", OURS)
def test_what_the_guarantees_depend_on_cannot_be_set(name: str) -> None:
    """acks=1 in a profile would make every acknowledgement a guess."""
    with pytest.raises(TradecapError, match=name.replace(".", r"\.")) as error:
        Address("kafka://localhost:9092/trades.raw", {name: "1"})
    assert error.value.exit_code is Exit.USAGE


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("kafka://host:9092/", "isn't the URL of a topic"),
        ("kafka:///trades.raw", "isn't the URL of a topic"),
        ("kafka://host:9092/a/b", "isn't the URL of a topic"),
        ("kafka://host:port/trades.raw", "isn't a host and port"),
        ("kafka://host:99999/trades.raw", "isn't a host and port"),
        ("kafka://host:9092/two words", "isn't a topic name"),
        ("kafka://host:9092/..", "isn't a topic name"),
    ],
)
def test_a_wrong_url_is_refused_with_an_example(url: str, says: str) -> None:
    """librdkafka would wait for a host that can't exist."""
    with pytest.raises(TradecapError, match=says) as error:
        open_log(url)
    assert error.value.exit_code is Exit.USAGE
    assert error.value.hint


def test_a_login_in_the_url_is_refused_and_not_repeated() -> None:
    """A password in a URL ends up in every process list."""
    with pytest.raises(TradecapError) as error:
        open_log("kafka://me:sesame@host:9092/trades.raw")
    assert "sesame" not in f"{error.value.message}{error.value.hint}"
    assert "TRADECAP_KAFKA_SASL_PASSWORD" in error.value.hint


@pytest.mark.parametrize("password", [" s3same", "\ts3same", "\ns3same"])
def test_a_password_that_librdkafka_would_cut_is_refused(password: str) -> None:
    """The broker would refuse a password that is right."""
    with pytest.raises(TradecapError, match=r"sasl\.password begins with white space") as error:
        Address("kafka://host:9092/trades.raw", {"sasl.password": password})
    assert error.value.exit_code is Exit.USAGE
    assert "s3same" not in error.value.message


def test_several_hosts_and_the_usual_port() -> None:
    """A cluster would be reached by its first broker alone."""
    assert Address("kafka://a:1,b,[::1]:3/t", {}).servers == "a:1,b:9092,[::1]:3"


class _Broken:
    """A producer whose broker has lost records, as confluent_kafka shows that: it raises a fatal error where it is
    polled, and `produce` says no more than that there is one."""

    def poll(self, _: float) -> int:
        raise KafkaException(KafkaError(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, "records are lost", True))

    flush = poll

    def produce(self, *_: object, **__: object) -> None:
        raise KafkaException(KafkaError(KafkaError._FATAL, "Fatal error", True))

    def purge(self) -> None:
        """Nothing waits."""


@pytest.mark.parametrize("does", ["send", "settle"])
def test_a_fatal_error_of_a_producer_is_named(does: str) -> None:
    """It would end the shipper's thread for good, where a new producer could go on."""
    with KafkaCarrier(Address("kafka://127.0.0.1:1/trades.raw", {}), 1_000_000) as carrier:
        carrier._producer = _Broken()  # type: ignore[assignment]  # no broker can be made to lose its tail
        envelope: Any = type("Envelope", (), {"run": "run", "event": "", "symbol": "BTCUSDT"})
        with pytest.raises(TradecapError, match="records are lost"):
            carrier.send([(b"{}\n", envelope, None)], lambda: True) if does == "send" else carrier.settle(lambda: True)  # type: ignore[list-item]  # as above
