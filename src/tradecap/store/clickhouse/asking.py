"""Statements that people write themselves: read only, on this store only.

Rules: `readonly` alone doesn't keep a statement inside the store. Measured with ClickHouse 26.9: the function file()
reads any file of this user, INTO OUTFILE writes one, and DESCRIBE url(...) and sqlite('new.db') act before access is
checked. So ClickHouse first writes the statement again as it has parsed it (formatQuery: one statement, no comments).
Then its tree (EXPLAIN AST) is searched for what leaves the store. Only then it runs, still under `readonly`.
"""

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from tradecap.errors import TradecapError
from tradecap.market.records import valid_text
from tradecap.store.api import QUESTIONS, Answer
from tradecap.store.clickhouse.connection import INIT, Connection, StatementError, query

HARMLESS: Final = {
    *("numbers", "numbers_mt", "zeros", "zeros_mt", "generate_series", "generateseries", "generaterandom", "primes"),
    *("values", "view", "format", "null", "merge"),
}
"""Table functions that give rows without leaving the store."""
LEAVING: Final = {"file", "catboostevaluate", "evalmlmethod", "reversednsquery"}
"""Functions that read files or ask other hosts, in addition to those of AI providers (ai...)."""
SETTINGS: Final = (
    "output_format_json_quote_64bit_integers = 0, output_format_json_quote_decimals = 1, "
    "output_format_json_quote_denormals = 0, "
    "date_time_output_format = 'iso', readonly = 1"
)
_NAMED: Final = re.compile(r" *(Function|Identifier) ([^ ]+)")


class _Column(msgspec.Struct):
    name: str


class _Rows(msgspec.Struct):
    meta: list[_Column]
    data: list[list[object]]


def answer(connection: Connection, question: str, at_most: int) -> Answer:
    """See `Store.answer`."""
    try:
        statement = query(f"asked_{question}") if question in QUESTIONS else _checked(connection, question)
        answered = connection.raw(f"{statement}\nFORMAT JSONCompact SETTINGS limit = {at_most + 1}, {SETTINGS}")
    except StatementError as error:
        hint = INIT if error.hint == INIT else "docs/clickhouse.md names the tables and views."
        raise TradecapError(f"The statement isn't run: {error.reason}", hint) from error
    found = msgspec.json.decode(valid_text(answered.decode(errors="replace")), type=_Rows)
    return Answer([column.name for column in found.meta], found.data[:at_most], len(found.data) > at_most)


def _checked(connection: Connection, statement: str) -> str:
    """The statement as ClickHouse understands it. Raises TradecapError where it does more than read the store."""
    formatted = str(connection.rows("SELECT formatQuery({written:String}) AS text", written=statement)[0]["text"])
    tree = connection.raw(f"EXPLAIN AST {formatted}").decode(errors="replace").splitlines()
    if problem := next(_problems(connection, tree), ""):
        raise TradecapError(
            f"The statement isn't run: {problem}.",
            "query only reads this store: one SELECT, its rows as --json, --csv or a table.",
        )
    return formatted


def _problems(connection: Connection, tree: list[str]) -> Iterator[str]:
    """What in a tree goes beyond reading the store."""
    if not tree or not tree[0].startswith("SelectWithUnionQuery"):
        yield "it is not a SELECT"
        return
    if sum(not line.startswith("  ") for line in tree[1:]) > 1:
        yield "INTO OUTFILE, FORMAT and SETTINGS behind it aren't taken"
    if any("ColumnsApplyTransformer" in line for line in tree):
        yield "APPLY hides which function it calls"
    tables = _names(connection, "table_functions") - HARMLESS
    anywhere = LEAVING | _names(connection, "functions WHERE origin != 'System' OR name ILIKE 'ai%'")
    for kind, name in sorted({(match[1], match[2].lower()) for line in tree if (match := _NAMED.match(line))}):
        if name in anywhere or (kind == "Function" and name in tables):
            yield f"{name}() reaches files, other hosts or code outside ClickHouse"


def _names(connection: Connection, of: str) -> set[str]:
    return {str(row["name"]).lower() for row in connection.rows(f"SELECT name FROM system.{of}")}
