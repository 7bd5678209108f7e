"""Certificates: what is written is read again."""

import json

import msgspec

from tests.proof.builders import COUNTS, a_certificate, a_run, a_segment
from tradecap.proof.certificate import VERSION, read, sentence, written
from tradecap.proof.checks import Accounts, Check
from tradecap.proof.seal import seal_of


def test_a_certificate_is_read_as_it_was_written() -> None:
    """Tomorrow's check would be against something else than today's finding."""
    certificate = a_certificate(segments=[a_segment(), a_segment(2, closed=False, problem="it is missing")])
    assert read(written(certificate)) == certificate


def test_a_certificate_has_a_line_for_each_fact() -> None:
    """Nobody could read it at a glance, or compare two with a diff."""
    text = written(a_certificate(runs=[a_run(1), a_run(2)])).decode()
    assert json.loads(text)["certificate"] == VERSION
    assert len([line for line in text.splitlines() if '"run": ' in line]) == 2
    assert text.splitlines()[2].startswith('  "sentence": "PROVEN')


def test_a_certificate_of_a_newer_form_is_distinguished_from_a_damaged_one() -> None:
    """A person would look for damage where an upgrade is needed."""
    newer = written(a_certificate(certificate=VERSION + 1))
    assert read(newer) == f"is of version {VERSION + 1}, this tradecap knows version {VERSION}"
    for text in (b"", b"[]", b"{}", b"\xff", written(a_certificate())[:-20], b"[" * 100_000):
        assert "isn't a certificate" in str(read(text))


def test_keys_that_a_later_tradecap_adds_are_no_damage() -> None:
    """Every new fact would make old programs useless."""
    members = {**json.loads(written(a_certificate())), "weather": "fine"}
    members["seal"] = seal_of({name: value for name, value in members.items() if name != "seal"})
    assert read(json.dumps(members).encode()) == a_certificate()


def test_the_sentence_says_what_was_proven_or_how_much_failed() -> None:
    """The first line of a certificate could claim what its checks deny."""
    counts = Accounts(records=3, trades=1, events=2)
    assert sentence(counts, [Check(name="a", ok=True, expected="", actual="")])[0] == "PROVEN"
    head, rest = sentence(
        counts, [Check(name="a", ok=True, expected="", actual=""), Check(name="b", ok=False, expected="", actual="")]
    )
    assert (head, rest[:24]) == ("NOT PROVEN", "1 of 2 checks failed: 3 ")


def test_numbers_in_it_are_numbers() -> None:
    """A script would have to take texts apart."""
    assert msgspec.json.decode(written(a_certificate()))["counts"] == COUNTS
