"""docs/ci.md and the way out of docs/operations.md: their jobs and lines are run as written, and end as described."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from tests.flows.builders import some_messages
from tests.test_documents import ROOT, blocks

JOBS = [yaml.safe_load(text) for language, text in blocks(ROOT / "docs/ci.md") if language == "yaml"]


def environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TRADECAP_", "XDG_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return kept | {"HOME": str(folder), "PATH": path, "GITHUB_STEP_SUMMARY": str(folder / "summary.md")}


def run(lines: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["sh", "-ec", lines], cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=300
    )


def steps(job: dict[Any, Any]) -> list[tuple[str, bool]]:
    """The commands of a job in order, without the installation; whether they are run after a failure too."""
    if "proof" in job:
        return [(line, False) for line in job["proof"]["script"] if not line.startswith("pip ")]
    (proof,) = job["jobs"].values()
    return [
        (step["run"], step.get("if") == "always()")
        for step in proof["steps"]
        if not step.get("run", "pip ").startswith("pip ")
    ]


def kept(job: dict[Any, Any]) -> list[str]:
    """The files that a job keeps."""
    if "proof" in job:
        assert job["proof"]["artifacts"]["when"] == "always"
        return [*job["proof"]["artifacts"]["paths"], job["proof"]["artifacts"]["reports"]["junit"]]
    (proof,) = job["jobs"].values()
    uploads = [step for step in proof["steps"] if "upload-artifact" in step.get("uses", "")]
    assert [step["if"] for step in uploads] == ["always()"]
    return [
        *uploads[0]["with"]["path"].split(),
        *(step["with"]["report_paths"] for step in proof["steps"] if "report_paths" in step.get("with", {})),
    ]


@pytest.mark.parametrize(
    ("job", "is_whole"), list(zip(JOBS, (False, True), strict=True)), ids=["github, with a gap", "gitlab, proven"]
)
def test_a_job_of_the_page_proves_and_keeps_its_files(tmp_path: Path, job: dict[Any, Any], is_whole: bool) -> None:
    """A job copied from the page would be green with a gap in it, or keep nothing of what went wrong."""
    numbers = [number for number in range(300) if is_whole or number != 150]
    (tmp_path / "capture.ndjson.gz").write_bytes(
        gzip.compress(b"".join(message + b"\n" for message in some_messages(numbers)))
    )
    codes: list[int] = []
    for lines, is_always in steps(job):
        if not any(codes) or is_always:
            codes.append(run(lines, tmp_path).returncode)
    assert [code for code in codes if code] == ([] if is_whole else [1])
    for name in kept(job):
        assert (tmp_path / name).stat().st_size > 0
    report = ElementTree.parse(tmp_path / "report.xml").getroot()
    assert (report.find(".//failure") is None) is is_whole
    assert json.loads((tmp_path / "certificate.json").read_text())["ok"] is is_whole
    if "jobs" in job:
        assert ("NOT PROVEN" not in (tmp_path / "summary.md").read_text()) is is_whole


def test_what_the_page_expects_is_what_the_sample_holds(tmp_path: Path) -> None:
    """A number that is wrong on the page would be copied, and the reader's job fail."""
    (lines,) = (text for language, text in blocks(ROOT / "docs/ci.md") if language == "sh")
    before = (
        "tradecap init-db -q; tradecap replay sample: -q; tradecap load -q; tradecap verify -q --certificate "
        "certificate.json"
    )
    done = run(f"{before}\n{lines}", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def section() -> list[str]:
    _, _, after = (ROOT / "docs/operations.md").read_text(encoding="utf-8").partition("\n## Take out a bad run")
    return [text.removeprefix("sh\n") for text in after.partition("\n## ")[0].split("```")[1::2]]


@pytest.mark.parametrize("what", ["a bad run", "a broken segment"])
def test_a_bad_run_or_a_broken_segment_is_taken_out_and_the_rest_is_proven(tmp_path: Path, what: str) -> None:
    """Whoever follows the page at night would lose what was good, or end unproven."""
    for name, numbers in (("good", range(200)), ("bad", range(5000, 5010))):
        (tmp_path / name).write_bytes(b"".join(message + b"\n" for message in some_messages(numbers)))
    log = tmp_path / "tradecap-data/log"
    run("tradecap init-db -q; tradecap replay good -q; tradecap replay bad -q; tradecap load -q", tmp_path)
    take_out_run, take_out_segment, take_its_place = section()
    if what == "a broken segment":
        broken = log / "000002.ndjson.zst"
        broken.write_bytes(broken.read_bytes()[:60])
    done = run((take_out_run if what == "a bad run" else take_out_segment) + take_its_place, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    verdict = json.loads(run("tradecap verify --json -q", tmp_path).stdout)
    assert verdict["ok"]
    assert verdict["counts"]["trades"] == 200
    assert (tmp_path / "tradecap-data.old/log").exists()
