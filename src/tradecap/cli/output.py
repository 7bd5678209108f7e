"""What a command says: the result on stdout, all else on stderr.

Rules: with --json stdout holds one JSON object and nothing else. Without it, a short text by rich; plain when not a
terminal. Numbers are grouped for people and exact in JSON. Colour means something (red = lost or wrong, yellow = spoilt
on purpose or open, green = proven) and is never the only sign. A reader that goes away (`| head`) ends the output,
never the work; stderr that can't be written is nobody's reason to stop. rich is imported only where something is drawn,
so that commands start fast.
"""

import io
import logging
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Any, Final, Protocol, cast

import click
import msgspec

from tradecap.cli.escaping import folded, visible, visible_json
from tradecap.cli.pasting import Given, paste
from tradecap.cli.settings import Settings
from tradecap.digits import counted as counted  # for the commands, with all else that they say
from tradecap.digits import number as number
from tradecap.errors import Exit, TradecapError
from tradecap.market.records import json_bytes, valid_text
from tradecap.urls import mask

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

    from tradecap.cli.lines import Fitted

PLAIN_WIDTH: Final = 1_000_000
"""Columns where there is no terminal: nothing is wrapped or cut in a pipe."""
PLAIN_PROGRESS_S: Final = 10.0
TALKATIVE: Final = ("urllib3", "clickhouse_connect")
"""Libraries that warn of each attempt and each error. The result reports it once; their own lines are shown with -v."""
MESSAGE_COLOURS: Final = {"error": "red", "warning": "yellow"}


class Advance(Protocol):
    """Reports that `amount` more is done; `total` when it becomes known or changes."""

    def __call__(self, amount: int, *, total: int | None = None) -> None: ...


class Output:
    """Writes a command's result to stdout and its messages to stderr, in the form that was asked for."""

    def __init__(self) -> None:
        self.json = False
        self.quiet = False
        self.verbosity = 0
        self.json_messages = False
        self.given = Given()
        """What command lines in its messages repeat."""
        self.is_drawing = False
        """Whether something moves on the terminal of stderr: whatever else is written there goes through what draws
        it."""

    def configure(self, *, json: bool, quiet: bool, verbosity: int) -> None:
        """How to speak from here on; logging follows."""
        self.json, self.quiet, self.verbosity = json, quiet, verbosity
        level = logging.ERROR if quiet else (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbosity, 2)]
        logging.basicConfig(level=level, format="%(message)s", handlers=[_LogLines(self)], force=True)

    def announce(self, settings: Settings) -> None:
        """Name log and store in force."""
        self.note(
            f"log {settings.log.shown} · store {settings.store.shown}",
            log=settings.log.shown,
            store=settings.store.shown,
        )

    def note(self, message: str, **fields: object) -> None:
        """A line on stderr for people; `fields` are what it says, for machines. Silent with -q."""
        if not self.quiet:
            self.say("info", message, **fields)

    def warn(self, message: str, **fields: object) -> None:
        """A line on stderr about what wasn't expected. -q doesn't silence it."""
        self.say("warning", message, **fields)

    def say(self, level: str, message: str, **fields: object) -> None:
        """Write one message to stderr, whatever -q says."""
        text = self.message(level, message, **fields)
        if level != "hint" and not self.json_messages:  # what a hint says to paste is one line
            text = "\n".join(folded(text, _columns(sys.stderr)))
        try:
            click.secho(text, err=True, fg=MESSAGE_COLOURS.get(level), color=_colour(sys.stderr))
        except OSError:
            hush(sys.stderr)

    def message(self, level: str, message: str, **fields: object) -> str:
        """The message as the line that --log-format asks for. Passwords are masked."""
        message = paste(message, self.given)
        if not self.json_messages:
            return visible(mask(message))
        fields |= {"hint": paste(str(fields["hint"]), self.given)} if "hint" in fields else {}
        line = {"time": datetime.now(UTC), "level": level, "message": message, **fields}
        return msgspec.json.encode(_masked(line), enc_hook=str).decode()

    def show(self, result: Mapping[str, object], human: "Callable[[], RenderableType]") -> None:
        """The result: as one JSON object with --json, else as what `human` makes of it."""
        if self.json:
            self._write([json_bytes(result).decode()], visible_json)
        else:
            self._write(_draw(human()), str)

    def lines(self, lines: Iterable[str]) -> None:
        """Write lines of the result as they come, until they end or the reader has gone. For output that isn't a `show`
        (--csv, --print)."""
        self._write(lines, visible_json if self.json else visible)

    def _write(self, lines: Iterable[str], escaped: Callable[[str], str]) -> None:
        """A terminal gets lines escaped; a file or another program what they are."""
        is_seen = sys.stdout is not None and sys.stdout.isatty()
        try:
            for line in lines:
                click.echo(escaped(line) if is_seen else line, color=_colour(sys.stdout))
        except BrokenPipeError:
            hush(sys.stdout)
        except OSError as error:
            hush(sys.stdout)
            raise unwritten(error) from error

    @contextmanager
    def progress(self, what: str, *, total: int | None = None, unit: str = "records") -> Iterator[Advance]:
        """Show how far the work is, on stderr: a bar on a terminal, else a line every 10 s, nothing with -q (or --json
        in a pipe)."""
        terminal = sys.stderr is not None and sys.stderr.isatty() and not self.json_messages
        if self.quiet or (self.json and not terminal):
            yield _nothing
        elif terminal:
            with _bar(what, total, unit) as advance:
                yield advance
        else:
            yield _PlainProgress(self, what, total, unit).advance


