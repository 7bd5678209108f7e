"""The schema's texts, put together: the tables, the envelope, each venue's reading of its payloads, the views for
people.

Rules: a venue's text is a file 0003_<venue>.sql, and its first line names the venues it reads:
`-- Reads venues: 'binance', ''` ('' are lines that name none; one text reads them). In it {venues} stands for these, in
0002_envelope.sql for those of all texts. To add a venue, add its file. One text begins with a SELECT: it reads the
plain lines of {lines}, which is one of the first two statements of 0002_envelope.sql. `plain` puts it between a feed
and the table `lines` or `parsed`, the same for every feed.
"""

import re
from importlib import resources
from typing import Final

from tradecap.store.clickhouse.expressions import expanded

_FOLDER = resources.files("tradecap.store.clickhouse") / "schema"
_READS: Final = re.compile(r"-- Reads venues: ('[a-z0-9-]*'(?:, '[a-z0-9-]*')*)\n")
_COLUMN: Final = re.compile(r"^    (\w+) ", re.MULTILINE)


def _text(name: str) -> str:
    return expanded((_FOLDER / name).read_text())


VENUE_TEXTS: Final[dict[str, str]] = {
    name.removeprefix("0003_").removesuffix(".sql"): _text(name)
    for name in sorted(entry.name for entry in _FOLDER.iterdir())
    if name.startswith("0003_")
}
"""How each venue's payloads are read."""


def statements(text: str) -> list[str]:
    """The statements of a text, comments left out."""
    bare = "".join(f"{line}\n" for line in text.splitlines() if not line.lstrip().startswith("--"))
    return [statement.strip() for statement in bare.split(";\n") if statement.strip()]


def schema() -> list[str]:
    """All statements of the schema, in order."""
    _, _, adopted, *rest = statements(_text("0002_envelope.sql"))
    every, reading = [], []
    for text in VENUE_TEXTS.values():
        every.append(_venues(text))
        reading += [each for each in statements(text.replace("{venues}", _venues(text))) if each.startswith("CREATE")]
    envelope = [each.replace("{venues}", ", ".join(every)).replace("{adopted}", adopted) for each in rest]
    views = [*statements(_text("0004_views.sql")), *statements(_text("0006_flat.sql"))]
    return [*statements(_text("0001_tables.sql")), *envelope, *reading, *views]


def plain(feed: str, *, has_offsets: bool) -> str:
    """The SELECT that reads the plain lines of a feed, itself a SELECT of raw, log, part, pos and venue. Its columns
    are PLAIN_COLUMNS."""
    as_it_is, with_offsets, adopted, *_ = statements(_text("0002_envelope.sql"))
    lines = (with_offsets.replace("{adopted}", adopted) if has_offsets else as_it_is).replace("{feed}", feed)
    return _PLAIN.replace("{lines}", lines)


def _venues(text: str) -> str:
    """The venues that a text reads, as SQL."""
    named = _READS.match(text)
    assert named, "the first line of a venue's text names its venues"
    return named[1]


(_PLAIN,) = (each for text in VENUE_TEXTS.values() for each in statements(text) if each.startswith("SELECT"))
PLAIN_COLUMNS: Final = tuple(
    name
    for each in statements(_text("0001_tables.sql"))
    if each.startswith("CREATE TABLE IF NOT EXISTS lines")
    for name in _COLUMN.findall(each)
)
"""The columns of the tables `lines` and `parsed`, in the order in which `plain` gives them."""
