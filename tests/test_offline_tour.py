"""The tour of README.md without a network: its own lines, with the exchange on this machine, end PROVEN."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.test_documents import ROOT, blocks

README = ROOT / "README.md"
ONLINE = ("tradecap stream ", "tradecap demo", "pip ", "make ")
PATIENCE_S = 90


def lines(language: str) -> list[str]:
    """The commands of the page's blocks of one language."""
    return [line for block, text in blocks(README) if block == language for line in text.splitlines() if line]


@contextmanager
def running(command: str, folder: Path, environment: dict[str, str]) -> Iterator[str]:
    """An exchange in the background; its address."""
    with subprocess.Popen(
        ["sh", "-c", f"exec {command} --json --port 0"], cwd=folder, env=environment, stdout=subprocess.PIPE
    ) as exchange:
        try:
            assert exchange.stdout is not None
            yield str(json.loads(exchange.stdout.readline())["url"])
        finally:
            exchange.terminate()


def test_the_tour_without_a_network_ends_proven(tmp_path: Path) -> None:
    """The first hour of someone who has no network would end with conflicts that nobody made."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TRADECAP_", "XDG_"))}
    environment = kept | {
        "HOME": str(tmp_path),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }

    def paste(command: str) -> str:
        done = subprocess.run(
            ["sh", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=PATIENCE_S
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    background, stream = lines("bash")[:2]
    simulate = background.removesuffix(" > exchange.log &")
    assert simulate != background
    for exchange in (simulate, f"{simulate} sample: --now"):
        with running(exchange, tmp_path, environment) as url:
            assert "ws://127.0.0.1:9443" in stream
            paste(f"{stream.replace('ws://127.0.0.1:9443', url)} --duration 2s")
    for command in lines("sh"):
        if not command.startswith(ONLINE):
            paste(command)
    assert "\nPROVEN" in paste("tradecap verify")
