"""chdb as it may be installed: whole, broken by an upgrade, too old, absent. Each is a package of that shape in front
of the real one."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tradecap.store.clickhouse.engine import OLDEST, REINSTALL

ROOT = Path(__file__).parents[3]
PROGRAM = str(Path(sys.executable).with_name("tradecap"))

BROKEN = {
    "the engine's library is gone": "import types\n_chdb = types.ModuleType('chdb._chdb')\n_chdb.connect()\n",
    "a file of chdb-core is gone": "from . import _chdb\n",
    "its content is gone": "",
    "the library can't be loaded": "import ctypes\nctypes.CDLL('no_such_engine.so')\n",
}


def opened(tmp_path: Path, package: str) -> subprocess.CompletedProcess[str]:
    """`tradecap init-db` with a chdb of this content, found before the real one."""
    stub = tmp_path / "stub/chdb"
    stub.mkdir(parents=True)
    (stub / "__init__.py").write_text(package)
    environment = {**os.environ, "PYTHONPATH": str(stub.parent), "HOME": str(tmp_path)}
    return subprocess.run(
        [PROGRAM, "init-db"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("package", BROKEN.values(), ids=BROKEN)
def test_a_broken_chdb_names_its_remedy(package: str, tmp_path: Path) -> None:
    """An AttributeError called a mistake of tradecap sends people to the wrong place."""
    done = opened(tmp_path, package)
    *_, answer, hint = done.stderr.splitlines()
    assert re.match(r"chdb is installed but broken \(.+\), chdb \d\S+, chdb-core \d\S+\.$", answer)
    assert (
        hint
        == ("hint: reinstall chdb and chdb-core: pip install --force-reinstall chdb chdb-core")
        == f"hint: {REINSTALL}"
    )
    assert done.returncode == 2
    assert not (tmp_path / "tradecap-data").exists()


def test_an_engine_that_is_too_old_is_named(tmp_path: Path) -> None:
    """chdb 4.0 over chdb-core 26.9 has an engine of 2025, and the schema ends in a syntax error of SQL."""
    done = opened(tmp_path, "engine_version = '25.8.2.1'\ndef connect(): pass\n")
    *_, answer, hint = done.stderr.splitlines()
    assert answer.startswith("The engine of chdb is 25.8.2.1; the embedded store needs 26.9 or newer, chdb ")
    assert (hint, done.returncode) == (f"hint: {REINSTALL}", 2)


def test_without_chdb_the_extra_is_named(tmp_path: Path) -> None:
    """Someone who never installed the engine must not be asked to reinstall it."""
    ask = (
        "import sys, importlib.metadata as m\n"
        "def none(name): raise m.PackageNotFoundError(name)\n"
        "m.version = none; sys.modules['chdb'] = None\n"
        "from tradecap.cli import main; sys.argv = ['tradecap', 'init-db']; main()\n"
    )
    done = subprocess.run([sys.executable, "-c", ask], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    *_, answer, hint = done.stderr.splitlines()
    assert (answer, hint) == (
        "The embedded store needs chdb, which isn't installed.",
        "hint: pip install 'tradecap[embedded]'",
    )
    assert done.returncode == 2


def test_the_oldest_engine_is_the_one_that_pip_requires() -> None:
    """With two truths pip installs an engine that the store then refuses."""
    embedded = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["embedded"]
    assert f"chdb-core>={'.'.join(map(str, OLDEST))}" in embedded
