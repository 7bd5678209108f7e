"""What tests of the command line share: an empty folder to be in, a user without a configuration, and the real
program."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tradecap.cli.settings import FOREIGN

Finished = subprocess.CompletedProcess[str]
Program = Callable[..., Finished]
PROGRAM = str(Path(sys.executable).with_name("tradecap"))

SCRIPTED = """
import sys, threading
from tradecap.cli import COMMANDS, main
from tradecap.cli.options import command, shared, spoken
from tradecap.cli.output import Output
from tradecap.cli.signals import interruptible
from tradecap.errors import Exit

COMMANDS["scripted"] = "A command of a test."
sys.modules["tradecap.cli.scripted"] = sys.modules["__main__"]

@command
@spoken
def scripted(out):
{body}

main()
"""


@pytest.fixture(autouse=True)
def lonely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, and nobody's settings but the test's."""
    for name in [name for name in os.environ if name.startswith(("TRADECAP_", "_TRADECAP")) or name in FOREIGN]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home/config"))
    monkeypatch.delenv("NO_COLOR", raising=False)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return here


@pytest.fixture
def tradecap() -> Program:
    """The installed program, run to its end."""

    def run(*args: str, **how: object) -> Finished:
        how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "timeout": 120, **how}
        return subprocess.run([PROGRAM, *args], **how)  # type: ignore[call-overload, no-any-return]  # the keywords of subprocess.run

    return run


def scripted(body: str) -> list[str]:
    """The command line of the program with one more command, `scripted`, that does what `body` says."""
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    return [sys.executable, "-c", SCRIPTED.format(body=lines), "scripted"]
