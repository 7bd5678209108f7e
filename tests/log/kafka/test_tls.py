"""What a certificate says of itself."""

from datetime import UTC, datetime

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from tradecap.log.kafka.tls import expiry, refused_certificate

ENDS = [
    datetime(2020, 1, 1, tzinfo=UTC),
    datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC),
    datetime(2050, 1, 1, tzinfo=UTC),
    datetime(2999, 6, 1, tzinfo=UTC),
]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA(key_type=trustme.KeyType.RSA)


@pytest.mark.parametrize("ends", ENDS)
def test_the_end_of_a_certificate_is_read_as_it_was_written(authority: trustme.CA, ends: datetime) -> None:
    """A certificate is written in two ways, by the year; one that has expired would be called fine."""
    chain = authority.issue_cert("client.test", common_name="client", not_after=ends).cert_chain_pems
    assert expiry("text before\n" + b"".join(each.bytes() for each in chain).decode()) == ends


@given(st.binary(max_size=60), st.integers(0, 700), st.integers(0, 400))
def test_a_damaged_certificate_ends_in_no_error_of_its_own(
    authority: trustme.CA, noise: bytes, at: int, cut: int
) -> None:
    """The sentence about a broker that refuses it would be a traceback."""
    lines = authority.issue_cert("client.test").cert_chain_pems[0].bytes()
    damaged = (lines[:at] + noise + lines[at + cut :]).decode(errors="replace")
    found = expiry(damaged)
    assert found is None or found.tzinfo is UTC
    assert refused_certificate({"ssl.certificate.pem": damaged}).text
