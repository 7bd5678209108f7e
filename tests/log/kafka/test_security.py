"""What a broker that asks who its clients are refuses: one sentence that names it, soon, and nothing that was
acknowledged is lost."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from tests.flows.builders import begun, replayed, some_messages
from tests.kafka.broker import HOST
from tests.kafka.secured import PLAIN_USERS, Secured
from tradecap.errors import Exit, TradecapError
from tradecap.log import open_log
from tradecap.log.api import Log
from tradecap.log.kafka.topics import topic_behind

pytestmark = pytest.mark.kafka
PASSWORD = "pass w0rd"
SOON_S = 60.0
"""Within it a refusal is reported: it has to last 2 s, and machines are slow."""


@dataclass(frozen=True)
class TopicAccess:
    """A topic on the secured broker, and the users that open it."""

    secured: Secured
    topic: str

    def log(self, user: str, *rights: str, group: bool = False) -> Log:
        """The topic as this user sees it, with these rights to it."""
        return open_log(self.secured.url(self.topic), kafka=self.user(user, *rights, group=group))

    def user(self, user: str, *rights: str, group: bool = False) -> dict[str, str]:
        name = f"{user}-{self.topic[-8:]}"
        self.secured.add_user(name, PASSWORD)
        self.secured.allow(name, self.topic, *rights, group=group)
        return self.secured.login(name) | {"sasl.password": PASSWORD}


@pytest.fixture
def access(secured: Secured, topic_name: str) -> TopicAccess:
    """A topic of one partition, which nobody has a right to."""
    return TopicAccess(secured, secured.kafka.new_topic(topic_name, partitions=1))


def refusal(secured: Secured, listener: str, properties: Mapping[str, str], topic: str = "t") -> TradecapError:
    """How opening a log ends, which must be soon."""
    began_s = time.monotonic()
    with pytest.raises(TradecapError) as error:
        open_log(secured.url(topic, listener), kafka=properties)
    assert time.monotonic() - began_s < SOON_S
    return error.value


# ---- the login -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_a_wrong_password_is_named_with_its_user(secured: Secured, mechanism: str) -> None:
    """librdkafka's question only times out, after which people look at the network."""
    secured.add_user("somebody", PASSWORD)
    user = "plain" if mechanism == "PLAIN" else "somebody"
    error = refusal(secured, "LOGIN", secured.login(user, mechanism) | {"sasl.password": "wr0ng-one"})
    assert error.message.startswith(
        f"Log {secured.url('t')} can't be opened: the broker refuses user '{user}' or its password ("
    )
    assert "TRADECAP_KAFKA_SASL_PASSWORD" in error.hint
    assert error.exit_code is Exit.UNREACHABLE
    assert "wr0ng" not in f"{error.message}{error.hint}"


def test_a_broker_of_another_authority_is_named_with_the_file(secured: Secured) -> None:
    """The wrong file would look like a broker that is down."""
    trust = {"sasl.password": PASSWORD, "ssl.ca.location": secured.file("other-ca.pem")}
    error = refusal(secured, "LOGIN", secured.login("plain", "PLAIN") | trust)
    assert f"isn't signed by an authority in {secured.file('other-ca.pem')}" in error.message
    assert "TRADECAP_KAFKA_SSL_CA_LOCATION" in error.hint
    assert error.exit_code is Exit.UNREACHABLE


def test_an_expired_certificate_of_the_broker_is_not_taken_for_a_wrong_authority(secured: Secured) -> None:
    """librdkafka says the same of both, and the file that is right would be looked at."""
    error = refusal(secured, "EXPIRED", secured.login("plain", "PLAIN") | {"sasl.password": PLAIN_USERS["plain"]})
    assert error.message.endswith(f"the certificate of the broker {HOST}:{secured.ports['EXPIRED']} has expired.")
    assert error.exit_code is Exit.UNREACHABLE


