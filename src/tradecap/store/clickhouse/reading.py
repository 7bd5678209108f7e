"""The schema's texts, put together: the tables, the envelope, each venue's reading of its payloads, the views for people.

Rules: a venue's text is a file 0003_<venue>.sql, and its first line names the venues it reads: `-- Reads venues: 'binance', ''` ('' are lines that
name none; one text reads them). In it {venues} stands for these, in 0002_envelope.sql for those of all texts. To add a venue, add its file.
"""

import re
from importlib import resources
from typing import Final

_FOLDER = resources.files("tradecap.store.clickhouse") / "schema"
_READS: Final = re.compile(r"-- Reads venues: ('[a-z0-9-]*'(?:, '[a-z0-9-]*')*)\n")


def _text(name: str) -> str:
    return (_FOLDER / name).read_text()


VENUE_TEXTS: Final[dict[str, str]] = {
    name.removeprefix("0003_").removesuffix(".sql"): _text(name)
    for name in sorted(entry.name for entry in _FOLDER.iterdir())
    if name.startswith("0003_")
}
"""How each venue's payloads are read."""


def statements(text: str) -> list[str]:
    """The statements of a text, comments between them left out."""
    bare = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
    return [statement.strip() for statement in bare.split(";\n") if statement.strip()]


def schema() -> list[str]:
    """All statements of the schema, in order."""
    texts = VENUE_TEXTS.values()
    every = ", ".join(map(_venues, texts))
    rendered = [_text("0002_envelope.sql").replace("{venues}", every), *(text.replace("{venues}", _venues(text)) for text in texts)]
    return [statement for text in (_text("0001_tables.sql"), *rendered, _text("0004_views.sql")) for statement in statements(text)]


def _venues(text: str) -> str:
    """The venues that a text reads, as SQL."""
    named = _READS.match(text)
    assert named, "the first line of a venue's text names its venues"
    return named[1]
