"""What a file is that can't be read as it is, and the line to run instead.

Rules: pure; nothing is refused here that could be read. A format is recognised by its first bytes, or by what its lines
look like. Each refusal names what the file is and ends with a line to run, where one helps.
"""

import re
import shlex
from typing import Final

from tradecap.digits import number as grouped
from tradecap.errors import TradecapError

_COLUMNS: Final = "id,price,qty,quote_qty,time,is_buyer_maker"
_AS_ROWS: Final = f'duckdb -csv -c "SELECT {_COLUMNS} FROM {{table}}" | tradecap replay - --as VENUE:SYMBOL'
_BINARY: Final[tuple[tuple[bytes, str, str], ...]] = (
    (b"7z\xbc\xaf", "a 7-Zip archive", "7z x -so {file} | tradecap replay -"),
    (b"Rar!", "a RAR archive", "unrar p -inul {file} | tradecap replay -"),
    (b"PAR1", "a Parquet file", _AS_ROWS.format(table="read_parquet({quoted})")),
    (b"ARRO", "an Arrow (Feather) file", "save it as CSV with the columns " + _COLUMNS),
    (b"FEA1", "a Feather file", "save it as CSV with the columns " + _COLUMNS),
    (b"\x89HDF", "an HDF5 file", "save it as CSV with the columns " + _COLUMNS),
    (
        b"SQLi",
        "a SQLite database",
        f"sqlite3 -csv {{file}} 'SELECT {_COLUMNS} FROM TABLE' | tradecap replay - --as VENUE:SYMBOL",
    ),
    (b"\x04\x22\x4d\x18", "an lz4 file", "lz4 -dc {file} | tradecap replay -"),
    (b"\x1f\x9d", "a file of compress (.Z)", "uncompress -c {file} | tradecap replay -"),
    (b"Obj\x01", "an Avro file", "save it as CSV with the columns " + _COLUMNS),
    (b"\x93NUM", "a NumPy file", "save it as CSV with the columns " + _COLUMNS),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook (.xls)", "save it as CSV, and replay that."),
)


def refuse_binary(start: bytes, where: str) -> None:
    """Raises TradecapError where a file begins like one of a format that isn't read."""
    for magic, what, run in _BINARY:
        if start.startswith(magic):
            raise TradecapError(
                f"{where} is {what}, which isn't read.", run.format(file=shlex.quote(where), quoted=f"'{where}'")
            )


def refuse_workbook(members: list[str], where: str) -> None:
    """Raises TradecapError where the names in a zip are those of a workbook."""
    if "xl/workbook.xml" in members:
        raise TradecapError(
            f"{where} is an Excel workbook (.xlsx), which isn't read.", "save it as CSV, and replay that."
        )


_CELL: Final = rb' *+(?:"[^"{}\[\]:]{0,60}+" *+|[^0-9 ,;\t{}\[\]":+.-][^,;\t{}\[\]":]{0,60}+)?+'
_HEADER: Final = re.compile(rb"%b(?:[,;\t]%b){2,}+" % (_CELL, _CELL))
_OF_TARDIS: Final = "exchange,symbol,timestamp,local_timestamp,"
EXPECTED: Final = (
    f"'{_COLUMNS}' or 'agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker'"
)


def refuse_header(line: bytes, number: int, where: str, *, is_first: bool) -> None:
    """Raises TradecapError for names of columns that aren't the archive's: the meaning of the rows below them would
    have to be guessed."""
    names = line[:2000].lower()
    if not _HEADER.fullmatch(names) or not (is_first or b"price" in names):
        return
    text = line[:160].decode(errors="replace")
    if text.startswith(_OF_TARDIS):
        raise TradecapError(
            f"{where} is a CSV file of Tardis (line {grouped(number)}): trades as another program wrote them, not "
            "what the venue sent.",
            "replay Tardis' raw feed of the same day (https://api.tardis.dev/v1/data-feeds/…), or the venue's archive.",
        )
    raise TradecapError(
        f"{where}:{number} is a header that isn't known: '{text}'.",
        f"expected are the columns of the venue's archive: {EXPECTED}.",
    )


_LISTS: Final = re.compile(
    rb'\[\s*\[\s*[0-9]{10,19}(?:\.[0-9]+)?\s*,\s*(?:"[^"]*"|null|[0-9]+)\s*,\s*(?:"[^"]*"|null)\s*,\s*"(?:buy|sell)"'
)


def unread(lines: list[bytes], name: str) -> tuple[str, str]:
    """What lines of which none is recognised are, and the line to run; '' and '' where nobody can tell."""
    text = b"\n".join(lines[:50])[:65536]
    file = shlex.quote(name)
    if re.match(rb"\{\s*'", text) or re.match(rb"\[\s*\{\s*'", text):
        program = "import ast,json,sys; [print(json.dumps(ast.literal_eval(l))) for l in sys.stdin]"
        return "it holds Python dicts, not JSON", f'python3 -c "{program}" < {file} | tradecap replay -'
    if _LISTS.match(text):
        return (
            "it holds freqtrade's lists of trades, with prices as floats: not what the venue sent",
            "replay the same trades from the venue's archive.",
        )
    if re.match(rb'\{"type":"trade",.*"localTimestamp"', text):
        return (
            "it holds trades as tardis-machine normalises them, not what the venue sent"
        ), "ask tardis-machine for /replay, not /replay-normalized."
    if re.match(rb'\{\s*(?:"|\n)', text) and re.search(
        rb'"e"\s*:\s*"|"price"\s*:|"stream"\s*:|"data"\s*:|"p"\s*:', text
    ):
        is_shared = re.search(rb"\}\s*\{", text.partition(b"\n")[0])
        what = "its JSON objects share a line" if is_shared else "its JSON is pretty-printed"
        return what + ", and a message has to be one line", f"jq -c . {file} | tradecap replay -"
    return "", ""
