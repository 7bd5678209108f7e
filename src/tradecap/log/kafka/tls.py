"""Why TLS between this client and a broker didn't come about: what librdkafka leaves out of its errors.

Rules: librdkafka reports an unknown authority, an expired certificate and a wrong name by the same words, and a broker
in Java refuses a client's certificate by the same alert whatever is wrong with it. So after a failure the handshake is
made once more with Python's ssl, which says why, and the client's certificate is looked at. Nothing is sent over that
connection, and what can't be found out is None.

Source: RFC 5280, 4.1 (the fields of a certificate).
"""

import re
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from tradecap.dialing import dial

PROBE_S: Final = 3.0
EXPIRED: Final = 10
NOT_YET_VALID: Final = 9
WRONG_NAME: Final = (62, 64)
"""X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH of OpenSSL; the others are
X509_V_ERR_CERT_HAS_EXPIRED and ..._NOT_YET_VALID."""
_PEM: Final = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


class Reason(NamedTuple):
    """What is wrong, as the end of a sentence, and what to do about it."""

    text: str
    hint: str


def distrust(servers: str, properties: Mapping[str, str]) -> Reason | None:
    """Why a broker's certificate isn't accepted, for the first broker that can be asked."""
    context = _context(properties)
    for server in servers.split(",") if context else ():
        host, _, port = server.rpartition(":")
        host = host.strip("[]")
        try:
            with dial(host, int(port), PROBE_S) as connection:
                connection.settimeout(PROBE_S)
                context.wrap_socket(connection, server_hostname=host).close()  # type: ignore[union-attr]  # not in the loop without one
        except ssl.SSLCertVerificationError as error:
            return _why(error, server, properties)
        except OSError:
            continue
    return None


def _context(properties: Mapping[str, str]) -> ssl.SSLContext | None:
    """The trust of the client: by ssl.ca.pem, ssl.ca.location (a file or a folder), else that of the machine."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = properties.get("ssl.endpoint.identification.algorithm", "https") != "none"
    place = properties.get("ssl.ca.location", "")
    try:
        if text := properties.get("ssl.ca.pem"):
            context.load_verify_locations(cadata=text)
        elif place and place != "probe":
            context.load_verify_locations(**{"capath" if Path(place).is_dir() else "cafile": place})
        else:
            context.load_default_certs()
    except (OSError, ValueError):
        return None
    return context


def _why(error: ssl.SSLCertVerificationError, server: str, properties: Mapping[str, str]) -> Reason:
    if error.verify_code == EXPIRED:
        return Reason(
            f"the certificate of the broker {server} has expired",
            "renew the broker's certificate, and check the clock of this machine.",
        )
    if error.verify_code == NOT_YET_VALID:
        return Reason(
            f"the certificate of the broker {server} isn't valid yet",
            "check the clocks of this machine and of the broker.",
        )
    if error.verify_code in WRONG_NAME:
        return Reason(
            f"the certificate of the broker {server} is for another name",
            "write the name in the certificate as the host of the URL.",
        )
    trusted = properties.get("ssl.ca.location") or (
        "ssl.ca.pem" if properties.get("ssl.ca.pem") else "the authorities of this machine"
    )
    hint = "name the file of the right authority: TRADECAP_KAFKA_SSL_CA_LOCATION=/path/to/ca.pem"
    return Reason(f"the certificate of the broker {server} isn't signed by an authority in {trusted}", hint)


def refused_certificate(properties: Mapping[str, str]) -> Reason:
    """Why a broker doesn't accept this client's certificate: it closed the connection with an alert, so only our own
    side can be examined."""
    place, text = properties.get("ssl.certificate.location", ""), properties.get("ssl.certificate.pem", "")
    if not place and not text and not properties.get("ssl.keystore.location"):
        hint = "set TRADECAP_KAFKA_SSL_CERTIFICATE_LOCATION and TRADECAP_KAFKA_SSL_KEY_LOCATION."
        return Reason("the broker wants a certificate of the client, and none is set", hint)
    name = f"the client's certificate{f' {place}' if place else ''}"
    ends = expiry(text or _read(place))
    if ends is not None and ends < datetime.now(UTC):
        return Reason(f"{name} expired at {ends:%Y-%m-%dT%H:%M:%SZ}", "renew it; the broker refuses it until then.")
    return Reason(f"the broker refuses {name}", "is it signed by an authority that the broker trusts?")


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""


def expiry(pem: str) -> datetime | None:
    """The end of the validity of the first certificate in a PEM text."""
    found = _PEM.search(pem)
    try:
        return _not_after(ssl.PEM_cert_to_DER_cert(found[0])) if found else None
    except (ValueError, IndexError):
        return None


def _not_after(der: bytes) -> datetime:
    at = _field(der, _field(der, 0)[1])[1]  # Certificate, and in it TBSCertificate
    if der[at] == 0xA0:  # the version, which may be left out
        at = _field(der, at)[2]
    for _ in ("serialNumber", "signature", "issuer"):
        at = _field(der, at)[2]
    not_before = _field(der, at)[1]
    tag, begin, end = _field(der, _field(der, not_before)[2])
    text = der[begin:end].decode()
    if tag == 0x17:  # UTCTime has two digits of the year, from 1950 on
        text = f"{19 if int(text[:2]) >= 50 else 20}{text}"
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _field(der: bytes, at: int) -> tuple[int, int, int]:
    """The tag of a DER field, and where its content begins and ends."""
    tag, length, begin = der[at], der[at + 1], at + 2
    if length & 0x80:
        begin += length & 0x7F
        length = int.from_bytes(der[at + 2 : begin])
    return tag, begin, begin + length
