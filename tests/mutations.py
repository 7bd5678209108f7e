"""Messages that are nearly right: the cases of tests/cases.py with a few bytes changed, inserted, cut or joined. Shared by tests and `make fuzz`."""

import random

from tests.cases import CASES

SIGNS = b'{}[]",:.0123456789-+eEtfnrsTm\\u \x00\xff\n'
VALUES = (b"null", b"true", b"1.5", b'"x"', b"[]", b"{}", b"18446744073709551616", b"-1", b"1e400", b'"\\ud800"', b"[" * 120 + b"]" * 120, b"9" * 400)


def mutated(rng: random.Random) -> bytes:
    """A case with one to three changes: bit flips, other signs, cuts, joins, swapped types, huge numbers, deep nesting, wrong encodings."""
    message = bytearray(rng.choice(CASES).payload[:3000])
    for _ in range(rng.randint(1, 3)):
        at = rng.randint(0, len(message))
        match rng.randint(0, 6):
            case 0:
                message[at : at + 1] = bytes([rng.choice(SIGNS)])
            case 1:
                message.insert(at, rng.choice(SIGNS))
            case 2:
                del message[at : rng.randint(at, len(message))]
            case 3:
                message[at : at + 1] = bytes([rng.randrange(256)])
            case 4:
                colon = message.find(b":", at)
                message[colon + 1 : max(message.find(b",", colon), colon + 1)] = rng.choice(VALUES)
            case 5:
                message[:] = message.decode("latin-1").encode(rng.choice(("utf-16", "utf-8", "utf-32")))
            case _:
                other = rng.choice(CASES).payload[:2000]
                message[at:] = other[rng.randint(0, len(other)) :]
    return bytes(message)
