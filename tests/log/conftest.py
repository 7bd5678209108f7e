"""Logs to test with."""

from pathlib import Path

import pytest

from tradecap.log.folder.log import FileLog


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the log under test is."""
    return tmp_path / "log"


@pytest.fixture
def log(folder: Path) -> FileLog:
    """A new log in a folder."""
    return FileLog(folder, create=True)
