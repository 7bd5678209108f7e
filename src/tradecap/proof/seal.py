"""The seal of a certificate: the sha256 of everything else in it.

Rules: pure. What is hashed is the content and not the way it is written: keys in order, no blanks, ASCII. So a
certificate may be formatted again, but no value in it can be changed, added or removed unnoticed. A key that appears
twice is an edit: programs disagree which of the two counts. A seal isn't a signature: whoever can write the file can
seal it again, so a certificate has to be kept where nobody can write who can write to the log.
"""

import hashlib
import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NoReturn

SEAL: Final = "seal"
"""The member that holds it, the last one."""


class Seal(StrEnum):
    """What a seal says of its certificate."""

    WHOLE = "whole"
    MISSING = "missing"
    """Certificates of version 1 have none."""
    REMOVED = "removed"
    BROKEN = "broken"


def seal_of(content: Mapping[str, object]) -> str:
    """The seal of all the other members."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def state_of(text: bytes, *, is_due: bool) -> Seal:
    """Whether a certificate as a text is what was sealed. is_due: its version has a seal."""
    try:
        content = json.loads(text, object_pairs_hook=_unambiguous, parse_constant=_refuse)
        found = content.pop(SEAL, None)
        expected = seal_of(content)
    except (ValueError, RecursionError):
        return Seal.BROKEN
    if found is None:
        return Seal.REMOVED if is_due else Seal.MISSING
    return Seal.WHOLE if found == expected else Seal.BROKEN


def _unambiguous(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a key is there twice")
    return members


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
