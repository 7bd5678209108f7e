"""Bodies as their Content-Encoding says."""

import gzip
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradecap.venues.encodings import plain_body

RAW = b'[{"id":1}]'


def gzipped(body: bytes) -> bytes:
    """Without the time of day, so that the names of the tests are the same in each process."""
    return gzip.compress(body, mtime=0)


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (RAW, ""),
        (RAW, "identity"),
        (gzipped(RAW), "gzip"),
        (gzipped(RAW), "X-GZIP"),
        (gzipped(RAW[:4]) + gzipped(RAW[4:]), "gzip"),
        (zlib.compress(RAW), "deflate"),
        (raw_deflate(RAW), "deflate"),
        (gzipped(zlib.compress(RAW)), "deflate, gzip"),
    ],
)
def test_a_body_is_read_as_it_was_encoded(body: bytes, encoding: str) -> None:
    """A proxy that packs what passes would end all repair."""
    assert plain_body(body, encoding, 1000) == RAW


@pytest.mark.parametrize(
    ("body", "encoding", "reason"),
    [
        (RAW, "gzip", "isn't gzip"),
        (b"\xff" + RAW, "deflate", "isn't deflate"),
        (gzipped(RAW)[:-9], "gzip", "ends too early"),
        (b"", "br", "encoded as 'br'"),
        (RAW, "gzip, gzip, gzip, gzip", "4 codings"),
        (gzipped(bytes(10**6)), "gzip", "too large"),
        (gzipped(bytes(600)) * 2, "gzip", "too large"),
    ],
)
def test_what_is_not_encoded_so_is_refused_with_the_reason(body: bytes, encoding: str, reason: str) -> None:
    """Half of an answer would be taken for all of it, or a small one fill the memory."""
    with pytest.raises(ValueError, match=reason):
        plain_body(body, encoding, 1000)


@given(st.binary(max_size=200), st.sampled_from(["gzip", "deflate", "gzip, deflate", "br", ",", "identity"]))
def test_whatever_a_venue_sends_it_is_bytes_or_a_reason(body: bytes, encoding: str) -> None:
    """The repair would die of an exception that nobody waits for."""
    with suppress(ValueError):
        assert len(plain_body(body, encoding, 1000)) <= 1000
