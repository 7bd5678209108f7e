"""The workflows of .github/workflows do what .ci/run does, and nothing that can change under them. actionlint holds
their syntax (.ci/workflows)."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def workflow(path: Path) -> dict[Any, Any]:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def steps(path: Path) -> Iterator[dict[str, Any]]:
    for job in workflow(path)["jobs"].values():
        yield from job["steps"]


def commands(path: Path) -> list[str]:
    """Every line that a workflow has a shell run."""
    return [line.strip() for step in steps(path) for line in step.get("run", "").splitlines() if line.strip()]


def is_run_by_ci(command: str) -> bool:
    """Whether .ci/run runs this command (or is it): as a whole, with whatever is done with its result."""
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    is_in_it = re.search(rf"^\s*(?:nice )?{re.escape(command)}(?= *(?:\|\||>|2>|\||;|$))", script, re.MULTILINE)
    return command == ".ci/run" or is_in_it is not None


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_each_command_is_one_that_ci_runs_too(path: Path) -> None:
    """A command that only GitHub runs fails there first, where nobody can look into it."""
    assert [command for command in commands(path) if not is_run_by_ci(command)] == []


def test_a_command_of_another_kind_is_noticed() -> None:
    """A comparison that accepts a part of a command would accept any."""
    assert is_run_by_ci("make --no-print-directory lint")
    assert not is_run_by_ci("make --no-print-directory")
    assert not is_run_by_ci("pip install tradecap")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_each_action_is_pinned(path: Path) -> None:
    """A tag can be moved to other code, which would then run with the right to publish."""
    uses = re.findall(r"uses: (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert uses
    assert [each for each in uses if not re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each)] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_only_read(path: Path) -> None:
    """A job that may write could be made to by a pull request; publishing alone gets a token, and no password is
    kept."""
    content = workflow(path)
    assert content["permissions"] == {"contents": "read"}
    rights = {name: job["permissions"] for name, job in content["jobs"].items() if "permissions" in job}
    assert rights in ({}, {"publish": {"id-token": "write"}})
    assert "secrets." not in path.read_text(encoding="utf-8")


def test_each_supported_python_is_tested() -> None:
    """A Python that the package claims and no job runs breaks at a user's."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    classifiers = re.findall(r"Python :: (\d\.\d+)", " ".join(project["classifiers"]))
    jobs = workflow(ROOT / ".github/workflows/checks.yml")["jobs"]
    for name in ("tests", "wheel"):
        assert jobs[name]["strategy"]["matrix"]["python"] == classifiers
    assert {os.partition("-")[0] for os in jobs["wheel"]["strategy"]["matrix"]["os"]} == {"ubuntu", "macos"}
