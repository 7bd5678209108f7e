"""Before a capture begins: are these symbols traded?"""

from collections.abc import Sequence

from tradecap.errors import TradecapError
from tradecap.flows.candles import which_symbol
from tradecap.venues.rest import Rest, RestError


def check_symbols(rest: Rest, symbols: Sequence[str]) -> str:
    """Raise TradecapError for a symbol the venue doesn't trade. '' when all is well, else why it couldn't be checked."""
    try:
        unknown = rest.unknown_symbols(symbols)
    except RestError as error:
        if error.failure.kind == "http_451":
            raise
        return f"The symbols couldn't be checked: {error.message}"
    for symbol, known in unknown.items():
        raise TradecapError(f"{symbol} isn't traded at {rest.site.name}.", which_symbol(symbol, set(known), "it lists no symbols."))
    return ""
