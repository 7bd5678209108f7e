"""Lines that aren't whole records: each has an identity, the same in every reading."""

import uuid
import zlib

from hypothesis import given
from hypothesis import strategies as st

from tradecap.market.foreign_records import adopted, orphan_record, orphan_run
from tradecap.market.records import RunWriter, frame, read_envelope, series_head

RUN = "01930000-0000-7000-8000-000000000002"
LOG = "01930000-0000-7abc-9def-000000000001"


def test_a_cut_line_keeps_the_identity_it_begins_with() -> None:
    """The record with that number is the one that is broken: under another number it would be missed as well."""
    line = RunWriter(RUN, 42).record(1, series_head("binance", "BTCUSDT", "trade", "ws"), frame(b'{"e":"trade"}'))
    for cut in range(line.index(b'"recv":') + 7, len(line) - 1):
        orphan = orphan_record(line[:cut], LOG)
        assert (orphan.run, orphan.seq) == (RUN, 42)


@given(st.binary().filter(lambda line: not line.startswith(b'{"run":"')), st.integers(0, 2**32 - 1))
def test_a_line_without_identity_gets_one_from_the_log_and_itself(line: bytes, partition: int) -> None:
    """The same line has to get the same identity in every reading, or each would look like a new record."""
    orphan = orphan_record(line, LOG, partition)
    assert (orphan.run, orphan.seq) == (orphan_run(LOG, partition), zlib.crc32(line))
    assert orphan_record(line + b"x", LOG, partition).seq != orphan.seq
    assert orphan.run.startswith(LOG[:13])


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_the_run_of_orphans_is_a_uuid8_of_its_own(partition: int, other: int) -> None:
    """It must neither be taken for a run that numbers its records, nor be shared by two partitions."""
    run = uuid.UUID(orphan_run(LOG, partition))
    assert (run.version, run.variant) == (8, uuid.RFC_4122)
    assert (orphan_run(LOG, other) == str(run)) == (other == partition)


def test_an_object_of_another_producer_becomes_a_record_of_its_partition_and_offset() -> None:
    """Its trades would have no place in the ledger."""
    envelope = read_envelope(adopted(b'{"e":"trade"}', LOG, 3, 17, "binance"))
    assert envelope is not None
    assert (envelope.run, envelope.seq, envelope.venue, envelope.payload) == (
        orphan_run(LOG, 3),
        17,
        "binance",
        b'{"e":"trade"}',
    )


def test_what_is_no_object_stays_as_it_is() -> None:
    """Bytes that were changed on their way in would no longer be what the producer wrote."""
    values = (b"", b"[]", b'{"a":', b'{"run":"x"}', b'{"a":1}\n{"b":2}', b'{"a":1e9999}')
    assert [adopted(value, LOG, 0, 0) for value in values] == list(values)
