"""The lock file that one process holds."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tradecap.locks import LockFile, is_held

HOLDING = """
import pathlib, sys, time
from tradecap.locks import LockFile
lock = LockFile(pathlib.Path(sys.argv[1]))
time.sleep(600)
"""


def test_a_lock_that_is_held_is_refused_and_shows_its_content(tmp_path: Path) -> None:
    """Two writers would spoil what the lock protects; the second one must be able to name the first."""
    path = tmp_path / "lock"
    lock = LockFile(path)
    lock.write(b"a rather long text")
    lock.write(b"short")
    with pytest.raises(BlockingIOError):
        LockFile(path)
    assert is_held(path)
    assert path.read_bytes().strip() == b"short"
    lock.release()
    lock.release()
    assert not is_held(path)
    LockFile(path).release()


def test_a_lock_of_a_process_that_was_killed_is_free(tmp_path: Path) -> None:
    """After a crash nobody could write until someone deletes a file."""
    path = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-c", HOLDING, path]) as process:
        deadline = time.monotonic() + 60.0
        while not is_held(path) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert is_held(path)
        process.kill()
    assert not is_held(path)
