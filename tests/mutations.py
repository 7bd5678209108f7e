"""Messages that are nearly right: the cases of tests/cases.py with a few bytes changed, inserted, cut or joined. Shared
by tests and `make fuzz`."""

import random

from tests.cases import CASES

SIGNS = b'{}[]",:.0123456789-+eEtfnrsTm\\u \x00\xff\n'
VALUES = (
    b"null",
    b"true",
    b"1.5",
    b'"x"',
    b"[]",
    b"{}",
    b"18446744073709551616",
    b"-1",
    b"1e400",
    b'"\\ud800"',
    b"[" * 120 + b"]" * 120,
    b"9" * 400,
)


def mutated(rng: random.Random) -> bytes:
    """A case with one to three changes: bit flips, other signs, cuts, joins, swapped types, huge numbers, deep nesting,
    wrong encodings."""
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


def mutated_line(rng: random.Random, line: bytes, changes: int) -> bytes:
    """A line of the log with some changes anywhere in it: other signs, cuts, repeats, swapped values, damaged names of
    members."""
    text = bytearray(line)
    for _ in range(changes):
        at = rng.randint(0, len(text))
        match rng.randint(0, 8):
            case 0:
                text[at : at + 1] = bytes([rng.choice(SIGNS)])
            case 1:
                text.insert(at, rng.choice(SIGNS))
            case 2:
                del text[at : at + rng.randint(1, 3)]
            case 3:
                text[at : at + 1] = bytes([rng.randrange(256)])
            case 4 | 5:
                colon = text.find(b":", rng.randint(0, min(len(text), 250)))
                end = next((n for n in range(colon + 1, len(text)) if text[n] in b",}]"), len(text))
                text[colon + 1 : end] = rng.choice(
                    VALUES if rng.random() < 0.6 else (b"0" + text[colon + 1 : end], text[colon + 1 : end] + b".0")
                )
            case 6:
                digits = [n for n in range(len(text)) if text[n] in b"0123456789"]
                if digits:
                    text.insert(rng.choice(digits), rng.choice(b"0019"))
            case 7:
                quote = text.find(b'"', at)
                if quote >= 0:
                    text.insert(quote, rng.choice(b'\\\x00\x1f\x7f"\xc3 '))
            case _:
                first, last = sorted((at, rng.randint(0, len(text))))
                text[at:at] = text[first : min(last, first + 80)]
    return bytes(text)
