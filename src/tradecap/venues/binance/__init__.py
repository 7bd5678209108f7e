"""Binance: spot, USD-M futures and Binance.US. Pure: everything the program knows about its messages, requests, hosts
and files.

plain.py reads the messages as they are really sent, strict.py all others; limits.py says what a value may be,
symbols.py what a symbol. control.py and rest.py hold what is
sent to the venue, sites.py where to. klines.py reads its files of klines, shift.py moves the times of a message,
synthetic.py writes messages as the venue does. The same reading in SQL is store/clickhouse/schema/0003_binance.sql.
"""

from dataclasses import replace
from typing import Final

from tradecap.venues.binance.fields import numbers_of
from tradecap.venues.binance.klines import read_klines
from tradecap.venues.binance.plain import decode, described
from tradecap.venues.binance.shift import moved
from tradecap.venues.binance.sites import SPOT_HOSTS, SPOT_SITES, US_HOSTS, US_SITES, USDM_HOSTS, USDM_SITES
from tradecap.venues.binance.strict import REQUIRED
from tradecap.venues.binance.symbols import IN_NAMES, UNSUPPORTED
from tradecap.venues.venue import Venue

__all__ = ["VENUES", "decode", "described"]

_SPOT: Final = Venue(
    name="binance",
    decode=decode,
    described=described,
    moved=moved,
    required=REQUIRED,
    numbers_of=numbers_of,
    hosts=SPOT_HOSTS,
    recorded_as={"BINANCE": "stream.binance.com", "BINANCE_SPOT": "stream.binance.com"},
    sites=SPOT_SITES,
    read_klines=read_klines,
    unsupported=UNSUPPORTED,
    in_names=IN_NAMES,
)
VENUES: Final = (
    _SPOT,
    replace(
        _SPOT,
        name="binance-usdm",
        hosts=USDM_HOSTS,
        recorded_as={"BINANCE_FUTURES": "fstream.binance.com", "BINANCE_USDM": "fstream.binance.com"},
        sites=USDM_SITES,
    ),
    replace(_SPOT, name="binance-us", hosts=US_HOSTS, recorded_as={"BINANCE_US": "stream.binance.us"}, sites=US_SITES),
)
"""They write the same messages; `decode` gets the venue, or tells spot from USD-M by shape."""
