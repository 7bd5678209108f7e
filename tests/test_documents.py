"""README, CHANGELOG and docs/ say what is true: their commands and queries are run, their tables compared, their links
followed."""

import os
import re
import runpy
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tradecap import sample
from tradecap.cli import COMMANDS
from tradecap.flows.inject import inject, spoilt
from tradecap.flows.load import load
from tradecap.flows.replay.replay import Choice, look_at, replay
from tradecap.flows.verify.verify import Wanted, verify
from tradecap.log.folder.log import FileLog
from tradecap.market.faults import FAULTS
from tradecap.market.records import REASONS, Rejected
from tradecap.recordings.reading import Source
from tradecap.simulate import Exchange, Generated
from tradecap.simulate.exchange_thread import ExchangeThread
from tradecap.store.clickhouse.store import ClickHouseStore
from tradecap.venues.binance import decode

ROOT = Path(__file__).parents[1]
WRITTEN = [
    ROOT / "README.md",
    *(ROOT / "docs" / f"{name}.md" for name in ("architecture", "data-quality", "clickhouse")),
]
"""The documents whose commands are run, in this order, in one folder."""
LINKED = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
NOT_RUN = ("pip ", "make ")
"""Lines that set up a machine."""
A_LITTLE = "0.02"
"""What the scripts of the documents are called with: a minute or so instead of twelve hours."""
NOT_OURS = ("build", "dist", "htmlcov", "tradecap-data", "tradecap-demo")
"""Folders that may be next to the repository's own."""
TEXTS = (
    "",
    ".cfg",
    ".csv",
    ".json",
    ".lock",
    ".md",
    ".ndjson",
    ".py",
    ".sh",
    ".sql",
    ".svg",
    ".toml",
    ".txt",
    ".yaml",
    ".yml",
)
OF_A_MACHINE = re.compile(r"(?<![\w.])/(?:work|root|home/\w+|Users/\w+|tmp/\w+)/")


def blocks(document: Path) -> list[tuple[str, str]]:
    """The fenced blocks of a document: language, text."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", document.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def table(document: Path, heading: str, level: str = "##") -> list[list[str]]:
    """The rows of the first table under a heading, without its head."""
    _, _, after = document.read_text(encoding="utf-8").partition(f"\n{level} {heading}\n")
    lines = re.search(r"(?:^\|.*\n)+", after, re.MULTILINE)
    assert lines, f"no table under {heading}"
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[0].splitlines()[2:]]


def statements(document: Path) -> list[str]:
    """The statements of a document's SQL blocks."""
    return [
        statement.strip()
        for language, text in blocks(document)
        if language == "sql"
        for statement in text.split(";\n")
        if statement.strip()
    ]


ALL_STATEMENTS = [(document.name, statement) for document in WRITTEN for statement in statements(document)]


@pytest.fixture(scope="module")
def spoilt_sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FileLog, ClickHouseStore]]:
    """The sample with twenty of each fault: its log, and a store that was loaded from it."""
    folder = tmp_path_factory.mktemp("spoilt")
    log = FileLog(folder / "log", create=True)
    with log.writer() as writer:
        replay(
            look_at([Source("sample:", stream=sample.open_sample())], Choice()),
            writer,
            Choice(),
            stop=lambda: False,
            progress=lambda _: None,
        )
    with log.writer() as writer:
        inject(spoilt(log, dict.fromkeys(FAULTS, 20), 7), writer, 7, stop=lambda: False, progress=lambda _: None)
    with ClickHouseStore.embedded(folder / "db", "chdb:db", create=True) as store:
        store.create()
        load(log, store, stop=lambda: False, progress=lambda _: None)
        yield log, store


def test_what_is_pasted_works(tmp_path: Path) -> None:
    """The first command that fails for a first-time user is the last one he types. Live captures are made from an
    exchange on this machine."""
    live = ExchangeThread(lambda: Exchange(Generated(["BTCUSDT"], begin_ms=1_723_161_600_000, rate=200), history_s=60))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TRADECAP_", "XDG_"))}
    environment = kept | {
        "HOME": str(tmp_path),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    with live:
        for document, command in [(written, command) for written in WRITTEN for command in commands(written)]:
            if command[-1].startswith("tradecap stream "):
                command = [*command[:-1], f"{command[-1]} --ws-url {live.exchange.url} --duration 2s"]
            done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600)
            exits = re.search(r"# exits with (\d)$", command[-1])
            assert done.returncode == (int(exits[1]) if exits else 0), (
                f"{document.name}: {command}\n{done.stdout}{done.stderr}"
            )
            assert done.stdout, f"{document.name}: {command} prints nothing"


def commands(document: Path) -> Iterator[list[str]]:
    """What a reader pastes, in order: each line for a shell, each script for Python."""
    for language, text in blocks(document):
        if language in ("sh", "console"):
            yield from (["sh", "-c", line] for line in text.splitlines() if line and not line.startswith(NOT_RUN))
        if language == "python":
            yield [sys.executable, "-c", text, A_LITTLE]


@pytest.mark.parametrize(
    ("document", "statement"), ALL_STATEMENTS, ids=[f"{name}-{i}" for i, (name, _) in enumerate(ALL_STATEMENTS)]
)
def test_queries_work_as_pasted(spoilt_sample: tuple[FileLog, ClickHouseStore], document: str, statement: str) -> None:
    """A query that fails, or finds nothing where it should, teaches that the store is broken."""
    found = spoilt_sample[1].rows(statement)
    assert bool(found) != ("(empty here)" in statement), f"{document}: {statement}"
    assert all(row.get("adds_up", True) for row in found), f"{document}: {statement}: {found}"


