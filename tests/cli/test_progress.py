"""How far long work is: the share done and the time left, from what is known before it begins."""

import re
from pathlib import Path

import pytest

from tests.cli.test_wrong_input import ran
from tests.flows.builders import some_messages
from tradecap.cli import output
from tradecap.flows.replay import replay

DIGITS = "[\\d\u202f]+"


def report(stderr: str, what: str) -> list[str]:
    return [line for line in stderr.splitlines() if line.startswith(f"{what}: ")]


def test_replay_load_and_verify_say_how_far_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """A count without an end doesn't show progress: nobody knows whether to wait or to come back tomorrow."""
    monkeypatch.setattr(output, "PLAIN_PROGRESS_S", 0.0)
    monkeypatch.setattr(replay, "FLUSH_RECORDS", 1000)
    Path("recording").write_bytes(b"".join(message + b"\n" for message in some_messages(range(5000))))
    answer = report(ran("replay", "recording").stderr, "replay")
    assert re.fullmatch(f"replay: \\d+ %, 1\u202f000 of {DIGITS} records, {DIGITS}/s, .* left", answer[0]), answer
    assert re.fullmatch(f"replay: 100 %, 5\u202f000 of 5\u202f000 records, {DIGITS}/s", answer[-1]), answer
    ran("init-db", "-q")
    answer = report(ran("load").stderr, "load")
    assert answer[0] == "load: 0 %, 0 of 5\u202f002 records"
    assert answer[-1].startswith("load: 100 %, 5\u202f002 of 5\u202f002 records, ")
    answer = report(ran("verify").stderr, "verify")
    assert answer[-1].startswith("verify: 100 %, 5\u202f002 of 5\u202f002 records, ")
    answer = report(ran("replay", "tradecap-data/log", "--dry-run").stderr, "replay")
    assert re.match(f"replay: \\d+ %, 1\u202f000 of {DIGITS} records, ", answer[0]), answer
