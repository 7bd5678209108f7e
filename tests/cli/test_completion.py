"""Completion of commands and options in the shell."""

import os
import subprocess
from pathlib import Path

import pytest

from .conftest import PROGRAM, Program

pytestmark = pytest.mark.core


def completed(words: str, count: int) -> list[str]:
    """What bash offers for the last of the words."""
    script = f"""
        source <(tradecap completion bash)
        COMP_WORDS=({words}); COMP_CWORD={count - 1}
        _tradecap_completion tradecap
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    path = f"{Path(PROGRAM).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, text=True, env={**os.environ, "PATH": path}, timeout=60
    )
    assert "Traceback" not in done.stderr
    return done.stdout.split()


def test_bash_accepts_the_script(tradecap: Program) -> None:
    """A script with an error in it breaks the start of every shell that loads it."""
    script = tradecap("completion", "bash")
    assert (script.returncode, script.stderr) == (0, "")
    assert subprocess.run(["bash", "-n"], input=script.stdout, text=True, timeout=60).returncode == 0


@pytest.mark.parametrize(
    ("shell", "line"), [("zsh", "#compdef tradecap"), ("fish", "complete --no-files --command tradecap")]
)
def test_the_other_shells_get_their_own_script(shell: str, line: str, tradecap: Program) -> None:
    """A script for another shell is an error at every start of this one."""
    script = tradecap("completion", shell).stdout
    assert line in script
    assert "_TRADECAP_COMPLETE=" in script


def test_commands_are_completed_in_bash() -> None:
    """A script that bash accepts and that offers nothing is of no use."""
    assert completed("tradecap co", 2) == ["config", "completion"]


def test_options_are_completed_in_bash() -> None:
    """Options are what nobody knows by heart."""
    assert completed("tradecap config --in", 3) == ["--init"]


def test_commands_that_do_not_exist_are_not_offered() -> None:
    """What can't be run must not be offered, and asking for its options must not end in a traceback."""
    assert not set(completed("tradecap ''", 2)) & {"backfill", "doctor"}
    assert set(completed("tradecap backfill --", 3)) <= {"--help", "--version"}
