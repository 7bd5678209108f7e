"""The stores that the conformance suite runs over. Each kind gives the URL of a store that isn't there yet."""

from collections.abc import Callable
from typing import Final
from uuid import uuid4

import pytest

Kind = Callable[[pytest.FixtureRequest], str]


def embedded(request: pytest.FixtureRequest) -> str:
    """ClickHouse in this process."""
    folders: pytest.TempPathFactory = request.getfixturevalue("tmp_path_factory")
    return f"chdb:{folders.mktemp('store')}/db"


def over_http(request: pytest.FixtureRequest) -> str:
    """ClickHouse that speaks HTTP."""
    server: str = request.getfixturevalue("server")
    return f"{server}/db{uuid4().hex}"


STORES: Final[list[Kind]] = [embedded, over_http]
