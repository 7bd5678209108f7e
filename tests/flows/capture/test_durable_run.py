"""Records of a capture become durable soon, and the status shows when they don't."""

import time

from tests.flows.builders import a_message
from tradecap.flows.capture.durable_run import FLUSH_RECORDS, DurableRun
from tradecap.flows.capture.status import STUCK_S, Status
from tradecap.flows.run import Run
from tradecap.log.folder.log import FileLog
from tradecap.market.records import DataRecord, frame, series_head


def a_record(number: int) -> DataRecord:
    """A record of the trade with this id, as the stream brings it."""
    return 1, series_head("binance", "BTCUSDT", "trade", "ws"), frame(a_message(number)), None


def test_a_trade_after_a_long_silence_is_no_stuck_log(log: FileLog) -> None:
    """A quiet series would wake somebody with each of its trades: the log had nothing to make durable before it."""
    now = time.monotonic()
    with log.writer() as writer:
        status = Status(writer.run, {}, 3600.0)
        run = DurableRun(Run(writer, "stream", venue="binance", symbols=["BTCUSDT"], channel="trade"), status)
        status.flushed_s = now - 50
        status.arrived(now)
        run.write([a_record(1)])
        assert status.ills(time.monotonic()) == []
        assert "the log made nothing durable" in status.ills(time.monotonic() + STUCK_S)[0]
        run.flush()
        assert status.ills(time.monotonic() + STUCK_S) == []


def test_an_event_that_does_not_become_durable_is_a_stuck_log_too(log: FileLog) -> None:
    """What is fetched while no data comes would wait unseen."""
    with log.writer() as writer:
        status = Status(writer.run, {}, 3600.0)
        run = DurableRun(Run(writer, "stream", venue="binance", symbols=["BTCUSDT"], channel="trade"), status)
        run.event("gap_found", b"", first=1, last=2)
        assert status.ills(time.monotonic() + STUCK_S)
        run.flush()


def test_after_a_thousand_records_they_are_durable_at_once(log: FileLog) -> None:
    """In a burst the promise would be of as many as a read of the socket brings, not of a thousand."""
    with log.writer() as writer:
        run = DurableRun(
            Run(writer, "stream", venue="binance", symbols=["BTCUSDT"], channel="trade"), Status(writer.run, {}, 3600.0)
        )
        begun = sum(batch.records for batch in log.read())
        for number in range(FLUSH_RECORDS):
            assert (run.room, sum(batch.records for batch in log.read()) if number % 333 == 0 else begun) == (
                FLUSH_RECORDS - number,
                begun,
            )
            run.write([a_record(number)])
        assert (run.room, sum(batch.records for batch in log.read())) == (FLUSH_RECORDS, begun + FLUSH_RECORDS)
