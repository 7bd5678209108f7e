"""What a cluster refuses a client, as sentences."""

import pytest
from confluent_kafka import KafkaError

from tradecap.errors import Exit
from tradecap.log.kafka.refusals import Heard, is_refusal, lacking, lacking_transactions, plain, refused

LOGIN = KafkaError(
    KafkaError._AUTHENTICATION,
    "sasl_plaintext://b:9092/1: SASL authentication error: Wrong password (after 5ms in state AUTH_REQ)",
)
DOWN = KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down")
AWAY = KafkaError(KafkaError._TRANSPORT, "b:9092: Connection refused")
NO_TLS = KafkaError(KafkaError._TRANSPORT, "ssl://b:9092: handshake failed: connecting to a PLAINTEXT broker listener?")
ALERT = KafkaError(KafkaError._TRANSPORT, "ssl://b:9092: SSL alert number 42")
USER = {"sasl.username": "me too", "sasl.password": "sesame", "sasl.mechanism": "PLAIN"}


@pytest.mark.parametrize(
    ("error", "refuses"), [(LOGIN, True), (NO_TLS, True), (ALERT, True), (AWAY, False), (DOWN, False)]
)
def test_a_broker_that_is_away_does_not_refuse(error: KafkaError, refuses: bool) -> None:
    """A restart of the broker would end a capture, or a wrong password be waited for."""
    assert is_refusal(error) is refuses


def test_the_newest_error_is_one_that_says_something() -> None:
    """ "All brokers are down" would hide the wrong password that is its cause."""
    heard = Heard()
    heard(LOGIN)
    heard(DOWN)
    assert heard.newest == LOGIN
    assert heard.refusal(0.0) == LOGIN
    assert heard.refusal(3600.0) is None
    heard.forget()
    assert heard.newest is None
    assert heard.refusal(0.0) is None


def test_the_words_of_the_library_are_cut_down_to_the_reason() -> None:
    """An address and a state of the library come where the reason is looked for."""
    assert plain(LOGIN) == "Wrong password"
    assert plain(KafkaError(KafkaError._FAIL, "Broker: Not authorized.")) == "Not authorized"


def test_a_refused_login_names_the_user_and_never_the_password() -> None:
    """The password of a production cluster would be in the log of a test."""
    error = refused(LOGIN, "Log kafka://b:9092/t can't be opened", "b:9092", USER)
    assert error.message == (
        "Log kafka://b:9092/t can't be opened: the broker refuses user 'me too' or its password (Wrong password)."
    )
    assert error.exit_code is Exit.UNREACHABLE
    assert "TRADECAP_KAFKA_SASL_PASSWORD" in error.hint
    assert "sesame" not in error.message + error.hint


def test_a_mechanism_that_the_broker_lacks_is_not_a_wrong_password() -> None:
    """Somebody would try passwords for an hour."""
    error = refused(
        KafkaError(KafkaError.UNSUPPORTED_SASL_MECHANISM, "Broker: Unsupported SASL mechanism"),
        "It failed",
        "b:9092",
        USER,
    )
    assert "doesn't take logins by PLAIN" in error.message
    assert "TRADECAP_KAFKA_SASL_MECHANISM" in error.hint


def test_a_port_without_tls_is_named() -> None:
    """A certificate would be looked for where none is needed."""
    error = refused(NO_TLS, "It failed", "b:9092", {})
    assert error.message == "It failed: the broker b:9092 has no TLS at this port."
    assert "TRADECAP_KAFKA_SECURITY_PROTOCOL" in error.hint


@pytest.mark.parametrize(
    ("properties", "client"),
    [
        (USER, "user 'me too'"),
        ({"security.protocol": "SSL"}, "the client's certificate"),
        ({}, "a client without login"),
    ],
)
def test_a_missing_right_comes_with_the_command_that_grants_it(properties: dict[str, str], client: str) -> None:
    """An operator would have to find out which of a dozen rights is meant."""
    topic = lacking(KafkaError.TOPIC_AUTHORIZATION_FAILED, "It failed", "Write", "trades", "b:9092", properties)
    assert topic.message == f"It failed: {client} has no right to WRITE topic trades."
    principal = "'User:me too'" if properties is USER else "'User:…'"
    assert topic.hint.endswith(f"--allow-principal {principal} --operation Write --topic trades")
    group = lacking(KafkaError.GROUP_AUTHORIZATION_FAILED, "It failed", "Write", "trades", "b:9092", properties)
    assert group.message.endswith(f"{client} has no right to READ the groups tradecap-….")
    assert group.hint.endswith("--operation Read --group tradecap- --resource-pattern-type prefixed")
    ids = lacking_transactions("It failed", "tradecap-p", "b:9092", properties)
    assert "no right to WRITE the transactional ids tradecap-p…" in ids.message
    assert ids.hint.endswith("--transactional-id tradecap-p --resource-pattern-type prefixed")
