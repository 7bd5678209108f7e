"""The clients of docs/api.md, run as they are written."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.serve.foreign import environment, is_possible, prepared
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


def client(language: str, chapter: str = "Clients") -> str:
    """The client of the document in a language."""
    _, _, clients = API.partition(f"\n## {chapter}\n")
    clients = clients.partition("\n## ")[0]
    (text,) = re.findall(rf"^```{language}\n(.*?)^```$", clients, re.MULTILINE | re.DOTALL)
    return str(text)


def answer(served: Served, command: list[str], folder: Path, around: Mapping[str, str] = os.environ) -> str:
    """What a client prints."""
    environment = {**around, "TRADECAP_TOKEN": TOKEN, "URL": served.url, "GRPC": served.target}
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def expected(served: Served) -> list[str]:
    """What it should print."""
    return [
        f"{bar['open_time']} {bar['close']}"
        for bar in served.get("/candles?symbol=BTCUSDT&limit=5", ALLOWED).json["candles"]
    ]


def test_python(guarded: Served, tmp_path: Path) -> None:
    """The first thing that somebody pastes fails."""
    assert answer(guarded, [sys.executable, "-c", client("python"), guarded.url], tmp_path).splitlines() == expected(
        guarded
    )


def test_curl(guarded: Served, tmp_path: Path, outside_part: Callable[[bool, str], None]) -> None:
    """The second one."""
    outside_part(shutil.which("curl") is not None, "curl")
    bars = json.loads(answer(guarded, ["sh", "-c", client("sh")], tmp_path))["candles"]
    assert [f"{bar['open_time']} {bar['close']}" for bar in bars] == expected(guarded)


def test_javascript(guarded: Served, tmp_path: Path, outside_part: Callable[[bool, str], None]) -> None:
    """People who build pages paste this one."""
    outside_part(shutil.which("node") is not None, "node")
    (tmp_path / "client.mjs").write_text(client("js"))
    assert answer(guarded, ["node", "client.mjs", guarded.url], tmp_path).splitlines() == expected(guarded)


def test_go(guarded: Served, tmp_path: Path, outside_part: Callable[[bool, str], None]) -> None:
    """People who build services paste this one."""
    outside_part(shutil.which("go") is not None, "go")
    (tmp_path / "main.go").write_text(client("go"))
    assert answer(guarded, ["go", "run", "main.go", guarded.url], tmp_path).splitlines() == expected(guarded)


def test_python_over_grpc(guarded: Served, tmp_path: Path) -> None:
    """The generated code that comes with the package doesn't work for a client."""
    assert answer(
        guarded, [sys.executable, "-c", client("python", "gRPC clients"), guarded.target], tmp_path
    ).splitlines() == expected(guarded)


@pytest.fixture
def foreign(outside_part: Callable[[bool, str], None]) -> Path:
    """gRPC of other languages."""
    outside_part(is_possible(), "Go 1.26 or npm")
    return prepared()


@pytest.mark.clients
def test_grpcurl(guarded: Served, tmp_path: Path, foreign: Path) -> None:
    """Somebody who looks around with grpcurl finds nothing: reflection, metadata or the stream fails."""
    script = client("sh", "gRPC clients").replace("-max-time 5", "-max-time 120")
    assert "120" in script  # the stream has no end, and a slow machine needs longer
    around = {**environment(foreign), "TRADECAP_TOKEN": TOKEN, "GRPC": guarded.target}
    with subprocess.Popen(
        ["sh", "-c", f"exec {script}"], env=around, cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout
            updates = [json.loads(read_object(process.stdout)) for _ in range(5)]
        finally:
            process.kill()
    assert [f"{update['bar']['open_time']} {update['bar']['close']}" for update in updates] == expected(guarded)
    assert [update["sequence"] for update in updates] == ["1", "2", "3", "4", "5"]


def read_object(lines: Iterable[str]) -> str:
    """The next object that grpcurl prints."""
    found = ""
    for line in lines:
        found += line
        if line == "}\n":
            return found
    raise AssertionError(f"the output ended: {found}")


@pytest.mark.clients
def test_javascript_over_grpc(guarded: Served, foreign: Path) -> None:
    """A page's back end in Node can't follow bars."""
    (foreign / "client.mjs").write_text(client("js", "gRPC clients"))
    assert answer(guarded, ["node", "client.mjs", guarded.target], foreign).splitlines() == expected(guarded)


@pytest.mark.clients
def test_go_over_grpc(guarded: Served, foreign: Path) -> None:
    """A service in Go can't follow bars."""
    (foreign / "client").mkdir(exist_ok=True)
    (foreign / "client/main.go").write_text(client("go", "gRPC clients"))
    assert answer(
        guarded, ["go", "run", "./client", guarded.target], foreign, environment(foreign)
    ).splitlines() == expected(guarded)
