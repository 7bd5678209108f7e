"""The same result on every machine: the real program on a plain machine, and on machines where all is against it.

Candles are the same bytes there, and verify finds the same. How many events a capture logs depends on the pace of the
machine; so records and events of captures aren't compared, and everything else is.
"""

import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple
from xml.etree import ElementTree

import pytest

PROGRAM: Final = str(Path(sys.executable).with_name("tradecap"))
ZONES: Final = ("America/New_York", "Asia/Kolkata")
PROXIES: Final = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "WSS_PROXY", "WS_PROXY")
TRADES: Final = 3345
"""Trades of BTCUSDT in the sample."""
FAULTS: Final = ("refuse trades=1000 for=200ms", "abort trades=1000", "drop trades=2000 count=5")
PACE: Final = frozenset({"records", "events"})
DRAWN: Final = frozenset({"duplicates", "conflicts"})
"""Numbers of a series of the demo that may differ: faults are drawn from the log in its order, which repairs change."""


class Machine(NamedTuple):
    """Where the program runs: its folder, its whole environment, its umask."""

    folder: Path
    env: dict[str, str]
    umask: int

    def how(self) -> dict[str, object]:
        """The keywords of subprocess. A session of its own has no terminal."""
        return {
            "cwd": self.folder,
            "env": self.env,
            "umask": self.umask,
            "stdin": subprocess.DEVNULL,
            "start_new_session": True,
        }

    def run(self, *args: str) -> bytes:
        """What a command prints. It ends well."""
        done = subprocess.run([PROGRAM, *args], capture_output=True, timeout=120, **self.how())  # type: ignore[call-overload]  # keywords
        assert done.returncode == 0, f"{args} in {self.env['TZ']}: {done.stderr.decode()}"
        return bytes(done.stdout)


