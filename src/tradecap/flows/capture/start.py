"""Before a capture begins: are these symbols traded?"""

from collections.abc import Mapping, Sequence

from tradecap.errors import TradecapError
from tradecap.flows.candles import which_symbol
from tradecap.venues.rest import Rest, RestError


def check_symbols(rest: Rest, symbols: Sequence[str]) -> str:
    """Raise TradecapError for a symbol the venue doesn't list. '' when all is well, else what a person should know.

    An answer that isn't a list of symbols is no reason not to capture: the stream may be fine.
    """
    try:
        listed = rest.look_up(symbols)
    except RestError as error:
        if error.failure.kind == "http_451":
            raise
        return f"The symbols couldn't be checked: {error.message} ({error.hint.rstrip('.')})"
    for symbol, known in listed.unknown.items():
        raise TradecapError(f"{symbol} isn't traded at {rest.site.name}.", which_symbol(symbol, set(known), "it lists no symbols."))
    return _closed(listed.closed, rest.site.name)


def _closed(closed: Mapping[str, str], site: str) -> str:
    """A sentence about symbols that are listed and not traded: their streams stay silent."""
    if not closed:
        return ""
    named = ", ".join(f"{symbol} is {status if status.isidentifier() else repr(status[:40])}" for symbol, status in closed.items())
    return f"Not traded at {site} at the moment: {named}. No trade will come before that changes."
