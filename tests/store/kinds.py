"""The stores that the conformance suite runs over. Each kind gives the URL of a store that isn't there yet."""

from collections.abc import Callable
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest

Kind = Callable[[pytest.FixtureRequest], str]


def embedded(request: pytest.FixtureRequest) -> str:
    """ClickHouse in this process."""
    folder: Path = request.getfixturevalue("tmp_path")
    return f"chdb:{folder}/db"


def over_http(request: pytest.FixtureRequest) -> str:
    """ClickHouse that speaks HTTP."""
    server: str = request.getfixturevalue("server")
    return f"{server}/db{uuid4().hex}"


STORES: Final[list[Kind]] = [embedded, over_http]