def test_the_table_of_faults_is_the_code_s() -> None:
    """Someone who injects faults by this table would wait for the wrong outcome."""
    answer = [row[:3] for row in table(ROOT / "docs/data-quality.md", "Faults")]
    assert answer == [[name, fault.help, fault.outcome] for name, fault in FAULTS.items()]


def test_each_reason_has_an_example_that_earns_it() -> None:
    """An example that ends otherwise would explain the wrong thing to someone who looks into quarantine."""
    document = ROOT / "docs/data-quality.md"
    rows = table(document, "Reasons")
    assert [row[0] for row in rows] == list(REASONS)
    (trade,) = (text.strip() for language, text in blocks(document) if language == "json")
    for reason, example, _ in rows:
        text = re.fullmatch(r"`([{\[\"].*)`", example)
        if text:
            read = decode(
                (_with_member(trade, text[1]) if text[1].startswith('"') else text[1]).encode(),
                "binance",
                "ETHUSDT",
                "trade",
            )
            assert isinstance(read, Rejected), example
            assert read.reason == reason, example


def _with_member(message: str, member: str) -> str:
    """The message with a member in place of the one of its name."""
    changed = re.sub(rf'{member.partition(":")[0]}:(?:"[^"]*"|[^,}}]*)', lambda _: member, message, count=1)
    assert changed != message
    return changed


def test_the_table_of_checks_is_what_verify_runs(spoilt_sample: tuple[FileLog, ClickHouseStore]) -> None:
    """A check that isn't in the table can't be understood when it fails at night."""
    log, store = spoilt_sample
    verdict = verify(log, store, Wanted(), progress=lambda _: None)
    assert verdict.ok
    answer = [row[0] for row in table(ROOT / "docs/data-quality.md", "The checks")]
    assert answer[: len(verdict.checks)] == [check.name for check in verdict.checks]
    of_faults = " ".join(row[3] for row in table(ROOT / "docs/data-quality.md", "Faults"))
    assert set(re.findall(r"\w+\.\w+", of_faults)) <= set(answer)


def test_readme_comes_to_the_first_proof_on_the_first_screen() -> None:
    """A stranger decides on the first screen; a glossary of more than ten words isn't read."""
    readme = ROOT / "README.md"
    before, _, _ = readme.read_text(encoding="utf-8").partition("\nPROVEN ")
    assert before.count("\n") < 30
    assert len(table(readme, "Ten words")) <= 10


def test_no_document_names_a_command_that_is_not_there() -> None:
    """A command that isn't part of this version would be tried, and refused."""
    for document in WRITTEN:
        for language, text in blocks(document):
            for name in re.findall(
                r"^tradecap ([a-z][a-z-]*)", text if language in ("", "sh", "console") else "", re.MULTILINE
            ):
                assert name in COMMANDS, f"{document.name}: tradecap {name}"


def test_each_dependency_says_why_it_is_there() -> None:
    """A dependency that nobody can explain is never removed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = [
        *project["dependencies"],
        *(each for extra in project["optional-dependencies"].values() for each in extra),
    ]
    explained = {
        name
        for cells in table(ROOT / "CHANGELOG.md", "Dependencies", "###")
        for name in re.findall(r"[\w-]+", cells[0])
    }
    names = {re.split(r"[\[<>=~! ;]", each)[0] for each in needed} - {"tradecap"}
    assert names - explained == set()


def test_links_lead_somewhere() -> None:
    """A dead link says that nobody has read the page."""
    for document in LINKED:
        text = re.sub(r"^```.*?^```$", "", document.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if re.match(r"[a-z]+:", target):
                continue
            file, _, anchor = target.partition("#")
            there = (document.parent / file).resolve() if file else document
            assert there.exists(), f"{document.name}: {target}"
            assert not anchor or anchor in anchors(there), f"{document.name}: {target}"


def anchors(document: Path) -> set[str]:
    """The names that headings have as targets of links."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_no_text_names_a_place_on_somebody_s_machine() -> None:
    """What works on one machine only, and tells of it, belongs in no repository."""
    tops = [
        entry
        for entry in ROOT.iterdir()
        if entry.name not in NOT_OURS and not (entry.name.startswith(".") and entry.name != ".ci")
    ]
    for file in (file for top in tops for file in ([top] if top.is_file() else top.rglob("*"))):
        if file.is_file() and file.suffix in TEXTS and "__pycache__" not in file.parts:
            found = OF_A_MACHINE.search(file.read_text(encoding="utf-8", errors="replace"))
            assert not found, f"{file.relative_to(ROOT)}: {found and found[0]}"


def test_the_picture_of_the_architecture_is_drawn_from_its_source() -> None:
    """A picture that somebody edited would be lost, and one that is behind shows what isn't there:
    `python docs/make_architecture.py` draws it."""
    source = runpy.run_path(str(ROOT / "docs/make_architecture.py"))
    assert (ROOT / "docs/pictures/architecture.svg").read_text(encoding="utf-8") == source["svg"]()
    commands = {box.name for box in source["BOXES"] if box.kind == "ours"}
    assert commands <= set(COMMANDS)
    letters = [row[0].split("**")[1] for row in table(ROOT / "docs/architecture.md", "The pipeline")]
    assert [check.letter for check in source["CHECKS"]] == letters


def test_the_pictures_are_of_this_version() -> None:
    """A picture of checks that no longer exist shows a program that nobody can have."""
    shown = (ROOT / "docs/pictures/demo.svg").read_text(encoding="utf-8")
    checks = [
        row[0]
        for row in table(ROOT / "docs/data-quality.md", "The checks")
        if not row[0].startswith(("klines.", "certificate.", "topics."))
    ]
    assert [name for name in checks if name not in shown] == []
    assert "PROVEN" in shown
    assert "NOT&#160;PROVEN" in (ROOT / "docs/pictures/not-proven.svg").read_text(encoding="utf-8")
