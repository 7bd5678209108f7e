"""The seal of a certificate: no value in it can be changed unnoticed, and it may be formatted again."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.proof.builders import a_certificate
from tradecap.proof.certificate import read, written
from tradecap.proof.seal import Seal, seal_of, state_of

TEXT = written(a_certificate())


def found(text: bytes) -> Seal:
    """What reading makes of its seal."""
    certificate = read(text)
    assert not isinstance(certificate, str), certificate
    return certificate.seal


def test_what_was_written_is_whole_in_any_layout() -> None:
    """An editor that saves a certificate with other blanks would break it."""
    assert found(TEXT) is Seal.WHOLE
    assert found(json.dumps(json.loads(TEXT), indent=7, sort_keys=True).encode()) is Seal.WHOLE
    assert found(TEXT.replace(b"\n", b"\r\n")) is Seal.WHOLE
    assert found(written(a_certificate(log=a_certificate().log.__class__("log-1", "file:/Käse/\ud800")))) is Seal.WHOLE


@pytest.mark.parametrize(
    ("old", "new", "seal"),
    [
        (b'"PROVEN: every', b'"PROVEN: Every', Seal.BROKEN),
        (b'"trades": 10', b'"trades": 11', Seal.BROKEN),
        (b'"trades": 10', b'"trades": 10, "more": 1', Seal.BROKEN),
        (b'"duplicates": 0, ', b"", Seal.BROKEN),
        (b'"ok": true', b'"ok": false,"ok": true', Seal.BROKEN),
        (b'"records": 12, "last_seq"', b'"records": 13, "records": 12, "last_seq"', Seal.BROKEN),
        (b'"klines": []', b'"klines": [], "note": "fine"', Seal.BROKEN),
        (b'"certificate": 3', b'"certificate": 1', Seal.BROKEN),
        (b'"made_at": "2026-11-21', b'"made_at": "2026-11-20', Seal.BROKEN),
        (b'"evidence": true', b'"evidence": NaN, "evidence": true', Seal.BROKEN),
        (b',\n  "seal": "sha256:', b',\n  "seals": "sha256:', Seal.REMOVED),
        (b'"seal": "sha256:', b'"seal": "sha256:0', Seal.BROKEN),
    ],
)
def test_an_edit_breaks_the_seal(old: bytes, new: bytes, seal: Seal) -> None:
    """A sentence or a number that somebody improved would be believed."""
    assert old in TEXT
    assert state_of(TEXT.replace(old, new, 1), is_due=True) is seal


@given(st.data())
def test_no_value_can_be_changed(data: st.DataObject) -> None:
    """Any value, however deep: what is certified is all of it."""
    members: dict[str, Any] = json.loads(TEXT)
    at: Any = members
    while True:
        key = data.draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at))))
        if not isinstance(at[key], dict | list) or not at[key]:
            break
        at = at[key]
    before = at[key]
    at[key] = data.draw(
        st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=3)).filter(
            lambda value: repr(value) != repr(before)
        )
    )
    assert state_of(json.dumps(members).encode(), is_due=True) is not Seal.WHOLE


def test_a_seal_is_of_the_content() -> None:
    """Two programs that write keys in another order would seal the same thing differently."""
    assert seal_of({"a": 1, "b": [2]}) == seal_of({"b": [2], "a": 1}) != seal_of({"a": 1, "b": [3]})
