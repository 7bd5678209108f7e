"""What tests of the flows are made of: messages of trades, runs written by the flows themselves, and what verify
finds."""

from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import Any

from tests.builders import NOON_S, a_trade
from tests.log.builders import begin
from tradecap.flows import inject as injecting
from tradecap.flows import load as loading
from tradecap.flows.replay import replay as replaying
from tradecap.flows.run import Run
from tradecap.flows.verify.verify import Verdict, Wanted, verify
from tradecap.log.api import Log, LogWriter
from tradecap.market.records import Trade, frame, series_head
from tradecap.proof.checks import Check
from tradecap.recordings.reading import Source
from tradecap.store.api import Store
from tradecap.venues.binance import decode
from tradecap.venues.binance.synthetic import message

MB = 1024 * 1024


def a_message(trade_id: int, *, at_s: float = 0, **overrides: Any) -> bytes:
    """The venue's message of a trade, this many seconds after noon."""
    time_us = NOON_S * 10**6 + round(at_s * 10**6)
    return message(a_trade(**{"id": trade_id, "trade_time_us": time_us, "event_time_us": time_us + 1000, **overrides}))


def some_messages(ids: Iterable[int], **overrides: Any) -> list[bytes]:
    """Messages of trades five seconds apart (the first at noon), with prices that go up and down."""
    return [
        a_message(
            trade_id, at_s=5 * n, **{"price": (100 + n * 5 % 7) * 10**8, "is_buyer_maker": n % 3 == 0, **overrides}
        )
        for n, trade_id in enumerate(ids)
    ]


def never() -> bool:
    """Nobody asks to stop."""
    return False


def quietly(_: int) -> None:
    """Nobody watches the progress."""


def replayed(log: Log, messages: Iterable[bytes], *, segment_bytes: int = 64 * MB) -> str:
    """Replay messages into a log; the run."""
    recording = Source("recording", stream=BytesIO(b"".join(message + b"\n" for message in messages)))
    inputs = replaying.look_at([recording], replaying.Choice())
    with begin(log, segment_bytes=segment_bytes) as writer:
        return replaying.replay(inputs, writer, replaying.Choice(), stop=never, progress=quietly).run


def spoilt(log: Log, faults: Mapping[str, int]) -> str:
    """Inject faults into a log; the run."""
    with log.writer() as writer:
        return injecting.inject(injecting.spoilt(log, faults, 7), writer, 7, stop=never, progress=quietly).run


def begun(writer: LogWriter, messages: Iterable[bytes]) -> Run:
    """A run that has logged some messages, durably, and hasn't ended."""
    run = Run(writer, "test")
    for each in messages:
        reading = decode(each)
        assert isinstance(reading, Trade)
        run.record(None, series_head(reading.venue, reading.symbol, reading.channel, "ws"), frame(each), reading)
    run.flush()
    return run


def load(log: Log, store: Store) -> loading.Loaded:
    """Load a log into a store."""
    return loading.load(log, store, stop=never, progress=quietly)


def verdict_of(log: Log, store: Store, **wanted: Any) -> Verdict:
    """What verify says."""
    return verify(log, store, Wanted(**wanted), progress=quietly)


def failures(log: Log, store: Store, **wanted: Any) -> dict[str, Check]:
    """The checks that failed, by name."""
    return {check.name: check for check in verdict_of(log, store, **wanted).checks if not check.ok}
