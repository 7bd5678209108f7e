"""The inputs of a replay: each is looked at before anything is written, and refused where nothing in it is
recognised."""

import itertools
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from tradecap.errors import TradecapError
from tradecap.fast import is_fast
from tradecap.flows.replay.choice import Choice
from tradecap.flows.replay.items import foreign
from tradecap.flows.replay.recognition import NOTHING, TRADE, Sight, refusal, sight
from tradecap.log.api import Log
from tradecap.market.records import read_envelope
from tradecap.recordings.layouts import Known
from tradecap.recordings.lines import copied, framed_lines
from tradecap.recordings.reading import Frame, Source, Text, frames, texts
from tradecap.venues.api import recorders

LOOKED_AT: Final = 1000
"""Lines of an input in which something must be recognised."""


@dataclass
class Input:
    """A source whose first lines have been looked at. `problem` is why it broke off, if it did. parts: all frames for
    the plain way."""

    source: Source
    parts: Iterator[Frame | Text]
    problem: TradecapError | None = None


def takes_texts(choice: Choice) -> bool:
    """Whether lines are read many at a time: at full speed, and where times stay as they are."""
    return is_fast() and choice.speed is None and not choice.now


def look_at(sources: Iterable[Source], choice: Choice) -> list[Input]:
    """The inputs, each with something in its first lines that is recognised. Raises TradecapError (nothing is written
    yet) where nothing is."""
    return [_looked_at(source, choice) for source in sources]


def _looked_at(source: Source, choice: Choice) -> Input:
    entry = Input(source, iter(()))
    whole = _until_it_breaks(source, choice, entry)
    look = _Look(whole, entry)
    seen: list[Frame] = []
    sights: set[Sight] = set()
    for each in itertools.islice(look.frames(), LOOKED_AT):
        seen.append(each)
        sights.add(sight := _seen(each, choice))
        if sight == TRADE:
            break
    if problem := refusal(source.name, [each.payload for each in seen], sights, entry.problem):
        raise problem
    if source.path is not None and source.path.is_file():
        # begun again when its turn comes: a thousand files are not kept open (a pipe has to be)
        whole.close()
        entry.problem = None
        entry.parts = _until_it_breaks(source, choice, entry)
    else:
        entry.parts = itertools.chain(look.again(), whole)
    return entry


class _Look:
    """Frames parts of an input that are read later: `again` gives those it took as they were."""

    def __init__(self, parts: Iterable[Frame | Text], entry: Input) -> None:
        self._parts, self._entry = parts, entry
        self._taken: list[Frame | Text] = []
        self._known: Known | None = None

    def frames(self) -> Iterator[Frame]:
        """The frames. A line that is refused ends them, and is kept in the entry."""
        for part in self._parts:
            if isinstance(part, Frame):
                self._taken.append(part)
                yield part
                continue
            self._known = part.known
            self._taken.append(part._replace(known=copied(part.known)))
            try:
                yield from framed_lines(part)
            except TradecapError as problem:
                self._entry.problem = problem
                return

    def again(self) -> list[Frame | Text]:
        """The parts that were taken. What the last one tells goes on to those that follow, as if nobody had looked."""
        if self._taken and isinstance(last := self._taken[-1], Text) and self._known is not None:
            vars(self._known).update(vars(last.known))
            self._taken[-1] = last._replace(known=self._known)
        return self._taken


def _until_it_breaks(source: Source, choice: Choice, entry: Input) -> Generator[Frame | Text, None, None]:
    """The parts; a break (a file cut short) ends them and is kept for the end of the run."""
    try:
        yield from (texts if takes_texts(choice) else frames)(source, recorders())
    except TradecapError as problem:
        entry.problem = problem


def _seen(each: Frame, choice: Choice) -> Sight:
    """What a line says of its file."""
    if each.own:
        return NOTHING if read_envelope(each.payload) is None else TRADE
    item = foreign(each, b"", choice)
    return sight(each, item.reading, item.symbol, lambda: foreign(each, b"", replace(choice, symbol="BTCUSDT")).reading)


def refuse_own_log(inputs: list[Input], log: Log) -> None:
    """A log that is replayed into itself would never end."""
    if any(entry.source.log is not None and entry.source.log.id == log.id for entry in inputs):
        raise TradecapError(
            f"{log.url} can't be replayed into itself.",
            "name another log with --log; for records twice there is inject-bad --dupes.",
        )
