"""The decoder under a coverage-guided fuzzer: it finds the inputs that reach new branches. `make fuzz` runs it where
atheris can be had.

    python -m tests.fuzz.coverage_guided -runs=200000 FOLDER

FOLDER keeps what reached something new; it begins with the cases of tests/cases.py.
"""

import sys
from pathlib import Path

import atheris

from tests.cases import CASES

with atheris.instrument_imports():
    from tradecap.market import records
    from tradecap.venues.binance import plain, strict

HEADS = (("", "", ""), ("binance", "ETHUSDT", "trade"), ("binance-usdm", "ETHUSDT", "aggTrade"))


def one(payload: bytes) -> None:
    """No bytes make it raise, and what is a trade is framed so that the SQL reads it."""
    for venue, symbol, channel in HEADS:
        reading = plain.decode(payload, venue, symbol, channel)
        if isinstance(reading, records.Rejected):
            assert reading.reason in records.REASONS
        elif isinstance(reading, records.Ignored):
            assert reading.kind in strict.IGNORED
        elif isinstance(reading, records.Trade):
            assert records.is_plain_object(payload) or payload[:1].isdigit()
            line = records.RunWriter("01930000-0000-7000-8000-000000000001").record(None, b"", records.frame(payload))
            envelope = records.read_envelope(line[:-1])
            assert envelope is not None
            assert envelope.payload == payload


for number, case in enumerate(CASES):
    (Path(sys.argv[-1]) / f"case{number:03d}").write_bytes(case.payload[:4000])
atheris.Setup(sys.argv, one)
atheris.Fuzz()
