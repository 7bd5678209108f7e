"""What documents and operations files name exists: commands with their options, variables, targets of make, files,
tables, ports, topics.

Names of Redpanda, Console and ClickHouse are theirs. Programs of tests may have options of their own.
"""

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml

from tradecap.cli import COMMANDS, load_command

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FILES = [
    *DOCUMENTS,
    *(ROOT / name for name in ("Dockerfile", "Makefile", "compose/compose.yaml", "compose/.env.example")),
]
COMMON = {"--help", "--version", "-h"}


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


def codes(text: str) -> Iterator[str]:
    """The lines of fenced blocks, and what is between backticks."""
    for block in re.findall(r"^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield from block.replace("\\\n", " ").splitlines()
    bare = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    yield from (" ".join(code.split()) for code in re.findall(r"`([^`]+)`", bare))


@cache
def options(command: str) -> frozenset[str]:
    return (
        frozenset(option for param in load_command(command).params for option in (*param.opts, *param.secondary_opts))
        | COMMON
    )


@cache
def sources() -> str:
    """What the package, its tests and operations files say, but no document."""
    folders = ("src", "tests", "bench", ".ci", "compose", "docs")
    files = [
        path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in SOURCES and path.is_file()
    ]
    return "\n".join(path.read_text(encoding="utf-8") for path in [*files, ROOT / "Makefile", ROOT / ".ci/run"])


SOURCES = (".py", ".sql", ".yaml", ".example", "")


@pytest.mark.parametrize("document", DOCUMENTS, ids=ids)
def test_each_command_and_option_in_a_document_is_there(document: Path) -> None:
    """An option that was renamed in the program and not in the page costs its reader the evening."""
    for code in codes(document.read_text(encoding="utf-8")):
        if code.startswith("isn't as this tradecap makes it"):  # what tradecap prints
            continue
        for command, rest in re.findall(r"(?:^|[ (])tradecap ([a-z][a-z-]+)((?:(?! [|>&#;] |; | && |\)).)*)", code):
            assert command in COMMANDS, code
            words = {word.partition("=")[0].rstrip(".,") for word in rest.split() if re.match(r"--?[a-z]", word)}
            assert words <= options(command), f"{code}: {words - options(command)}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=ids)
def test_each_variable_is_read_somewhere(document: Path) -> None:
    """A variable that nothing reads is set in vain, silently."""
    for name in set(re.findall(r"\bTRADECAP_[A-Z_]*[A-Z]\b", document.read_text(encoding="utf-8"))):
        assert re.search(rf"\b{name}\b", sources()) or known(name), name


def known(name: str) -> bool:
    """Variables made of parts: properties of librdkafka, and files of secrets."""
    return name.startswith("TRADECAP_KAFKA_") or (name.endswith("_FILE") and name.removesuffix("_FILE") in sources())


@pytest.mark.parametrize("document", FILES, ids=ids)
def test_each_target_of_make_is_there(document: Path) -> None:
    """`make create-topic` would be the first thing that a newcomer sees fail."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    text = document.read_text(encoding="utf-8")
    named = {
        name
        for code in (codes(text) if document.suffix == ".md" else text.splitlines())
        for name in re.findall(r"(?:^|`)make ([a-z][a-z-]*)", code)
    }
    assert named <= targets


@pytest.mark.parametrize("document", DOCUMENTS, ids=ids)
def test_each_file_of_the_repository_is_there(document: Path) -> None:
    """A path that has moved sends its reader nowhere."""
    made = {"compose/.env", "compose/secrets", "compose/secrets/clickhouse_password"}
    for code in codes(document.read_text(encoding="utf-8")):
        for path in re.findall(r"(?<![\w./:-])((?:compose|docs|tests|bench|fixtures)/[\w./-]*\w)", code):
            assert path in made or (ROOT / path).exists(), path


@pytest.mark.parametrize("document", DOCUMENTS, ids=ids)
def test_each_table_and_view_is_there(document: Path) -> None:
    """A query on a view that no longer exists is pasted, and fails."""
    schema = "\n".join(path.read_text() for path in (ROOT / "src/tradecap/store").rglob("*.sql")) + sources()
    for code in codes(document.read_text(encoding="utf-8")):
        for name in re.findall(r"\b(?:v|mv)_[a-z0-9_]+\b", code):
            assert re.search(rf"\b{name}\b", schema), name


def test_ports_and_topics_of_the_stack_are_the_same_everywhere() -> None:
    """Pages and the profile of `config --init` that name another port than compose.yaml open would not connect."""
    text = (ROOT / "compose/compose.yaml").read_text(encoding="utf-8")
    services = yaml.safe_load(text)["services"]
    published = {port.split(":")[1] for service in services.values() for port in service.get("ports", [])}
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    inside = {"9092", "9443"}
    assert (
        set(
            re.findall(
                r"(?<![\d:.])(?:localhost:|redpanda:)?(\d{4,5})(?=[`,;| "
                r"])(?! MB| kB)",
                page.partition("| service |")[2].partition("\n\n")[0],
            )
        )
        <= published | inside
    )
    (profile,) = re.findall(
        r"\[profile\.compose\]\nlog = \"kafka://localhost:(\d+)/([\w.]+)\"\nstore = "
        r"\"clickhouse://(\w+)@localhost:(\d+)/(\w+)\"",
        sources(),
    )
    assert {profile[0], profile[3]} <= published
    assert f"${{TRADECAP_TOPIC:-{profile[1]}}}" in text
    assert services["clickhouse"]["environment"]["CLICKHOUSE_DB"] == profile[4]
    assert f"clickhouse://{profile[2]}@clickhouse:8123/{profile[4]}" in text


def test_shell_lines_of_the_dockerfile_use_what_the_image_has() -> None:
    """A health check by curl in an image without curl calls every service sick."""
    for line in re.findall(r"CMD (\[.*\])", (ROOT / "Dockerfile").read_text(encoding="utf-8")):
        assert shlex.split(line.strip("[]").replace(",", " "))[0] in ("python", "--help")
