"""The exchange alongside a program that isn't a coroutine."""

import threading

import pytest

from tests.simulate.builders import Scripted, some_entries
from tradecap.errors import TradecapError
from tradecap.simulate import Exchange
from tradecap.simulate.exchange_thread import ExchangeThread


def test_what_keeps_it_from_serving_is_raised_and_no_thread_is_left() -> None:
    """A demo whose exchange can't listen would wait forever for one that nobody hears."""
    with ExchangeThread(lambda: Exchange(Scripted(some_entries(1)), start="manual")) as first:
        threads = threading.active_count()
        with (
            pytest.raises(TradecapError, match="can't listen"),
            ExchangeThread(lambda: Exchange(Scripted(some_entries(1)), port=first.exchange.port)),
        ):
            raise AssertionError("two exchanges on one port")
        assert threading.active_count() == threads
