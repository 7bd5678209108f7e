"""A crash of the embedded engine ends the process, which is what supervisors and people can act on."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

CRASH = """
import ctypes, sys, threading
from pathlib import Path
from tradecap.store.clickhouse.connection import embedded
for _ in range(2):  # the engine takes the signals at every start
    connection = embedded(Path(sys.argv[1]), "chdb:db", create=True)
    connection.close()
connection = embedded(Path(sys.argv[1]), "chdb:db", create=True)
crash = lambda: ctypes.string_at(0)
if sys.argv[2] == "main":
    crash()
else:
    threading.Thread(target=crash).start()
    while True:
        connection.rows("SELECT 1")
"""


@pytest.mark.parametrize("thread", ["main", "another"])
def test_a_crash_ends_the_process(thread: str, tmp_path: Path) -> None:
    """A load that hangs after a crash, or fails at every statement and goes on, is never started again."""
    done = subprocess.run(
        [sys.executable, "-c", CRASH, str(tmp_path / "db"), thread],
        check=False,
        timeout=60,
        capture_output=True,
        text=True,
    )
    assert done.returncode == -signal.SIGSEGV, done.stderr
