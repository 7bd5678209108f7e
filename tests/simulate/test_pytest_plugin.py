"""The fixture `tradecap_exchange`, as somebody else's tests use it: pytest runs in a process of its own."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.simulate.test_clients import CLIENTS, an_environment
from tradecap.pytest_plugin import OPTIONS

PAGE = (Path(__file__).parents[2] / "docs/simulate.md").read_text(encoding="utf-8")
PATIENCE_S = 90


def run_pytest(folder: Path, text: str, *args: str) -> "subprocess.CompletedProcess[str]":
    """pytest over one file of tests, which finds the plugin by the entry point of the installed package."""
    (folder / "test_theirs.py").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "--strict-markers", "-p", "no:cacheprovider", *args]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE_S)


def test_the_fixture_serves_a_recording_with_faults(tmp_path: Path) -> None:
    """Someone who tests a client would have to start and end an exchange by hand."""
    text = """
import json, ssl
import pytest
from urllib.request import urlopen
from websockets.sync.client import connect

pytestmark = pytest.mark.tradecap_exchange("sample:", symbols=["btcusdt"])

@pytest.mark.tradecap_exchange(faults=["drop count=2"], speed=10)
def test_a_recording(tradecap_exchange):
    with connect(f"{tradecap_exchange.url}/ws/btcusdt@trade", close_timeout=0.1) as client:
        first = json.loads(client.recv(timeout=60))
    assert first["s"] == "BTCUSDT"
    with urlopen(f"{tradecap_exchange.rest_url}/api/v3/historicalTrades?symbol=BTCUSDT&fromId=0") as answer:
        assert json.load(answer)[2]["id"] == first["t"]
    assert [report["fault"] for report in tradecap_exchange.reports] == ["drop"]
    assert tradecap_exchange.summary["connections"] == 1

@pytest.mark.tradecap_exchange(manual=True, tls=True)
def test_by_hand(tradecap_exchange):
    trusting = ssl.create_default_context(cafile=tradecap_exchange.ca)
    with connect(f"{tradecap_exchange.url}/ws/btcusdt@trade", ssl=trusting) as client:
        assert tradecap_exchange.play(5) == 5
        assert json.loads(client.recv(timeout=60))["e"] == "trade"
        tradecap_exchange.fire("close code=1012")
        with pytest.raises(Exception) as closed:
            while True:
                client.recv(timeout=60)
        assert closed.value.rcvd.code == 1012
"""
    done = run_pytest(tmp_path, text)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_without_a_marker_trades_are_generated(tmp_path: Path) -> None:
    """The shortest test would need a recording."""
    text = """
from websockets.sync.client import connect

def test_anything(tradecap_exchange):
    with connect(f"{tradecap_exchange.url}/ws/btcusdt@trade") as client:
        assert '"s":"BTCUSDT"' in client.recv(timeout=60)
"""
    done = run_pytest(tmp_path, text)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_the_marker_does_not_take_is_named(tmp_path: Path) -> None:
    """A misspelt option would be ignored, and the test would test something else."""
    text = """
import pytest

@pytest.mark.tradecap_exchange(fault="close")
def test_anything(tradecap_exchange):
    pass
"""
    done = run_pytest(tmp_path, text)
    assert done.returncode == 1
    assert "has no option 'fault'; it has symbols, rate," in done.stdout


def test_pytest_starts_without_the_exchange(tmp_path: Path) -> None:
    """Every run of everybody who has the package would start a second later."""
    done = run_pytest(
        tmp_path,
        "import sys\ndef test_nothing():\n    assert 'tradecap.simulate' not in sys.modules and "
        "'msgspec' not in sys.modules\n",
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_s_table_is_what_the_marker_takes() -> None:
    """An option that isn't written down doesn't exist."""
    written = PAGE[PAGE.index("| option | meaning |") : PAGE.index("## How fast")]
    names = [
        name
        for row in re.findall(r"^\| ([a-z_, ]+) \|", written, re.MULTILINE)
        for name in row.split(", ")
        if name != "option"
    ]
    assert sorted(names) == sorted(OPTIONS)


@pytest.mark.clients
def test_the_page_s_test_of_python_binance(tmp_path: Path, outside_part: Callable[[bool, str], None]) -> None:
    """Someone who begins with the page's example would begin with an error. Somebody else's client, unchanged."""
    python, problem = an_environment(CLIENTS["python_binance"])
    outside_part(python is not None, problem)
    assert python is not None
    (text,) = (each for each in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "tradecap_exchange" in each)
    packages = next((python.parents[1] / "lib").glob("python*/site-packages"))
    (tmp_path / "conftest.py").write_text(f"import sys\nsys.path.append({str(packages)!r})\n", encoding="utf-8")
    done = run_pytest(tmp_path, text)
    assert done.returncode == 0, done.stdout + done.stderr
