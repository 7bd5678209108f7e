"""The quick way to count records gives what the plain one gives, for lines that differ in a digit or a byte.

A line that a template takes for a trade, and the plain reading doesn't, would be proven though it can't be read.
`make fuzz` draws a million.
"""

import os
import random
from collections.abc import Iterator

import pytest

from tests.mutations import mutated_line
from tests.proof.test_tally import answer
from tradecap.flows.verify.counting import count_plainly
from tradecap.flows.verify.templated import TemplateCounter
from tradecap.market.batch import Batch, Lines, Portion, Position, Values
from tradecap.market.records import RunWriter, series_head, source_head
from tradecap.proof.tally import Tally

LINES = int(os.environ.get("FUZZ_LINES", "8000"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
PORTION = 4000
LOG = "0193aaaa-0000-7000-8000-000000000000"
RUN = "01930000-0000-7000-8000-000000000000"
SHAPES = (
    b'{"stream":"btcusdt@trade","data":{"e":"trade","E":%(E)d,"s":"BTCUSDT","t":%(t)d,"p":"%(p)b","q":"%(q)b","T":%(T)d,"m":%(m)b,"M":true}}',
    b'{"e":"trade","E":%(E)d,"s":"BTCUSDT","t":%(t)d,"p":"%(p)b","q":"%(q)b","T":%(T)d,"m":%(m)b,"M":true}',
    b'{"e":"trade","E":%(E)d,"s":"ETHUSDT","t":%(t)d,"p":"%(p)b","q":"%(q)b","b":88,"a":50,"T":%(T)d,"m":%(m)b,"M":true}',
    b'{"e":"trade","E":%(E)d,"T":%(T)d,"s":"BTCUSDT","t":%(t)d,"p":"%(p)b","q":"%(q)b","X":"MARKET","m":%(m)b}',
    b'{"e":"trade","E":%(E)d,"T":%(T)d,"s":"BTCUSDT","t":%(t)d,"p":"%(p)b","q":"%(q)b","X":"INSURANCE_FUND","m":%(m)b}',
    b'{"e":"aggTrade","E":%(E)d,"s":"BTCUSDT","a":%(t)d,"p":"%(p)b","q":"%(q)b","f":%(f)d,"l":%(l)d,"T":%(T)d,"m":%(m)b,"M":true}',
    b'{"e":"kline","E":%(E)d,"s":"BTCUSDT","k":{"t":%(t)d,"T":%(T)d,"o":"%(p)b"}}',
)
PRICES = (b"61000.01000000", b"0.00002345", b"00.50000000", b"3.5", b"9999999.99999999", b"0.00000000", b"12")
QTYS = (b"0.00215000", b"1.00000000", b"0.10", b"1234567890.5", b"0.0", b"7")


def a_line(rng: random.Random, seq: int) -> bytes:
    """A record of one of the shapes, without its newline; its ids grow, and some appear twice."""
    trade_id = rng.choice((seq, seq, 5, seq - rng.randrange(3)))
    values = {
        b"E": 1723161600034 + seq,
        b"t": trade_id,
        b"T": 1723161600033 + seq,
        b"f": trade_id,
        b"l": trade_id + rng.randrange(3),
        b"p": rng.choice(PRICES),
        b"q": rng.choice(QTYS),
        b"m": rng.choice((b"true", b"false")),
    }
    payload = rng.choice(SHAPES) % values
    head = series_head(
        "binance-usdm" if b'"X"' in payload else "binance", "BTCUSDT", "trade", rng.choice(("ws", "ws", "inject:dupes"))
    )
    if rng.random() < 0.5:
        head += source_head(b"day.ndjson", rng.randrange(1000))
    recv = rng.choice((None, 1723161600034000000 + seq, 9223161600034000000, 99))
    return RunWriter(RUN, seq).record(recv, head, b'"data":%b}\n' % payload).removesuffix(b"\n")


def other_digits(rng: random.Random, line: bytes) -> bytes:
    """The line with other digits, or another byte in the place of one."""
    at = [n for n, byte in enumerate(line) if n > 52 and byte in b"0123456789"]
    changed = bytearray(line)
    for _ in range(rng.choice((0, 1, 1, 2))):
        changed[rng.choice(at)] = rng.choice(b"00009123456789 -e/:\x00\xff")
    return bytes(changed)


def portions(rng: random.Random, kind: str) -> Iterator[Portion]:
    """Lines as a folder or a topic hands them out. Their seqs are far from each other: few other digits give the seq of
    another line."""
    before = None
    for first in range(1, LINES + 1, PORTION):
        made = [a_line(rng, n * 100_003) for n in range(first, first + PORTION)]
        made = [mutated_line(rng, line, 1) if rng.random() < 0.02 else other_digits(rng, line) for line in made]
        made = [line for line in made if b"\n" not in line]
        end = Position(2, str(first + PORTION), first + PORTION)
        content = (
            Lines(b"".join(line + b"\n" for line in made))
            if kind == "folder"
            else Values([*made, b""], range(first, first + len(made) + 1))
        )
        yield Portion(Batch(content, len(made), end), before)
        before = end


def everything(tally: Tally) -> dict[str, object]:
    """All that a tally says, sums as they are compared."""
    blocks = {
        (run.run, number): (block.records, block.fingerprint % 2**64, block.trades, block.rest % 2**64, block.since)
        for run in tally.runs.values()
        for number, block in run.blocks.items()
    }
    parts = {run.run: (run.parts, run.started, run.ended, run.ended_seq) for run in tally.runs.values()}
    return answer(tally) | {
        "blocks": blocks,
        "parts": parts,
        "rest": (tally.empty, tally.recovered, tally.repeats, tally.repeated),
    }


@pytest.mark.parametrize("kind", ["folder", "topic"])
def test_templates_count_what_the_plain_reading_counts(kind: str) -> None:
    """The proof would depend on whether numpy is there."""
    rng = random.Random(f"{SEED} {kind}")
    counter = TemplateCounter(LOG)
    quickly = 0
    for portion in portions(rng, kind):
        plain = Tally()
        count_plainly(plain, portion, LOG)
        quick = counter.count(portion)
        if quick is not None:
            assert everything(quick) == everything(plain)
            quickly += 1
    assert quickly * PORTION >= LINES / 2
