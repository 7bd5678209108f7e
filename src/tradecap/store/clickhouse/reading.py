"""The schema's texts, put together: the tables, the envelope, each venue's reading of its payloads, the views for people.

Rules: a venue's text is a file 0003_<venue>.sql, and its first line names the venues it reads: `-- Reads venues: 'binance', ''` ('' are lines that
name none; one text reads them). In it {venues} stands for these, in 0002_envelope.sql for those of all texts. Where its first statement is a SELECT
FROM ({lines}), it gives lines that its plain views read a shape, and leaves others the shape they have. The innermost of these SELECTs is the first
statement of 0002_envelope.sql, whose {from} is the table that is scanned. To add a venue, add its file.
"""

import re
from collections.abc import Mapping
from importlib import resources
from typing import Final

_FOLDER = resources.files("tradecap.store.clickhouse") / "schema"
SCANNED: Final = ("inbox", "lines")
"""Where lines come in; both are scanned by the same statement."""
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
    bare = "".join(f"{line}\n" for line in text.splitlines() if not line.startswith("--"))
    return [statement.strip() for statement in bare.split(";\n") if statement.strip()]


def schema() -> list[str]:
    """All statements of the schema, in order."""
    scan, *rest = statements(_text("0002_envelope.sql"))
    every, reading = [], []
    for text in VENUE_TEXTS.values():
        every.append(_venues(text))
        for statement in statements(text.replace("{venues}", _venues(text))):
            if statement.startswith("CREATE"):
                reading.append(statement)
            else:
                scan = statement.replace("{lines}", scan)
    scans = {f"{{scan {table}}}": scan.replace("{from}", table) for table in SCANNED}
    envelope = [_filled(each, {"{venues}": ", ".join(every), **scans}) for each in rest]
    views = [*statements(_text("0004_views.sql")), *statements(_text("0006_flat.sql"))]
    return [*statements(_text("0001_tables.sql")), *envelope, *reading, *views]


def _filled(text: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(name, value)
    return text


def _venues(text: str) -> str:
    """The venues that a text reads, as SQL."""
    named = _READS.match(text)
    assert named, "the first line of a venue's text names its venues"
    return named[1]
