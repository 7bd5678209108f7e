"""The clients of docs/api.md, run as they are written."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.serve.serving import Served, run, serving

API = (Path(__file__).parents[2] / "docs/api.md").read_text(encoding="utf-8")
TOKEN = "a-token-nobody-guesses"
ALLOWED = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A process that serves the sample to those with a token."""
    folder = tmp_path_factory.mktemp("guarded")
    assert run(folder, "replay", "sample:").returncode == 0
    with serving(folder, environment={"TRADECAP_TOKEN": TOKEN}) as served:
        yield served


def client(language: str) -> str:
    """The client of the document in a language."""
    _, _, clients = API.partition("\n## Clients\n")
    (text,) = re.findall(rf"^```{language}\n(.*?)^```$", clients, re.MULTILINE | re.DOTALL)
    return str(text)


def said(served: Served, command: list[str], folder: Path) -> str:
    """What a client prints."""
    environment = {**os.environ, "TRADECAP_TOKEN": TOKEN, "URL": served.url}
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def expected(served: Served) -> list[str]:
    """What it should print."""
    return [f"{bar['open_time']} {bar['close']}" for bar in served.get("/candles?symbol=BTCUSDT&limit=5", ALLOWED).json["candles"]]


def test_python(guarded: Served, tmp_path: Path) -> None:
    """The first thing that somebody pastes fails."""
    assert said(guarded, [sys.executable, "-c", client("python"), guarded.url], tmp_path).splitlines() == expected(guarded)


def test_curl(guarded: Served, tmp_path: Path, outside_part: Callable[[bool, str], None]) -> None:
    """The second one."""
    outside_part(shutil.which("curl") is not None, "curl")
    bars = json.loads(said(guarded, ["sh", "-c", client("sh")], tmp_path))["candles"]
    assert [f"{bar['open_time']} {bar['close']}" for bar in bars] == expected(guarded)


def test_javascript(guarded: Served, tmp_path: Path, outside_part: Callable[[bool, str], None]) -> None:
    """People who build pages paste this one."""
    outside_part(shutil.which("node") is not None, "node")
    (tmp_path / "client.mjs").write_text(client("js"))
    assert said(guarded, ["node", "client.mjs", guarded.url], tmp_path).splitlines() == expected(guarded)


def test_go(guarded: Served, tmp_path: Path, outside_part: Callable[[bool, str], None]) -> None:
    """People who build services paste this one."""
    outside_part(shutil.which("go") is not None, "go")
    (tmp_path / "main.go").write_text(client("go"))
    assert said(guarded, ["go", "run", "main.go", guarded.url], tmp_path).splitlines() == expected(guarded)
