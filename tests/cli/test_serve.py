"""tradecap serve, as a supervisor runs it."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import PROGRAM, Program

pytest.importorskip("fastapi")
pytest.importorskip("grpc")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_it_starts_ends_it_as_one_later_does(tradecap: Program, number: int) -> None:
    """A supervisor that stops a service early would record a failure: exit 130 means that it was stopped at once."""
    assert tradecap("replay", "sample:", "-q").returncode == 0
    os.mkfifo("token")
    command = [PROGRAM, "serve", "--port", "0", "--grpc-port", "0", "--token-file", "token", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        with Path("token").open("w") as token:  # this waits until it reads, so it is starting now
            process.send_signal(number)
            assert process.stderr is not None
            assert any("stopping" in line for line in process.stderr)
            token.write("secret\n")
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert json.loads(out.splitlines()[-1])["requests"] == 0
