"""What `tradecap verify` writes and reads besides: JUnit XML, certificates, klines."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from tests.cli.conftest import Finished, Program
from tests.flows.builders import some_messages
from tradecap.cli import cli
from tradecap.flows.verify.audit import Audit, audit
from tradecap.proof.checks import Check
from tradecap.proof.junit import junit


@pytest.fixture
def verify(tradecap: Program, lonely: Path) -> Callable[..., Finished]:
    """The command, after a small recording was replayed and loaded."""
    (lonely / "some.ndjson").write_bytes(b"\n".join(some_messages(range(1, 31))))
    assert tradecap("init-db").returncode == 0
    assert tradecap("replay", "some.ndjson", "--load").returncode == 0
    return lambda *args: tradecap("verify", *args)


def cases(path: Path) -> dict[str, ElementTree.Element]:
    """The test cases by name."""
    return {str(case.get("name")): case for case in ElementTree.parse(path).getroot().iter("testcase")}


def test_junit_has_a_case_for_each_check(verify: Callable[..., Finished]) -> None:
    """A CI system would show nothing, or not what failed."""
    assert verify("--junit", "report.xml", "--json").returncode == 0
    suite = ElementTree.parse("report.xml").getroot().find("testsuite")
    assert suite is not None
    assert (suite.get("failures"), suite.get("tests"), float(suite.get("time") or 0) > 0) == (
        "0",
        str(len(cases(Path("report.xml")))),
        True,
    )
    properties = {p.get("name"): p.get("value") for p in suite.iter("property")}
    assert (properties["counts.trades"], properties["log"]) == ("30", "file:./tradecap-data/log")


def test_junit_of_a_failure_says_what_and_what_to_do(verify: Callable[..., Finished]) -> None:
    """A red mark without a reason."""
    assert verify("--junit", "report.xml", "--expect", "trades=31").returncode == 1
    failure = cases(Path("report.xml"))["expect.trades"].find("failure")
    assert failure is not None
    assert failure.get("message") == "expected 31, found 30"


def test_junit_stays_xml_whatever_the_data_holds() -> None:
    """A symbol somebody made up would break the report of a whole build."""
    check = Check(
        name="ids.contiguous",
        ok=False,
        expected="<&\"'>",
        actual="a\x00\x1b\ud800\ufffe]]>\U0001f600",
        detail="d\x01",
        fix="fix\r\n",
    )
    root = ElementTree.fromstring(
        junit([check], seconds=1.5, at="2026-11-21T08:00:00", properties={"log": "file:\x02&"})
    )
    failure = root.find("testsuite/testcase/failure")
    assert failure is not None
    assert failure.get("message") == "expected <&\"'>, found a\ufffd\ufffd\ufffd\ufffd]]>\U0001f600"
    assert "d\ufffd" in str(failure.text)


def test_a_certificate_is_written_and_holds(verify: Callable[..., Finished], tradecap: Program) -> None:
    """A proof couldn't be kept."""
    assert verify("--certificate", "c.json").returncode == 0
    assert json.loads(Path("c.json").read_text())["ok"] is True
    done = verify("--against", "c.json", "--json")
    assert (done.returncode, json.loads(done.stdout)["checks"][-1]["actual"]) == (0, 0)
    assert tradecap("inject-bad", "--nulls", "2").returncode == 0
    assert tradecap("load").returncode == 0
    assert "the same and more" in verify("--against", "c.json").stdout


def test_a_proof_continues_from_a_certificate(verify: Callable[..., Finished], tradecap: Program) -> None:
    """A script couldn't tell how much was taken on trust, or would take from a certificate that isn't worth it."""
    assert verify("--certificate", "c.json").returncode == 0
    assert tradecap("inject-bad", "--nulls", "2").returncode == 0
    assert tradecap("load").returncode == 0
    done = verify("--since", "c.json", "--certificate", "d.json", "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["since"]["taken"], found["since"]["counted"], found["counts"]["records"]) == (
        0,
        32,
        4,
        36,
    )
    assert json.loads(Path("d.json").read_text())["since"]["records"] == 32
    Path("c.json").write_text(Path("c.json").read_text().replace('"BTCUSDT"', '"BTCUSDC"', 1))
    for args, code, answer in (
        (("--since", "c.json"), 2, "c.json can't be continued: the certificate was edited"),
        (("--since", "d.json", "--against", "d.json"), 2, "--since and --against don't go together"),
        (("--since", "some.ndjson"), 2, "isn't a certificate"),
    ):
        done = verify(*args)
        assert (done.returncode, answer in done.stderr, "hint: " in done.stderr, done.stdout) == (code, True, True, "")


def test_a_certificate_is_also_written_of_a_failure(verify: Callable[..., Finished]) -> None:
    """What failed couldn't be kept or handed on."""
    assert verify("--certificate", "c.json", "--expect", "trades=31").returncode == 1
    written = json.loads(Path("c.json").read_text())
    assert (written["ok"], written["sentence"].startswith("NOT PROVEN")) == (False, True)
    assert [path.name for path in Path().glob("c.json*")] == ["c.json"]


@pytest.mark.parametrize(
    "args",
    [
        ("--against", "some.ndjson"),
        ("--against", "nothing.json"),
        ("--certificate", "nowhere/c.json"),
        ("--junit", "nowhere/report.xml"),
        ("--klines", "nothing.csv"),
        ("--klines", "BTCUSDT-nothing.csv"),
        ("--klines-offset", "1h"),
        ("--as", "kraken:XBT"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_one_sentence(
    verify: Callable[..., Finished], args: tuple[str, str]
) -> None:
    """A typing error would end in a traceback, or look like a failed check."""
    done = verify(*args)
    answer = done.stderr.splitlines()
    assert (done.returncode, done.stdout, answer[-1].startswith("hint: "), "Traceback" in done.stderr) == (
        2,
        "",
        True,
        False,
    )


@pytest.mark.parametrize("has_cores", [True, False])
def test_the_store_is_asked_while_the_log_is_counted_where_cores_allow(
    verify: Callable[..., Finished], monkeypatch: pytest.MonkeyPatch, has_cores: bool
) -> None:
    """A machine with many cores would wait for one side after the other."""
    assert verify().returncode == 0
    overlaps: list[object] = []

    def watched(*args: Any, overlapped: bool, **extras: Any) -> Audit:
        overlaps.append(overlapped)
        return audit(*args, overlapped=overlapped, **extras)

    monkeypatch.setattr("tradecap.cli.verify.has_cores_to_overlap", lambda: has_cores)
    monkeypatch.setattr("tradecap.cli.verify.audit", watched)
    assert CliRunner().invoke(cli, ["verify"]).exit_code == 0
    assert overlaps == [has_cores]


def test_klines_are_compared_and_named_in_json(verify: Callable[..., Finished]) -> None:
    """A script couldn't tell which bars differ."""
    Path("BTCUSDT-1m.csv").write_text("1723204800000,1,1,1,1,1,1723204859999,1,12,1,1,0\n")
    done = verify("--klines", "BTCUSDT-1m.csv", "--json")
    result = json.loads(done.stdout)
    assert (done.returncode, result["checks"][-1]["name"], result["checks"][-1]["ok"]) == (1, "klines.equal", False)
    (found,) = result["klines"]
    assert (found["venue"], found["symbol"], found["interval"], found["compared"], found["differing"]) == (
        "binance",
        "BTCUSDT",
        "1m",
        1,
        1,
    )
    assert found["differences"][0] == {
        "open_time": "2024-08-09T12:00:00Z",
        "value": "open",
        "ours": "100",
        "theirs": "1",
    }
