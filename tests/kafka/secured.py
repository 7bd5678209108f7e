"""A broker that asks who its clients are: SASL over TLS, certificates over TLS, and rights (ACLs).

Rules: its certificates are made when it starts, by an authority that no machine trusts. The plain listener is for the
broker itself and for `admin`, the one who may do everything; the tests' users come by the others. Each user has the
rights that it was given, and no more.
"""

import datetime
import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trustme
from confluent_kafka.admin._acl import AclBinding, AclBindingFilter, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType
from confluent_kafka.admin._scram import ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from tests.kafka.broker import HOST, Broker, free_port, shared
from tests.kafka.client import TIMEOUT_S, Kafka
from tests.kafka.installation import Installation

LISTENERS: Final = ("LOGIN", "MUTUAL", "EXPIRED")
"""LOGIN: SASL over TLS. MUTUAL: clients show a certificate, whose CN is their name. EXPIRED: as LOGIN, but the broker's
certificate has expired."""
PLAIN_USERS: Final = {"plain": "plain-s3cret", "odd": "q\"uo'te %41 sp ace, \\ and ünïcødé;="}
"""Users of the mechanism PLAIN: the broker reads them when it starts."""
LONG_AGO: Final = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
LEAST_ITERATIONS: Final = 4096


@dataclass(frozen=True)
class Secured:
    """A running secured broker as tests see it: where its listeners are, its certificates, and its administration."""

    folder: Path
    ports: Mapping[str, int]
    kafka: Kafka
    """By the plain listener, with all rights."""

    def url(self, topic: str, listener: str = "LOGIN") -> str:
        """The topic as the URL of a log, by one of the listeners."""
        return f"kafka://{HOST}:{self.ports[listener]}/{topic}"

    def file(self, name: str) -> str:
        """The path of a certificate or key that `make_certificates` wrote."""
        return str(self.folder / "pki" / name)

    def login(self, user: str, mechanism: str = "SCRAM-SHA-256") -> dict[str, str]:
        """The properties of a client that logs in, but for its password."""
        own = {"sasl.mechanism": mechanism, "sasl.username": user, "ssl.ca.location": self.file("ca.pem")}
        return {"security.protocol": "SASL_SSL", **own}

    def certificate(self, name: str = "client") -> dict[str, str]:
        """The properties of a client that shows a certificate."""
        own = {"ssl.certificate.location": self.file(f"{name}.pem"), "ssl.key.location": self.file(f"{name}.key")}
        return {"security.protocol": "SSL", "ssl.ca.location": self.file("ca.pem"), **own}

    def add_user(self, name: str, password: str) -> None:
        """A user of both SCRAM mechanisms, or a new password of one."""
        # by which one sees that the broker knows the new one
        iterations = random.randint(LEAST_ITERATIONS, 2 * LEAST_ITERATIONS)
        for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):  # a request may name a user once
            wanted = UserScramCredentialUpsertion(name, ScramCredentialInfo(mechanism, iterations), password.encode())
            self.kafka.admin.alter_user_scram_credentials([wanted])[name].result(TIMEOUT_S)
        self.until(lambda: self.iterations(name) == [iterations, iterations])

    def iterations(self, name: str) -> list[int]:
        """The iteration counts of a user's credentials, as the broker knows them."""
        answers = self.kafka.admin.describe_user_scram_credentials([name])
        assert isinstance(answers, dict)
        return [each.iterations for each in answers[name].result(TIMEOUT_S).scram_credential_infos]

    def allow(self, user: str, topic: str, *operations: str, group: bool = False) -> None:
        """Give a user these rights to one topic (READ, WRITE, DESCRIBE, CREATE ...), and to read all groups of
        tradecap."""
        wanted = [
            _acl(user, ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, AclOperation[operation])
            for operation in operations
        ]
        if group:
            wanted.append(_acl(user, ResourceType.GROUP, "tradecap-", ResourcePatternType.PREFIXED, AclOperation.READ))
        for answer in self.kafka.admin.create_acls(wanted).values() if wanted else ():
            answer.result(TIMEOUT_S)
        self.until(lambda: all(self.kafka.admin.describe_acls(_exactly(each)).result(TIMEOUT_S) for each in wanted))

    def forbid(self, user: str, topic: str) -> None:
        """Take all rights to a topic from a user."""
        every = AclBindingFilter(
            ResourceType.TOPIC,
            topic,
            ResourcePatternType.LITERAL,
            f"User:{user}",
            "*",
            AclOperation.ANY,
            AclPermissionType.ANY,
        )
        for answer in self.kafka.admin.delete_acls([every]).values():
            answer.result(TIMEOUT_S)
        self.until(lambda: not self.kafka.admin.describe_acls(every).result(TIMEOUT_S))

    def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until the broker knows: it learns of a change after the controller made it."""
        deadline = time.monotonic() + TIMEOUT_S
        while not is_so():
            assert time.monotonic() < deadline
            time.sleep(0.02)


def _exactly(acl: AclBinding) -> AclBindingFilter:
    return AclBindingFilter(
        acl.restype, acl.name, acl.resource_pattern_type, acl.principal, acl.host, acl.operation, acl.permission_type
    )


def _acl(user: str, kind: ResourceType, name: str, pattern: ResourcePatternType, operation: AclOperation) -> AclBinding:
    return AclBinding(kind, name, pattern, f"User:{user}", "*", operation, AclPermissionType.ALLOW)


class SecuredBroker(Broker):
    """A `Broker` with three more listeners. `secured` is what clients see of it."""

    def __init__(self, folder: Path, installation: Installation, *, users: Path | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        make_certificates(folder / "pki")
        self.ports = {name: free_port() for name in LISTENERS}
        super().__init__(folder, installation, users=users)
        self.secured = Secured(folder, self.ports, self.kafka)

    def settings(self) -> dict[str, str]:
        plain = super().settings()
        own = "".join(f",{name}://{HOST}:{port}" for name, port in self.ports.items())
        return {
            **plain,
            "listeners": plain["listeners"] + own,
            "advertised.listeners": plain["advertised.listeners"] + own,
            "listener.security.protocol.map": ",".join(
                (plain["listener.security.protocol.map"], "LOGIN:SASL_SSL", "MUTUAL:SSL", "EXPIRED:SASL_SSL")
            ),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
            "allow.everyone.if.no.acl.found": "false",
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.folder / "pki/ca.pem"),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.folder / "pki/broker.keystore"),
            "listener.name.expired.ssl.keystore.type": "PEM",
            "listener.name.expired.ssl.keystore.location": str(self.folder / "pki/stale-broker.keystore"),
            "listener.name.mutual.ssl.client.auth": "required",
            "listener.name.mutual.ssl.principal.mapping.rules": r"RULE:^.*CN=([a-zA-Z0-9.-]+).*$/$1/,DEFAULT",
            **{name: value for listener in ("login", "expired") for name, value in _logins(listener).items()},
        }


def _logins(listener: str) -> dict[str, str]:
    own, module = f"listener.name.{listener}", "org.apache.kafka.common.security"
    users = " ".join(f'user_{name}="{_escaped(password)}"' for name, password in PLAIN_USERS.items())
    return {
        f"{own}.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        f"{own}.plain.sasl.jaas.config": f"{module}.plain.PlainLoginModule required {users};",
        f"{own}.scram-sha-256.sasl.jaas.config": f"{module}.scram.ScramLoginModule required;",
        f"{own}.scram-sha-512.sasl.jaas.config": f"{module}.scram.ScramLoginModule required;",
    }


def _escaped(password: str) -> str:
    r"""As a text in quotes of a JAAS configuration inside of a Java properties file: each reads \ for itself."""
    jaas = password.replace("\\", "\\\\").replace('"', '\\"')
    return "".join(sign if sign.isascii() else f"\\u{ord(sign):04x}" for sign in jaas.replace("\\", "\\\\"))


def make_certificates(folder: Path) -> None:
    """The authority, and what it signed: for the broker and for a client, and one of each that has expired.

    other-ca.pem and stranger.pem are of another authority. The only name in the broker's certificate is HOST.
    """
    folder.mkdir(parents=True, exist_ok=True)
    authority, other = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    other.cert_pem.write_to_path(str(folder / "other-ca.pem"))
    write_certificate(folder / "broker", authority.issue_cert(HOST))
    write_certificate(folder / "stale-broker", authority.issue_cert(HOST, not_after=LONG_AGO))
    write_certificate(folder / "client", authority.issue_cert("client.test", common_name="client"))
    write_certificate(folder / "expired", authority.issue_cert("client.test", common_name="client", not_after=LONG_AGO))
    write_certificate(folder / "stranger", other.issue_cert("client.test", common_name="client"))


def write_certificate(path: Path, issued: trustme.LeafCert) -> None:
    """As .pem and .key, and both in one .keystore, which is how Kafka wants them."""
    chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
    key = load_pem_private_key(issued.private_key_pem.bytes(), None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    path.with_suffix(".pem").write_bytes(chain)
    path.with_suffix(".key").write_bytes(key)
    path.with_suffix(".keystore").write_bytes(key + chain)


@contextmanager
def shared_secured_broker(root: Path, installation: Installation) -> Iterator[Secured]:
    """As `shared_broker`."""

    def start(folder: Path, users: Path) -> str:
        broker = SecuredBroker(folder, installation, users=users)
        broker.start()
        return json.dumps({"bootstrap": broker.bootstrap, "ports": broker.ports})

    with shared(root, "secured-kafka", start) as report:
        where = json.loads(report)
        yield Secured(root / "secured-kafka", where["ports"], Kafka(where["bootstrap"]))
