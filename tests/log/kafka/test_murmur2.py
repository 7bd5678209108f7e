"""The partition of a key, as other clients choose it (tests/flows/test_process.py holds it against librdkafka's)."""

import pytest

from tradecap.log.kafka.murmur2 import murmur2, partition_of


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_the_hash_is_that_of_the_java_client(data: bytes, value: int) -> None:
    """Each trade would be misplaced. The values are those of Kafka's own test, UtilsTest.testMurmur2."""
    assert murmur2(data) == value & 0xFFFFFFFF


def test_a_partition_is_never_negative() -> None:
    """Half of the symbols would belong nowhere."""
    assert {partition_of(f"S{n}USDT".encode(), 7) for n in range(200)} == set(range(7))
