"""Which CA certificates this machine has."""

from pathlib import Path

import pytest

from tradecap.simulate.tls import throw_away
from tradecap.venues.trust import trust_hint


def test_a_file_without_certificates_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A typing error in SSL_CERT_FILE would look like an attack."""
    (tmp_path / "0123abcd.0").touch()
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere.pem")
    assert trust_hint().startswith(
        "CA certificates couldn't be read (SSL_CERT_FILE is '/nowhere.pem', which holds none): install the package ca-"
    )
    (tmp_path / "0123abcd.0").unlink()
    assert trust_hint().startswith("this machine has no CA certificates (SSL_CERT_FILE is '/nowhere.pem'")


def test_where_certificates_are_the_issuer_is_in_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A man in the middle would look like a missing package."""
    monkeypatch.setenv("SSL_CERT_FILE", str(throw_away("127.0.0.1", tmp_path)[1]))
    assert trust_hint().startswith("is something between here and the venue")
