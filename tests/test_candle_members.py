"""What a candle is made of is the same wherever a candle is shown: stored, printed, sent over REST and gRPC, produced
to a topic."""

from dataclasses import fields

from tradecap.flows import candles as shown
from tradecap.market import candles as market
from tradecap.market.enrichment import Minute
from tradecap.serve import models
from tradecap.serve.proto import market_pb2
from tradecap.store.api import CandleRow

SERIES = ("venue", "symbol", "channel", "interval")
SHOWN = tuple(field.name for field in fields(shown.ShownCandle))
INNER = {"open_time": "open_time_s"}
"""Members that have another name where times are numbers."""


def test_rest_answers_the_members_that_the_commands_print() -> None:
    """A client of one would look in vain for what the other shows."""
    assert tuple(field.name for field in fields(models.Bar)) == SHOWN


def test_grpc_sends_the_same_members() -> None:
    """A member that is added to REST alone would be missing in every generated client."""
    assert tuple(field.name for field in market_pb2.Bar.DESCRIPTOR.fields) == SERIES + SHOWN


def test_a_topic_has_the_same_members() -> None:
    """A reader of candles.1m would see another candle than a reader of the store."""
    assert Minute.__struct_fields__ == (*SERIES, *SHOWN, "revision", "closed")


def test_a_candle_is_computed_with_all_that_is_shown() -> None:
    """What isn't computed in Python can't be compared with what the store has."""
    computed = {*market.Candle.__struct_fields__, "vwap", "volatility"}
    assert {INNER.get(name, name) for name in SHOWN} <= computed


def test_the_store_gives_all_that_is_shown() -> None:
    """A member that the store doesn't give would be empty in every answer."""
    assert {field.name for field in fields(CandleRow)} >= set(SHOWN) - {"open_time"}
