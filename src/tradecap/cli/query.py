"""tradecap query: what is in the store, asked by a person."""

import csv as csv_format
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click
import msgspec

from tradecap.cli.options import POSITIVE, command, shared
from tradecap.cli.output import Output, counted, table
from tradecap.cli.settings import Settings
from tradecap.errors import Exit
from tradecap.flows.records import read_record
from tradecap.store import open_store
from tradecap.store.api import QUESTIONS, Answer

if TYPE_CHECKING:
    from rich.console import RenderableType


@command
@click.argument("question", metavar=f"SQL|{'|'.join(QUESTIONS)}")
@click.option("--limit", type=POSITIVE, default="1000", metavar="N", help="At most N rows (default 1000).")
@click.option("--csv", is_flag=True, help="Print the rows as CSV.")
@shared
def query(question: str, limit: int, csv: bool, settings: Settings, out: Output) -> Exit:
    """Run a read-only query on the store, by name or in SQL.

    A statement that writes, reads files or reaches the network is refused.

    \b
    Examples:
      tradecap query symbols
      tradecap query quarantine --limit 20 --csv
      tradecap query "SELECT symbol, max(price) FROM v_trades GROUP BY symbol" --json
    """
    with open_store(settings.store.value, read=read_record) as store:
        answer = store.answer(question, limit)
    if answer.has_more:
        out.note(f"only the first {counted(limit, 'row')}: --limit takes more", limit=limit)
    if csv:
        out.lines(_csv(answer))
    else:
        out.show(answer._asdict(), lambda: _draw(answer))
    return Exit.OK


def _draw(answer: Answer) -> "RenderableType":
    """As many columns as there is room for, from the first one on."""
    return table(
        answer.columns,
        [[_text(cell) for cell in row] for row in answer.rows],
        drop=range(len(answer.columns) - 1, 0, -1),
    )


def _csv(answer: Answer) -> Iterator[str]:
    rows: list[list[object]] = [list(answer.columns), *answer.rows]
    for row in rows:
        line = io.StringIO()
        csv_format.writer(line, lineterminator="").writerow([_text(cell) for cell in row])
        yield line.getvalue()


def _text(cell: object) -> str:
    """A cell outside JSON: what isn't text as JSON writes it, nothing for null. Ids are numbers that nobody groups."""
    if cell is None:
        return ""
    return cell if isinstance(cell, str) else msgspec.json.encode(cell).decode()
