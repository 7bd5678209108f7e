"""`tradecap serve` as a process, and its answers."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

WITHIN_S: Final = 60.0
NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class Answer(NamedTuple):
    """What came back. headers: their names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)


class Served:
    """A process that serves."""

    def __init__(self, process: "subprocess.Popen[str]", first: dict[str, Any], errors: Path) -> None:
        self.process, self.first, self.errors = process, first, errors
        self.url: str = first["url"]
        self.target: str = first["grpc"]
        self.folder = errors.parent
        self.port = int(self.url.rpartition(":")[2])

    def get(self, path: str, headers: Mapping[str, str] = NO_HEADERS, method: str = "GET") -> Answer:
        """The answer, whatever its status."""
        asked = urllib.request.Request(f"{self.url}{path}", headers=dict(headers), method=method)
        try:
            with urllib.request.urlopen(asked, timeout=WITHIN_S) as answer:
                return Answer(
                    answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.read()
                )
        except urllib.error.HTTPError as error:
            return Answer(error.code, {name.lower(): value for name, value in error.headers.items()}, error.read())

    def wait_until_ready(self, headers: Mapping[str, str] = NO_HEADERS) -> None:
        """Wait for /ready."""
        until_s = time.monotonic() + WITHIN_S
        while self.get("/ready", headers).status != 200:
            assert time.monotonic() < until_s, self.get("/ready", headers).body
            time.sleep(0.05)

    def bars(self, symbol: str = "BTCUSDT") -> list[Any]:
        """All bars of a symbol, page by page."""
        found: list[Any] = []
        path: str | None = f"/candles?symbol={symbol}&from=0&limit=50"
        while path:
            page = self.get(path).json
            found += page["candles"]
            path = f"/candles?symbol={symbol}&from={page['next']}&limit=50" if page["next"] else None
        return found

    def end(self) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WITHIN_S)


def command(*arguments: str) -> list[str]:
    """tradecap with these arguments."""
    return [sys.executable, "-m", "tradecap", *arguments]


@contextmanager
def serving(
    folder: Path, *arguments: str, environment: Mapping[str, str] = NO_HEADERS, is_ready: bool = True
) -> Iterator[Served]:
    """`tradecap serve` on a free port, in a folder; killed at the end where it still runs."""
    errors = folder / "serve.err"
    whole = command("serve", "--port", "0", "--grpc-port", "0", "--json", *arguments)
    with (
        errors.open("w") as err,
        subprocess.Popen(
            whole, stdout=subprocess.PIPE, stderr=err, text=True, cwd=folder, env=_with(environment)
        ) as process,
    ):
        try:
            assert process.stdout
            line = process.stdout.readline()
            assert line, errors.read_text()
            served = Served(process, json.loads(line), errors)
            if is_ready:
                served.wait_until_ready()
            yield served
        finally:
            process.kill()


def run(
    folder: Path, *arguments: str, environment: Mapping[str, str] = NO_HEADERS
) -> "subprocess.CompletedProcess[str]":
    """Another command, to its end."""
    return subprocess.run(
        command(*arguments), cwd=folder, env=_with(environment), capture_output=True, text=True, timeout=120
    )


def _with(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("TRADECAP_")} | dict(environment)