def test_a_certificate_for_another_name_is_named(secured: Secured) -> None:
    """A broker reached by another name than that of its certificate looks like one of a wrong authority."""
    port = secured.ports["LOGIN"]
    properties = secured.login("plain", "PLAIN") | {"sasl.password": PLAIN_USERS["plain"]}
    with pytest.raises(
        TradecapError, match=f"the certificate of the broker localhost:{port} is for another name"
    ) as error:
        open_log(f"kafka://localhost:{port}/t", kafka=properties)
    assert error.value.exit_code is Exit.UNREACHABLE


def test_an_expired_certificate_of_the_client_is_named_with_its_date(secured: Secured) -> None:
    """A broker in Java sends the same alert for everything that may be wrong with a certificate."""
    error = refusal(secured, "MUTUAL", secured.certificate("expired"))
    assert error.message.endswith(
        f"the client's certificate {secured.file('expired.pem')} expired at 2020-01-01T00:00:00Z."
    )
    assert error.exit_code is Exit.UNREACHABLE


def test_a_client_without_a_certificate_learns_that_one_is_wanted(secured: Secured) -> None:
    """The alert says 'bad certificate' where there is none."""
    error = refusal(secured, "MUTUAL", {"security.protocol": "SSL", "ssl.ca.location": secured.file("ca.pem")})
    assert error.message.endswith("the broker wants a certificate of the client, and none is set.")
    assert "TRADECAP_KAFKA_SSL_CERTIFICATE_LOCATION" in error.hint


def test_a_certificate_of_an_authority_that_the_broker_does_not_know_is_named(secured: Secured) -> None:
    """Nothing is wrong with the file itself, so its dates would be looked at in vain."""
    error = refusal(secured, "MUTUAL", secured.certificate("stranger"))
    assert error.message.endswith(f"the broker refuses the client's certificate {secured.file('stranger.pem')}.")


def test_a_port_without_tls_is_named(secured: Secured) -> None:
    """A mixed-up port looks like a broker that is down."""
    plain = f"kafka://{secured.kafka.bootstrap}/t"
    with pytest.raises(TradecapError, match="has no TLS at this port") as error:
        open_log(plain, kafka=secured.certificate())
    assert error.value.exit_code is Exit.UNREACHABLE


def test_a_file_that_is_missing_is_named(secured: Secured) -> None:
    """librdkafka gives an error of OpenSSL with a number in it."""
    error = refusal(
        secured, "LOGIN", secured.login("plain", "PLAIN") | {"sasl.password": "x", "ssl.ca.location": "/no/ca.pem"}
    )
    assert error.message.endswith("/no/ca.pem (ssl.ca.location): No such file or directory.")
    assert error.exit_code is Exit.USAGE


# ---- what it may -----------------------------------------------------------------------------------------------------


def grant(error: TradecapError, operation: str) -> bool:
    """Whether the hint is the command that grants this."""
    return (
        error.exit_code is Exit.UNREACHABLE
        and (f"kafka-acls --bootstrap-server {HOST}:") in error.hint
        and f"--operation {operation}" in error.hint
    )


def test_a_client_that_may_not_even_see_the_topic_learns_which_right_it_lacks(access: TopicAccess) -> None:
    """It would read that there is no such topic, and make it."""
    with pytest.raises(TradecapError, match=f"'nobody-.*' has no right to DESCRIBE topic {access.topic}") as error:
        access.log("nobody")
    assert grant(error.value, "Describe")


def test_a_reader_that_may_not_write_is_refused_before_it_takes_a_record(access: TopicAccess) -> None:
    """A capture would take trades in, and learn from the first acknowledgement that none is kept."""
    log = access.log("reader", "READ")
    with pytest.raises(
        TradecapError, match=f"can't be written: user 'reader-.*' has no right to WRITE topic {access.topic}"
    ) as error:
        log.writer()
    assert grant(error.value, "Write")


