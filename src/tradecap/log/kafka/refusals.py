"""What a cluster refuses a client, as sentences: a login, a certificate, a right.

Rules: a wrong password and a certificate show only in a client's error_cb, while its questions merely time out, so
every client has a `Heard` there. A refusal may pass (a broker that restarts), so only one that lasts ends something.
Each sentence names what is refused, and each hint what to set or to grant; a password is in none of them.

Sources: librdkafka CONFIGURATION.md; error codes as in rdkafka.h; Kafka documentation, authorization and ACLs.
"""

import re
import shlex
import time
from collections.abc import Mapping
from typing import Final

from confluent_kafka import KafkaError

from tradecap.errors import Exit, TradecapError
from tradecap.log.kafka.tls import Reason, distrust, refused_certificate

OPENING_S: Final = 2.0
"""How long a refusal may last while a log is opened: another broker may know better."""
RUNNING_S: Final = 30.0
"""How long it may last while records are read."""
_PAUSE_S: Final = 15.0
"""A refusal that isn't repeated for this long has passed: librdkafka tries again every ten seconds at least."""
RIGHTS: Final = (
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
)
LOGINS: Final = (
    KafkaError._AUTHENTICATION,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.UNSUPPORTED_SASL_MECHANISM,
)
_NO_TLS: Final = "connecting to a PLAINTEXT broker listener?"
_ALERT: Final = re.compile(r"SSL alert number|\balert\b")
_NOISE: Final = re.compile(
    r"^\w+://\S+: |^SASL authentication error: | \(after \d+ms in state \w+\)|\(?, \d+ identical error\(s\) "
    r"suppressed\)?|^Broker: "
)


class Heard:
    """What a client's error_cb is called with."""

    def __init__(self) -> None:
        self.newest: KafkaError | None = None
        """An error of any kind, except 'all brokers are down', which explains nothing."""
        self._refusal: KafkaError | None = None
        self._first_s = self._newest_s = float("-inf")

    def __call__(self, error: KafkaError) -> None:
        if error.code() != KafkaError._ALL_BROKERS_DOWN:
            self.newest = error
        if is_refusal(error):
            now_s = time.monotonic()
            if now_s - self._newest_s > _PAUSE_S:
                self._first_s = now_s
            self._refusal, self._newest_s = error, now_s

    def refusal(self, lasting_s: float) -> KafkaError | None:
        """A refusal that has lasted this long and hasn't passed."""
        now_s = time.monotonic()
        lasts = now_s - self._newest_s <= _PAUSE_S and now_s - self._first_s >= lasting_s
        return self._refusal if lasts else None

    def forget(self) -> None:
        """The cluster answered."""
        self.newest = self._refusal = None
        self._first_s = self._newest_s = float("-inf")


def is_refusal(error: KafkaError) -> bool:
    """Whether login or TLS failed: the broker is there, and trying again doesn't help."""
    if error.code() in (*LOGINS, KafkaError._SSL):
        return True
    return error.code() == KafkaError._TRANSPORT and (_NO_TLS in error.str() or _ALERT.search(error.str()) is not None)


def refused(error: KafkaError, what: str, servers: str, properties: Mapping[str, str]) -> TradecapError:
    """The sentence for a login or a handshake that failed."""
    if error.code() in LOGINS:
        return _no_login(error, what, properties)
    reason: Reason | None
    if _NO_TLS in error.str():
        hint = (
            "set TRADECAP_KAFKA_SECURITY_PROTOCOL to PLAINTEXT or SASL_PLAINTEXT, or use the port where the "
            "broker has TLS."
        )
        reason = Reason(f"the broker {servers} has no TLS at this port", hint)
    elif _ALERT.search(error.str()) and "verify failed" not in error.str():
        reason = refused_certificate(properties)
    else:
        reason = distrust(servers, properties)
    reason = reason or Reason(f"TLS failed ({plain(error)})", "check the files that TRADECAP_KAFKA_SSL_… name.")
    return TradecapError(f"{what}: {reason.text}.", reason.hint, Exit.UNREACHABLE)


def _no_login(error: KafkaError, what: str, properties: Mapping[str, str]) -> TradecapError:
    user, mechanism = (
        properties.get("sasl.username", ""),
        properties.get("sasl.mechanism", properties.get("sasl.mechanisms", "")),
    )
    reason = plain(error)
    if "nsupported" in reason or "not supported" in reason:
        hint = "set TRADECAP_KAFKA_SASL_MECHANISM to one that the broker has."
        return TradecapError(
            f"{what}: the broker doesn't take logins by {mechanism} ({reason}).", hint, Exit.UNREACHABLE
        )
    hint = "check TRADECAP_KAFKA_SASL_USERNAME and TRADECAP_KAFKA_SASL_PASSWORD (or TRADECAP_KAFKA_SASL_PASSWORD_FILE)."
    return TradecapError(
        f"{what}: the broker refuses user {user!r} or its password ({reason}).", hint, Exit.UNREACHABLE
    )


def plain(error: KafkaError) -> str:
    """librdkafka's words without the broker's address and its own state."""
    text, before = error.str(), ""
    while text != before:
        before, text = text, _NOISE.sub("", text)
    return text.rstrip(". ")


def lacking(
    code: int, what: str, operation: str, topic: str, servers: str, properties: Mapping[str, str]
) -> TradecapError:
    """The sentence for a right that the cluster doesn't give. operation: what was to be done with the topic, as Kafka
    names it (Read, Write ...)."""
    user, login = properties.get("sasl.username", ""), _login(properties)
    if code == KafkaError.GROUP_AUTHORIZATION_FAILED:
        operation, named, target = "Read", "the groups tradecap-…", "--group tradecap- --resource-pattern-type prefixed"
    else:
        named, target = f"topic {topic}", f"--topic {topic}"
    principal = shlex.quote(f"User:{user or '…'}")
    hint = (
        f"grant it: kafka-acls --bootstrap-server {servers} --add --allow-principal {principal} --operation "
        f"{operation} {target}"
    )
    return TradecapError(f"{what}: {login} has no right to {operation.upper()} {named}.", hint, Exit.UNREACHABLE)


def lacking_transactions(what: str, prefix: str, servers: str, properties: Mapping[str, str]) -> TradecapError:
    """The sentence for transactional ids (with this prefix) that the cluster doesn't let the client use."""
    principal = shlex.quote(f"User:{properties.get('sasl.username', '') or '…'}")
    hint = (
        f"grant it: kafka-acls --bootstrap-server {servers} --add --allow-principal {principal} --operation "
        "Write --operation Describe"
    )
    return TradecapError(
        f"{what}: {_login(properties)} has no right to WRITE the transactional ids {prefix}….",
        f"{hint} --transactional-id {prefix} --resource-pattern-type prefixed",
        Exit.UNREACHABLE,
    )


def _login(properties: Mapping[str, str]) -> str:
    if user := properties.get("sasl.username", ""):
        return f"user {user!r}"
    return (
        "the client's certificate"
        if properties.get("security.protocol", "").lower() == "ssl"
        else "a client without login"
    )
