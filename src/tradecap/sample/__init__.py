"""The recording that comes with the package (`sample:`): five synthetic minutes of three symbols, made by
fixtures/make.py, not real market data."""

from importlib.resources import files
from typing import BinaryIO, Final, cast

NAME: Final = "sample.ndjson.gz"
"""Lines with the receive time in front (format F1), gzip."""


def open_sample() -> BinaryIO:
    """The recording as it lies in the package, still compressed; the caller closes it."""
    return cast(BinaryIO, files(__name__).joinpath(NAME).open("rb"))
