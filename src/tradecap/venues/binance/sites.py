"""Where Binance is reached: hosts, limits and weights of spot, USD-M futures, Binance.US and the data-only hosts.

Sources: hosts and limits: "WebSocket Streams for Binance", "Public Rest API", "Market Data Only URLs", Binance.US "Web
Socket Streams"; the path /market of USD-M (2026) is known from client libraries (docs/binance.md §1, §5 and §7).
"""

import re
from functools import partial
from typing import Final

from tradecap.venues.binance.control import CONTROL
from tradecap.venues.binance.rest import REST, USDM_REST
from tradecap.venues.sites import Site

_site = partial(
    Site,
    control=CONTROL,
    rest=REST,
    rest_path="/api/v3",
    max_streams=1024,
    weight_per_minute=6000,
    has_history=True,
    weights=(("exchangeInfo", 20), ("trades", 25), ("historicalTrades", 25), ("aggTrades", 4)),
)

SPOT_SITES: Final = (
    _site("binance", "binance", "wss://stream.binance.com:9443", "https://api.binance.com"),
    _site(
        "binance-data",
        "binance",
        "wss://data-stream.binance.vision",
        "https://data-api.binance.vision",
        has_history=False,
    ),
)
"""`historicalTrades` isn't served by the data-only hosts, and on USD-M it takes a key."""
USDM_SITES: Final = (
    _site(
        "binance-usdm",
        "binance-usdm",
        "wss://fstream.binance.com/market",
        "https://fapi.binance.com",
        rest=USDM_REST,
        rest_path="/fapi/v1",
        max_streams=200,
        weight_per_minute=2400,
        has_history=False,
        weights=(("exchangeInfo", 1), ("trades", 5), ("historicalTrades", 20), ("aggTrades", 20)),
    ),
)
US_SITES: Final = (
    _site("binance-us", "binance-us", "wss://stream.binance.us:9443", "https://api.binance.us", weight_per_minute=1200),
)

SPOT_HOSTS: Final = re.compile(r"(?:stream|api[1-4]?|api-gcp)\.binance\.com|(?:data-stream|data-api)\.binance\.vision")
USDM_HOSTS: Final = re.compile(r"(?:fstream|fapi)\.binance\.com")
US_HOSTS: Final = re.compile(r"(?:stream|api)\.binance\.us")
"""All hosts that recordings may name, those included that a capture doesn't use."""