class _LogLines(logging.Handler):
    """The logging of all libraries, as messages of ours."""

    def __init__(self, output: Output) -> None:
        super().__init__()
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith(TALKATIVE) and not self._output.verbosity:
            return
        level = record.levelname.lower()
        text = self.format(record) if self._output.verbosity > 1 else record.getMessage()  # format() adds tracebacks
        self._output.say(level, text if self._output.json_messages else f"{level}: {text}", logger=record.name)


class _PlainProgress:
    """Progress where no bar can be drawn: a line every 10 s."""

    def __init__(self, output: Output, what: str, total: int | None, unit: str) -> None:
        self._output, self._what, self._total, self._unit = output, what, total, unit
        self._done, self._start = 0, time.monotonic()
        self._next = self._start + PLAIN_PROGRESS_S

    def advance(self, amount: int, *, total: int | None = None) -> None:
        self._done += amount
        self._total = total or self._total
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + PLAIN_PROGRESS_S
        so_far = _so_far(self._done, self._total or 0, now - self._start, self._unit)
        rate = self._done / (now - self._start)
        message = f"{self._what}: {so_far}"
        self._output.note(message, done=self._done, total=self._total, per_second=int(rate))


def _masked(value: object) -> object:
    """Text by text: in a line of JSON nobody could say where a password ends."""
    match value:
        case str():
            return valid_text(mask(value))
        case Mapping():
            return {name: _masked(each) for name, each in value.items()}
        case list() | tuple():
            return [_masked(each) for each in value]
    return value


def _nothing(amount: int, *, total: int | None = None) -> None:
    """Progress nobody sees."""


@contextmanager
def _bar(what: str, total: int | None, unit: str) -> Iterator[Advance]:
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn
    from rich.progress import Task as Work
    from rich.table import Column
    from rich.text import Text

    class Done(ProgressColumn):
        def render(self, task: Work) -> Text:
            return Text(_so_far(int(task.completed), int(task.total or 0), task.elapsed or 0.0, unit))

    # the bar takes what is left of the line
    columns = (TextColumn("{task.description}", markup=False), BarColumn(None), Done(Column(no_wrap=True)))
    with Progress(*columns, console=_console(sys.stderr), transient=True, expand=True) as progress:
        task = progress.add_task(what, total=total)

        def advance(amount: int, *, total: int | None = None) -> None:
            if total is not None:
                progress.update(task, total=total)
            progress.advance(task, amount)

        yield advance


def _so_far(done: int, total: int, seconds: float, unit: str) -> str:
    """47 %, 282 332 of 600 002 records, 65 365/s, 5 s left. By the mean rate: an estimated total changes all the
    time."""
    share = f"{min(100, 100 * done // total)} %, " if total else ""
    of = f" of {number(total)}" if total else ""
    rate = f", {number(round(done / seconds))}/s" if done and seconds else ""
    left = f", {span((total - done) * seconds / done)} left" if done and total > done else ""
    return f"{share}{number(done)}{of} {unit}{rate}{left}"


def _draw(picture: "RenderableType") -> list[str]:
    """The lines of a picture, as wide as the terminal; in a pipe as wide as they are, without blanks at the end."""
    from tradecap.cli.lines import line

    # rich writes to its file also where it only captures: into a full disk, that would be swallowed
    drawn = io.StringIO()
    console = _console(sys.stdout, drawn)
    console.print(line(picture) if isinstance(picture, str) else picture, crop=False)
    lines = drawn.getvalue().splitlines()
    return lines if console.is_terminal else [line.rstrip() for line in lines]


