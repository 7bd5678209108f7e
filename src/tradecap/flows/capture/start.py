"""Before a capture begins: does the venue trade these symbols?"""

from collections.abc import Mapping, Sequence

from tradecap.errors import TradecapError
from tradecap.flows.candles import which_symbol
from tradecap.venues.rest import Rest, RestError


def check_symbols(rest: Rest, symbols: Sequence[str]) -> str:
    """A warning for people, '' if there is none. Raises TradecapError for a symbol that the venue doesn't list.

    An answer that isn't a list of symbols doesn't keep anyone from capturing: the stream may be fine.
    """
    try:
        listed = rest.look_up(symbols)
    except RestError as error:
        if error.failure.kind == "http_451":
            raise
        return f"The symbols couldn't be checked: {error.message} ({error.hint.rstrip('.')})"
    for symbol, known in listed.unknown.items():
        raise TradecapError(
            f"{symbol} isn't traded at {rest.site.name}.", which_symbol(symbol, set(known), "it lists no symbols.")
        )
    return _not_traded(listed.closed, rest.site.name)


def _not_traded(closed: Mapping[str, str], site: str) -> str:
    """A sentence about symbols that are listed but not traded now: their streams stay silent."""
    if not closed:
        return ""
    named = ", ".join(
        f"{symbol} is {status if status.isidentifier() else repr(status[:40])}" for symbol, status in closed.items()
    )
    return f"Not traded at {site} at the moment: {named}. There will be no trades until that changes."
