"""A process that serves the sample recording, for the tests of one file."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serve.serving import Served, run, serving


@pytest.fixture(scope="session")
def _recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded")
    for arguments in (["init-db"], ["replay", "sample:"], ["load"]):
        done = run(folder, *arguments)
        assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def recorded(_recorded: Path, tmp_path: Path) -> Path:
    """A folder with the sample in a log and an embedded store."""
    shutil.copytree(_recorded, tmp_path, symlinks=True, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture(scope="module")
def served(_recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A process that serves such a folder, without a rate."""
    folder = tmp_path_factory.mktemp("served")
    shutil.copytree(_recorded, folder, symlinks=True, dirs_exist_ok=True)
    with serving(folder, "--rate", "0") as process:
        yield process
