"""What of a recording is logged, what is left out, and what ends an input; counted on the way."""

from tradecap.errors import TradecapError
from tradecap.flows.replay.choice import Choice, Replayed
from tradecap.flows.replay.items import Item
from tradecap.flows.replay.recognition import Names, not_a_venue
from tradecap.market.records import Ignored, Reading, Rejected, Trade
from tradecap.recordings.reading import Frame
from tradecap.venues.api import unsupported, venue_of


class Intake:
    """Counts lines into `replayed`. symbols: those that were met, where some were asked for."""

    def __init__(self, choice: Choice, replayed: Replayed) -> None:
        self.choice, self.replayed = choice, replayed
        self.symbols: set[str] = set()
        self._named = Names()

    def ends(self, name: str, each: Frame, reading: Reading) -> TradecapError | None:
        """Why the input of this name ends before this line; None where it goes on."""
        choice, unknown_hosts = self.choice, self.replayed.unknown_hosts
        if each.host and not venue_of(each.host) and (why := not_a_venue(name, each, choice.venue)):
            if not unsupported(each.host, "") and each.host not in unknown_hosts:
                unknown_hosts.append(each.host)
            if type(reading) is Trade:
                return why
        if choice.symbol and each.symbol and not each.is_named and type(reading) is Trade:
            return self._named.differs(name, each)
        return None

    def is_logged(self, each: Frame, item: Item) -> bool:
        """Whether a line becomes a record."""
        replayed, choice, reading = self.replayed, self.choice, item.reading
        replayed.lines += 1
        if type(reading) is Ignored:
            _count(replayed.ignored, reading.kind)
            return False
        if choice.symbols:
            self.symbols.add(item.symbol)
        if self._is_left_out(item):
            replayed.filtered += 1
            if type(reading) is Trade:
                self.note_times(reading.trade_time_us, reading.trade_time_us)
            return False
        if type(reading) is Trade:
            replayed.valid += 1
            if is_named_by_file(each, choice):
                self.note_name(reading.symbol)
        elif type(reading) is Rejected:
            _count(replayed.quarantined, reading.reason)
        return True

    def _is_left_out(self, item: Item) -> bool:
        """By symbol also what can't be read, as far as it names one; by time only trades."""
        choice = self.choice
        if choice.symbols and item.symbol not in choice.symbols and (item.symbol or type(item.reading) is Trade):
            return True
        if type(item.reading) is not Trade:
            return False
        time_ns = item.reading.trade_time_us * 1000
        return (choice.from_ns is not None and time_ns < choice.from_ns) or (
            choice.to_ns is not None and time_ns >= choice.to_ns
        )

    def note_times(self, first_us: int, last_us: int) -> None:
        """Trades between these times were left out."""
        first, last = self.replayed.left_out_ns or (first_us * 1000, last_us * 1000)
        self.replayed.left_out_ns = (min(first, first_us * 1000), max(last, last_us * 1000))

    def note_name(self, symbol: str) -> None:
        """Rows have this symbol by the name of their file alone."""
        named = self.replayed.named_by_file = self.replayed.named_by_file or []
        if symbol not in named:
            named.append(symbol)


def is_named_by_file(each: Frame, choice: Choice) -> bool:
    """Whether the symbol of a trade is known from the name of its file alone."""
    return bool(each.channel) and not each.is_named and not choice.symbol


def _count(counts: dict[str, int], key: str) -> None:
    counts[key] = counts.get(key, 0) + 1
