"""Records read by their likeness to others: the fast way to read a line of the log.

Rules: a record that is written as an earlier one of its run and series was differs from it in seq, recv, src and
payload alone; only these are read. What isn't recognised is left to `records.read_envelope`, and so is every payload
that turns out to be no JSON object. At most OTHERS_KEPT beginnings are remembered.
"""

import re
from typing import Final

import msgspec

from tradecap.market.records import Envelope


def like_others(line: bytes) -> Envelope | None:
    """What `read_envelope` gives for a record with `data` that is written as others of its run and series were; None
    where it isn't.

    That saves most of its time. The payload isn't looked at: where it turns out to be no JSON object, the line must be
    read by `read_envelope`.
    """
    numbers = _NUMBERS.match(line, 52)
    if numbers is None or b"\n" in line or not line.endswith(b"}"):
        return None
    head_at = numbers.end()
    data_at = line.find(b'"data":{', head_at) + 7
    source_at = line.find(b'"src":"', head_at, data_at)
    others = _OTHERS.get(line[:52] + line[head_at : data_at if source_at < 0 else source_at])
    if others is None:
        return None
    source = b""
    if source_at >= 0:
        begin, end = source_at + 7, data_at - 9
        source = line[begin:end]
        if end < begin or not (line.startswith(b'",', end) and _PLAIN_TEXT.fullmatch(source)):
            return None
    run, venue, symbol, channel, via = others
    seq, recv = numbers.groups()
    data = msgspec.Raw(line[data_at:-1])
    return Envelope(
        run, int(seq), None if recv == b"null" else int(recv), venue, symbol, channel, via, source.decode(), data=data
    )


def remember(line: bytes, envelope: Envelope) -> None:
    """Let `like_others` know a record that `read_envelope` has read, and whose payload is a JSON object."""
    if len(_OTHERS) >= OTHERS_KEPT:
        _OTHERS.clear()
    numbers = _NUMBERS.match(line, 52)
    if numbers:
        head_at = numbers.end()
        end = line.find(b'"src":"', head_at) if envelope.src else line.find(b'"data":{', head_at) + 7
        _OTHERS[line[:52] + line[head_at:end]] = (
            envelope.run,
            envelope.venue,
            envelope.symbol,
            envelope.channel,
            envelope.via,
        )


# By what a record shares with others, its beginning up to seq and its members from recv to src or payload: run, venue,
# symbol, channel and via.
_OTHERS: Final[dict[bytes, tuple[str, str, str, str, str]]] = {}
OTHERS_KEPT: Final = 4096
_NUMBERS: Final = re.compile(rb'(0|[1-9][0-9]{0,17}),"recv":(null|0|[1-9][0-9]{0,17}|[1-8][0-9]{18}),')
_PLAIN_TEXT: Final = re.compile(rb"[ !#-\[\]-~]*")