def a_plain_machine(tmp_path: Path) -> Machine:
    """UTC, UTF-8, a home, and no proxy."""
    folder = tmp_path / "plain" / "work"
    folder.mkdir(parents=True)
    return Machine(folder, {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TZ": "UTC", "LC_ALL": "C.UTF-8"}, 0o022)


def a_hostile_machine(tmp_path: Path, zone: str, dead_port: int) -> Machine:
    """Another zone, no letters, no home, proxies that lead nowhere, and a folder whose name means something to a shell,
    a glob and a URL."""
    folder = tmp_path / zone.rpartition("/")[2] / "a b{1,2}*é"
    folder.mkdir(parents=True)
    proxies = {name: f"http://127.0.0.1:{dead_port}" for each in PROXIES for name in (each, each.lower())}
    return Machine(folder, {"PATH": os.environ["PATH"], "TZ": zone, "LC_ALL": "C", **proxies}, 0o077)


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[list[Machine]]:
    """The plain machine first, then the hostile ones."""
    with socket.socket() as taken:  # bound and not listening: nobody answers there, and nobody else can take it
        taken.bind(("127.0.0.1", 0))
        yield [
            a_plain_machine(tmp_path),
            *(a_hostile_machine(tmp_path, zone, taken.getsockname()[1]) for zone in ZONES),
        ]


def the_candles(machine: Machine, *forms: str) -> list[bytes]:
    """As they are printed."""
    return [machine.run("candles", "BTCUSDT", *form.split()) for form in forms]


def a_verdict(text: bytes, but: frozenset[str] = frozenset()) -> dict[str, object]:
    """Checks, counts and series; of some counts neither they nor the texts that name them."""
    report = json.loads(text)
    keys = ("name", "ok") if but else ("name", "ok", "expected", "actual", "detail", "fix")
    counts = {name: n for name, n in report["counts"].items() if name not in but}
    checks = [{key: check[key] for key in keys} for check in report["checks"]]
    series = [
        {name: value for name, value in each.items() if not but or name not in DRAWN} for each in report["series"]
    ]
    return {
        "ok": report["ok"],
        "checks": checks,
        "counts": counts,
        "quarantined": report["quarantined"],
        "series": series,
    }


def outcome(machine: Machine, verdict: dict[str, object], candles: list[bytes]) -> dict[str, object]:
    """What has to be the same everywhere: also which files are there, and none outside the folder."""
    assert verdict["ok"] is True
    assert [*machine.folder.parent.iterdir()] == [machine.folder]
    assert candles[0].splitlines()[1].startswith(b"2024-08-09T11:59:00Z,")
    return {"verdict": verdict, "candles": candles, "files": sorted(each.name for each in machine.folder.glob("*"))}


# ---- the three ways to a proof ---------------------------------------------------------------------------------------


def of_the_sample(machine: Machine) -> dict[str, object]:
    """From the sample to candles, with reports of the proof."""
    machine.run("replay", "sample:")
    machine.run("init-db")
    machine.run("load")
    began = datetime.now(UTC).replace(microsecond=0)
    found = machine.run("verify", "--json", "--junit", "report.xml", "--certificate", "certificate.json")
    for report in times_of_reports(machine.folder):
        assert began <= report <= datetime.now(UTC)
    assert stat.S_IMODE((machine.folder / "report.xml").stat().st_mode) == 0o666 & ~machine.umask
    forms = ("--csv", "--json", "--csv --interval 1d", "--from 2024-08-09T12:00:00Z --limit 3", "--plot")
    return outcome(machine, a_verdict(found), the_candles(machine, *forms))


def times_of_reports(folder: Path) -> tuple[datetime, datetime]:
    """When the proof was made, as its certificate and its JUnit file say. The latter's form has no zone: it is UTC."""
    certificate = json.loads((folder / "certificate.json").read_bytes())["made_at"]
    suite = ElementTree.parse(folder / "report.xml").getroot().find("testsuite")
    assert certificate.endswith("Z")
    assert suite is not None
    return datetime.fromisoformat(certificate), datetime.fromisoformat(suite.attrib["timestamp"] + "+00:00")


def of_the_demo(machine: Machine) -> dict[str, object]:
    """The outcome of `demo`, which runs everything at once."""
    found = machine.run("demo", "--json")
    where = "--log file:tradecap-demo/log --store chdb:tradecap-demo/db"
    return outcome(machine, a_verdict(found, PACE), the_candles(machine, f"--csv {where}", f"--json {where}"))


def of_a_capture(machine: Machine) -> dict[str, object]:
    """Captured from an exchange that breaks off and leaves out; every trade is there in the end."""
    with simulating(machine) as url:
        # stale: asks even where the tape ended before it was back
        ends = ("--max-trades", str(TRADES), "--duration", "60s", "--stale", "3s")
        captured = json.loads(machine.run("stream", "BTCUSDT", "--ws-url", url, *ends, "--json"))
    assert (captured["valid"], captured["gaps_open"]) == (TRADES, [])
    assert captured["gaps_repaired"] == captured["gaps_found"] >= 2
    machine.run("init-db")
    machine.run("load")
    found = machine.run("verify", "--json")
    return outcome(machine, a_verdict(found, PACE), the_candles(machine, "--csv", "--json"))


@contextmanager
def simulating(machine: Machine) -> Iterator[str]:
    """The URL of a local exchange."""
    faults = [word for fault in FAULTS for word in ("--fault", fault)]
    command = [
        PROGRAM,
        "simulate",
        "sample:",
        "--symbol",
        "BTCUSDT",
        "--wait",
        "--speed",
        "60",
        "--port",
        "0",
        "--json",
        *faults,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, **machine.how()) as program:  # type: ignore[call-overload]  # as in run
        try:
            yield json.loads(program.stdout.readline())["url"]
        finally:
            program.kill()


# ---- tests -----------------------------------------------------------------------------------------------------------


def test_the_sample_gives_the_same_candles_on_every_machine(machines: list[Machine]) -> None:
    """The first thing that a new user does, in whatever place."""
    plain = of_the_sample(machines[0])
    for machine in machines[1:]:
        assert of_the_sample(machine) == plain, machine.env["TZ"]


def test_the_demo_gives_the_same_candles_on_every_machine(machines: list[Machine]) -> None:
    """Whoever has to use a proxy would see a failure where others see a proof."""
    plain = of_the_demo(machines[0])
    for machine in machines[1:]:
        assert of_the_demo(machine) == plain, machine.env["TZ"]


def test_a_capture_gives_the_same_candles_on_every_machine(machines: list[Machine]) -> None:
    """Gaps that are repaired at home only would be found weeks later."""
    plain = of_a_capture(machines[0])
    for machine in machines[1:]:
        assert of_a_capture(machine) == plain, machine.env["TZ"]
