"""Expressions that several texts of SQL share: each is written once, here, and put in where a text says `{{name}}`.

Rules: a text that is sent or stored never holds `{{`. Python's side of the content hash is `market/records.py`.
"""

import re
from typing import Final

CONTENT: Final = (
    "CRC32(concat(toString(reinterpretAsInt64(price)), '|', toString(reinterpretAsInt128(qty)), '|', "
    "toString(%s), '|', if(is_buyer_maker, '1', '0'), '|', toString(first_id), '|', toString(last_id)))"
)
"""`{{content ms=EXPRESSION}}`: the hash of what a trade says; the expression is its trade time in Unix ms."""
FINGERPRINT: Final = "sum(xxh3(ver, trade_id))"
"""`{{fingerprint}}`: which trades a minute was made of."""
_CALL: Final = re.compile(r"\{\{(?:(fingerprint)|content ms=([^}]+))\}\}")


def expanded(text: str) -> str:
    """A text of SQL with the shared expressions put in."""
    return _CALL.sub(lambda call: FINGERPRINT if call[1] else CONTENT % call[2], text)