def test_a_right_that_is_taken_away_loses_nothing_that_was_acknowledged(
    access: TopicAccess, capfd: pytest.CaptureFixture[str]
) -> None:
    """The count of what is acknowledged would be a guess, or the run would go on into the void for two minutes."""
    log = access.log("writer", "READ", "WRITE")
    writer = log.writer()
    run = begun(writer, some_messages(range(50)))
    writer.flush()
    access.secured.forbid(f"writer-{access.topic[-8:]}", access.topic)
    began_s = time.monotonic()
    run.event("alive")
    with pytest.raises(
        TradecapError,
        match=r"no right to WRITE topic .*\. About 51 of 52 records of run .* are "
        r"acknowledged",
    ) as error:
        writer.flush()
    assert error.value.exit_code is Exit.UNDELIVERED
    assert time.monotonic() - began_s < SOON_S
    writer.close()
    admin = open_log(f"kafka://{access.secured.kafka.bootstrap}/{access.topic}")
    assert sum(batch.records for batch in admin.read()) == 51
    assert capfd.readouterr().err == ""


def test_a_writer_that_may_not_read_learns_it_when_it_reads(access: TopicAccess) -> None:
    """It could not tell a topic that is empty from one that is closed to it."""
    log = access.log("writer", "WRITE")
    replayed(log, some_messages(range(3)))
    with pytest.raises(TradecapError, match=f"has no right to READ topic {access.topic}") as error:
        list(log.read())
    assert grant(error.value, "Read")


def test_a_loader_without_the_right_to_its_group_learns_it(access: TopicAccess) -> None:
    """The right to the topic, which it has, would be looked at."""
    replayed(access.log("writer", "WRITE"), some_messages(range(3)))
    log = access.log("reader", "READ")
    with pytest.raises(TradecapError, match="has no right to READ the groups tradecap-") as error:
        list(log.feed("one", dict, on_damage=lambda _: None))
    assert grant(error.value, "Read --group tradecap- --resource-pattern-type prefixed")


def test_reading_alone_takes_no_right_to_a_group(access: TopicAccess) -> None:
    """`verify` would need a right to groups that it never joins."""
    replayed(access.log("writer", "WRITE"), some_messages(range(3)))
    assert sum(batch.records for batch in access.log("reader", "READ").read()) == 5


def test_a_writer_that_may_not_make_topics_writes_to_one_that_is_there(access: TopicAccess) -> None:
    """A broker refuses to make a topic before it looks whether it is there, so each capture would need the right to
    make topics."""
    properties = access.user("writer", "WRITE", "READ")
    log = open_log(access.secured.url(access.topic), create=True, kafka=properties)
    replayed(log, some_messages(range(3)))
    assert sum(batch.records for batch in log.read()) == 5


def test_a_topic_that_may_not_be_made_is_reported_with_the_right(secured: Secured, topic_name: str) -> None:
    """The answer of the broker is 'topic authorization failed' for everything."""
    secured.add_user("idle", PASSWORD)
    secured.allow("idle", topic_name, "WRITE")
    with pytest.raises(
        TradecapError, match=f"Topic {topic_name} can't be made: user 'idle' has no right to CREATE topic {topic_name}"
    ) as error:
        topic_behind(
            secured.url(topic_name),
            secured.login("idle") | {"sasl.password": PASSWORD},
            create=True,
            partitions=1,
            replication=None,
        )
    assert grant(error.value, "Create")


def test_a_changed_password_ends_a_reader_that_follows(access: TopicAccess, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would wait for brokers that will never let it in, and look like a loader with nothing to do."""
    monkeypatch.setattr("tradecap.log.kafka.reader.RUNNING_S", 1.0)
    replayed(access.log("writer", "WRITE"), some_messages(range(3)))
    log = access.log("reader", "READ", group=True)
    # open connections stay; the reader's come later
    access.secured.add_user(f"reader-{access.topic[-8:]}", "another one")
    with pytest.raises(TradecapError, match=r"the broker refuses user 'reader-.*' or its password") as error:
        next(log.feed("one", dict, follow=lambda: True, on_damage=lambda _: None))
    assert error.value.exit_code is Exit.UNREACHABLE