class _Lasting:
    """A stream whose terminal may close at any moment: what is drawn from then on goes nowhere, and the work goes
    on."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._try(self._stream.flush)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _try(self, action: Callable[[], object]) -> None:
        try:
            action()
        except OSError:
            hush(self._stream)


def lasting(stream: IO[str]) -> IO[str]:
    """The stream for somebody who draws on it."""
    # Python has None for a stream that is closed
    return cast("IO[str]", _Lasting(stream)) if stream is not None else stream


def _console(stream: IO[str], into: IO[str] | None = None) -> "Console":
    """rich on one of our streams, or as if on it. Markup is off: what is in the data must not be taken for it."""
    from rich.console import Console

    terminal = stream is not None and stream.isatty()
    width = None if terminal else PLAIN_WIDTH
    file = lasting(stream) if into is None else into
    return Console(
        file=file,
        width=width,
        markup=False,
        highlight=False,
        emoji=False,
        no_color=not _colour(stream),
        force_terminal=terminal and not is_dumb(),
    )


def is_dumb() -> bool:
    """Whether the terminal takes lines alone."""
    return os.environ.get("TERM") == "dumb"


def _columns(stream: IO[str] | None) -> int:
    """How wide the terminal is; where none is, nothing is broken."""
    if stream is None or not stream.isatty():
        return PLAIN_WIDTH
    return shutil.get_terminal_size().columns


def _colour(stream: IO[str] | None) -> bool:
    """Whether colours may be written: to terminals that have them, and not against NO_COLOR (no-color.org: set and not
    empty)."""
    return stream is not None and stream.isatty() and not os.environ.get("NO_COLOR") and not is_dumb()


def unwritten(error: OSError) -> TradecapError:
    """The message when standard output takes no more: usually the disk behind it is full."""
    hint = "make room where it goes, or send it elsewhere, and run it again; what was acknowledged is safe on disk."
    return TradecapError(
        f"The result couldn't be written to standard output: {error.strerror}.", hint, Exit.UNDELIVERED
    )


def hush(stream: IO[str]) -> None:
    """Send what is still in a stream that can't be written to nowhere: else Python's last flush would speak up and exit
    with 120."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    wrap: Sequence[str] = (),
    drop: Sequence[str | int] = (),
) -> "Fitted":
    """Rows under their names; whole numbers are grouped, and aligned to the right like all that isn't text.

    Where a terminal is too narrow the texts of the columns in `wrap` are broken, then those in `drop` left out, the
    first one first.
    """
    from rich.text import Text

    from tradecap.cli.lines import Fitted, line

    body = [list(row) for row in rows]
    is_right = [bool(body) and not isinstance(body[0][index], str | Text) for index in range(len(columns))]
    drawn = [[cell if isinstance(cell, Text) else line(_cell(cell)) for cell in row] for row in body]
    return Fitted(columns, drawn, is_right=is_right, has_lines=_colour(sys.stdout), wrap=wrap, drop=drop)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return number(value)
    return "" if value is None else str(value)


def amount(size: int) -> str:
    """An amount of bytes, the way --min-free takes it: 1.5 MB."""
    for unit, factor in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("KB", 10**3)):
        if size >= factor:
            return f"{_short(size / factor)} {unit}"
    return f"{size} B"


def _short(value: float) -> str:
    """Four digits at least, never an exponent: 1.5, 64, 18 446 744."""
    return number(round(value)) if value >= 1000 else f"{value:.4g}"


def span(seconds: float) -> str:
    """A duration, as people write it: 0.4 s, 12 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 1:
        return f"{rest} s"
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def unbroken(text: str) -> "Text":
    """A line that is to be pasted: the terminal may fold it, and it stays one line."""
    from rich.text import Text

    return Text(text, no_wrap=True, overflow="ignore")


def proven(text: str) -> "Text":
    """Green: shown to be right. The text must show it as well."""
    return _styled(text, "green")


def spoilt(text: str) -> "Text":
    """Yellow: spoilt on purpose, or still open. The text must show it as well."""
    return _styled(text, "yellow")


def lost(text: str) -> "Text":
    """Red: lost or wrong. The text must show it as well."""
    return _styled(text, "bold red")


def _styled(text: str, style: str) -> "Text":
    from tradecap.cli.lines import TerminalLine

    return TerminalLine(visible(text), style=style, overflow="ignore")


def joined(*parts: "str | Text") -> "Text":
    """One line of plain and coloured parts."""
    from tradecap.cli.lines import TerminalLine, line

    return TerminalLine.assemble(*(line(part) for part in parts), overflow="ignore")


def stacked(*pictures: "RenderableType") -> "RenderableType":
    """Pictures one below the other."""
    from rich.console import Group

    from tradecap.cli.lines import line

    return Group(*(line(each) if isinstance(each, str) else each for each in pictures))
