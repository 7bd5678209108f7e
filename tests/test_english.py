"""Plain English: the idioms that a native reader stumbles over are refused in every text and every name of the
repository.

`python -m tests.test_english [PATH ...]` lists what is left, with path and line.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]
PERSON: Final = (
    *("anybody", "anyone", "everybody", "everyone", "somebody", "someone", "one", "those", "people", "person"),
    *(
        "developer",
        "developers",
        "maintainer",
        "maintainers",
        "operator",
        "reader",
        "readers",
        "reporter",
        "tester",
        "user",
        "users",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Idiom:
    """What is refused: its name, the pattern that finds it, and what to write instead."""

    name: str
    pattern: str
    instead: str


IDIOMS: Final = (
    Idiom(
        name="is no X",
        pattern=r"(?<!there\s)\b(?:is|are|was|were) no (?!longer\b|\w+er than\b|(?:more|less) than\b)",
        instead="is not a (valid) X; there is no X",
    ),
    Idiom(
        name="who",
        pattern="".join(rf"(?<!{noun}\s)" for noun in PERSON) + r"(?<!asks\s)(?<!checks\s)(?<!check\s)\bwho\b(?! "
        r"(?:may|can)\b)",
        instead="the thing named: a reader that, a client that; of people: someone who",
    ),
    Idiom(
        name="so many", pattern=r"\bso (?:many|long|often|much)\b", instead="this many; N; up to N; every N; as long as"
    ),
    Idiom(
        name="told, said",
        pattern=r"(?<![a-z])(?:told|said)(?![a-z])",
        instead="reported, printed, sent; set, passed, added",
    ),
    Idiom(
        name="say",
        pattern=r"\bsay (?:it|so|which|nothing|otherwise)\b|\bsays "
        r"(?:so|nothing)\b",
        instead="report, print, send; set, pass, add",
    ),
    Idiom(
        name="stands",
        pattern=r"\b(?:stands?|stood|standing)\b(?! for\b| in for\b| alone\b| "
        r"still\b|-)",
        instead="is; appears; comes",
    ),
    Idiom(name="anew", pattern=r"\banew\b", instead="again; from the beginning"),
    Idiom(name="beside", pattern=r"(?<![a-z])beside(?![a-z])", instead="alongside; next to; besides; in addition to"),
    Idiom(name="mend", pattern=r"(?<![a-z])mend(?:s|ed|ing)?(?![a-z])", instead="repair"),
    Idiom(name="pour", pattern=r"(?<![a-z])pour(?:s|ed|ing)?(?![a-z])", instead="load"),
    Idiom(name="river", pattern=r"(?<![a-z])rivers?(?![a-z])", instead="pipeline"),
    Idiom(
        name="door",
        pattern=r"(?<![a-z])(?:doors?|knock(?:s|ed|ing)?|mouths?)(?![a-z])",
        instead="command; listener; connection; output",
    ),
    Idiom(
        name="Of ...",
        pattern=r"(?-i:\bOf) (?!course\b)",
        instead="begin with the subject: name the thing, then what holds for it",
    ),
    Idiom(name="for ever", pattern=r"\bfor ever\b", instead="forever; without end"),
    Idiom(name="in one go", pattern=r"\bin one go\b", instead="at once; in one run"),
    Idiom(name="hung up", pattern=r"\b(?:hung|hangs?) up\b", instead="disconnected; dropped"),
    Idiom(name="participle as a name", pattern=r"\bdef _(?:\w+_)?(?:drawn|kept)\(", instead="a verb: draw, keep"),
)

PLACES: Final = (".ci", ".github", "bench", "compose", "docs", "fixtures", "src", "tests")
SUFFIXES: Final = (
    "",
    ".css",
    ".example",
    ".html",
    ".js",
    ".md",
    ".proto",
    ".py",
    ".sh",
    ".sql",
    ".toml",
    ".yaml",
    ".yml",
)
NOT_OURS: Final = (
    "_pb2.py",
    "_pb2_grpc.py",
    "/swagger/",
    "/lightweight-charts/",
    "/__pycache__/",
    "/clients/node_modules/",
    "go.mod",
    "go.sum",
)
EXEMPT: Final = ("tests/test_english.py", "LICENSE")
STORED: Final = ("src/tradecap/store/clickhouse/schema",)
"""Only comments are checked here: a store compares the statements, so other words in them would take a new schema
version."""


GAP: Final = r"\s+(?:(?:#|--|//)\s+)?"
"""A blank of a pattern: words go on in the next line, also of a comment."""
COMPILED: Final = tuple((idiom, re.compile(idiom.pattern.replace(" ", GAP), re.IGNORECASE)) for idiom in IDIOMS)


def texts() -> list[Path]:
    """Every file that people read or write, and that is ours."""
    tops = [path for path in ROOT.iterdir() if path.is_file() and not path.name.startswith(".")]
    files = [*tops, *(path for place in PLACES for path in (ROOT / place).rglob("*") if path.is_file())]
    names = {path.relative_to(ROOT).as_posix(): path for path in files if path.suffix in SUFFIXES}
    return [
        path
        for name, path in sorted(names.items())
        if name not in EXEMPT and not any(part in f"/{name}" for part in NOT_OURS)
    ]


def is_under(path: Path, places: tuple[str, ...]) -> bool:
    name = path.relative_to(ROOT).as_posix()
    return any(name == place or name.startswith(f"{place}/") for place in places)


def idioms(text: str) -> Iterator[tuple[int, Idiom, str]]:
    """(line, idiom, what was found) for each idiom in a text."""
    found = [(match.start(), idiom, match[0]) for idiom, pattern in COMPILED for match in pattern.finditer(text)]
    for start, idiom, words in sorted(found, key=lambda each: each[0]):
        yield text.count("\n", 0, start) + 1, idiom, " ".join(words.split())


def words_of(path: Path) -> str:
    """The text of a file, line by line; only its SQL comments where stores keep the statements."""
    text = path.read_text(encoding="utf-8")
    return "\n".join("".join(line.partition("--")[1:]) for line in text.split("\n")) if is_under(path, STORED) else text


def findings(paths: list[Path]) -> list[str]:
    """One line for each idiom in these files: path:line, what was found, and what to write."""
    return [
        f"{path.relative_to(ROOT)}:{line}: {words!r} ({idiom.name}): write {idiom.instead}"
        for path in paths
        for line, idiom, words in idioms(words_of(path))
    ]


def test_texts_are_plain_english() -> None:
    """An idiom of ours makes a native reader stop, and the next author copies it."""
    found = findings(texts())
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a float is no price", "is no X"),
        ("who reads it waits", "who"),
        ("retried so often", "so many"),
        ("def _told() -> None", "told, said"),
        ("hint: say which: --venue binance", "say"),
        ("the rules stand in\nthe table", "stands"),
        ("minutes are made anew", "anew"),
        ("class Beside:", "beside"),
        ("mended by REST", "mend"),
        ("21 315 records poured", "pour"),
        ("the whole river", "river"),
        ("the door to the doors", "door"),
        ("Of several venues one has to be chosen.", "Of ..."),
        ("it is tried for\never", "for ever"),
        ("in one go", "in one go"),
        ("a peer is hung up on", "hung up"),
        ("def _kept(self)", "participle as a name"),
    ],
)
def test_an_idiom_is_found(text: str, name: str) -> None:
    """A pattern that finds nothing would call every text clean."""
    assert name in [idiom.name for _, idiom, _ in idioms(text)]


def test_only_the_comments_of_stored_statements_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A word in a stored definition can't be changed without a new schema version; a comment can."""
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    path = tmp_path / STORED[0] / "0001.sql"
    path.parent.mkdir(parents=True)
    path.write_text("SELECT said_price -- it is poured\n-- so\n-- many\n", encoding="utf-8")
    assert [line.split(": write")[0] for line in findings([path])] == [
        f"{STORED[0]}/0001.sql:1: 'poured' (pour)",
        f"{STORED[0]}/0001.sql:2: 'so -- many' (so many)",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "There is no store here, and it is no longer needed; it is no slower than before.",
        "People who test strategies; who may ask; anyone who has a log.",
        "So far, so good; a UUID stands for a run, and stands alone.",
        "Of course the driver understands; besides, an outdoor pourable amendment.",
    ],
)
def test_plain_text_passes(text: str) -> None:
    """A pattern that refuses plain English would be worked around."""
    assert [words for _, _, words in idioms(text)] == []


if __name__ == "__main__":
    places = tuple(sys.argv[1:])
    print("\n".join(findings([path for path in texts() if not places or is_under(path, places)])))
