"""CONTRIBUTING.md shows changes that work: its diffs apply to this tree, and the tests they add pass."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.test_documents import blocks

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "CONTRIBUTING.md"


def diffs() -> list[str]:
    return [text for language, text in blocks(PAGE) if language == "diff"]


def names_of_tests(diff: str) -> list[str]:
    """The tests that a diff adds, as pytest names them."""
    added, file = [], ""
    for line in diff.splitlines():
        file = line.removeprefix("+++ b/") if line.startswith("+++ ") else file
        found = re.match(r"\+def (test_\w+)", line)
        added += [f"{file}::{found[1]}"] if found else []
    return added


def test_each_change_applies_and_its_tests_pass(tmp_path: Path, outside_part: Callable[[bool, str], None]) -> None:
    """An example that doesn't apply, or fails, is the first thing that a contributor would try and the last."""
    outside_part(shutil.which("git") is not None, "git")
    for name in ("src", "tests", "docs"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    names = []
    for diff in diffs():
        around = os.environ | {"GIT_CEILING_DIRECTORIES": str(tmp_path.parent)}
        done = subprocess.run(["git", "apply"], input=diff, cwd=tmp_path, env=around, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        names += names_of_tests(diff)
    assert len(names) == len(diffs()) == 3
    around = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *names],
        cwd=tmp_path,
        env=around | {"PYTHONPATH": str(tmp_path / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


def test_the_test_to_run_as_an_example_is_there() -> None:
    """The first command of a contributor would run nothing."""
    text = PAGE.read_text(encoding="utf-8")
    ((file, name),) = re.findall(r"pytest (tests/\S+) -k (\w+)", text)
    assert re.search(rf"def test_\w*{name}", (ROOT / file).read_text(encoding="utf-8"))


def test_each_path_on_the_page_is_there() -> None:
    """A path that has moved sends its reader nowhere."""
    text = re.sub(r"^```diff.*?^```$", "", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for path in re.findall(r"`((?:\.ci|\.github|docs|fixtures|tests)/[\w./-]*\w)`", text):
        assert (ROOT / path).exists(), path
    for path in re.findall(r"`((?:proof|flows|simulate|recordings|venues|store|log)/[\w./]*\.py)`", text):
        assert (ROOT / "src/tradecap" / path).exists(), path
