"""What all commands share: their options, the types of what is typed, and the form of their help.

Rules: times are UTC and become nanoseconds since 1970; durations become seconds; sizes become bytes; symbols are
upper-cased. What can't be understood is refused in one sentence that says what would be. The docstring of a command is
its help: the first line says what it does, the part from `Examples:` on comes last.
"""

import functools
import inspect
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

import click

from tradecap.cli.contradictions import refuse_contradictions
from tradecap.cli.output import Output, hush, unwritten
from tradecap.cli.pasting import given
from tradecap.cli.settings import DEFAULTS, at_home, resolve, unread
from tradecap.errors import Exit, TradecapError
from tradecap.times import parse_duration, parse_time, time_text
from tradecap.venues.api import VENUES

Body = Callable[..., Exit | None]

UNITS_BYTES: Final = {
    "": 1,
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
    "TIB": 2**40,
}
MAX_COUNT: Final = 2**63 - 1

_SIZE: Final = re.compile(r"(\d{1,18}(?:\.\d{1,9})?)\s*([A-Za-z]*)", re.ASCII)


def parse_size(text: str) -> int:
    """Bytes in `64MB` (10^6), `1GiB` (2^30) or `4096`. Raises ValueError with a sentence."""
    match = _SIZE.fullmatch(text.strip())
    if match is None or match[2].upper() not in UNITS_BYTES:
        raise ValueError(f"{text!r} is not a size; write it like 64MB, 1GiB or 4096.")
    size = int(Decimal(match[1]) * UNITS_BYTES[match[2].upper()])
    if size < 1:
        raise ValueError(f"{text!r} is less than a byte.")
    return size


def typed(name: str, parse: Callable[[str], object]) -> Callable[[Any], object]:
    """A type for click made of a function that raises ValueError with a sentence. A default that isn't text is passed
    as it is."""

    def convert(value: Any) -> object:
        try:
            return parse(value) if isinstance(value, str) else value
        except ValueError as error:
            raise click.BadParameter(str(error)) from error

    convert.__name__ = name  # click shows it in the help
    return convert


def _positive_duration(text: str) -> float:
    seconds = parse_duration(text)
    if seconds <= 0:
        raise ValueError(f"{text!r} is too short: the duration must be greater than 0.")
    return seconds


def parse_symbol(text: str) -> str:
    if not text or re.search(r"[\s\x00-\x1f/\\?&#]", text):
        raise ValueError(f"{text!r} is not a symbol; write it like BTCUSDT.")
    return text.upper()


def _series(text: str) -> tuple[str, str]:
    venue, colon, symbol = text.partition(":")
    if venue.lower() not in VENUES or (colon and not symbol):
        raise ValueError(
            f"{text!r} is not a series; write VENUE:SYMBOL with one of {', '.join(VENUES)}, like binance-usdm:BTCUSDT."
        )
    return venue.lower(), symbol.upper()


def _whole(text: str, least: int) -> int:
    if not re.fullmatch(r"[+-]?\d+(?:_\d+)*", text, re.ASCII) or len(text) > 40:
        raise ValueError(f"{text!r} is not a whole number.")
    if not least <= int(text) <= MAX_COUNT:
        raise ValueError(
            f"{text} is too {'small' if int(text) < least else 'large'}; it must be {least} or more and below 2^63."
        )
    return int(text)


def _port(text: str) -> int:
    if not re.fullmatch(r"\d{1,5}", text, re.ASCII) or int(text) > 65_535:
        raise ValueError(f"{text!r} is not a port; write 1 to 65535, or 0 for any free one.")
    return int(text)


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        speed = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text!r} is not a speed; write max, or a factor like 1 (as recorded) or 10.") from None
    if not (speed.is_finite() and Decimal("1e-6") <= speed <= Decimal("1e9")):
        raise ValueError(f"a speed of {text} cannot be kept; write max, or a factor like 1 (as recorded) or 10.")
    return float(speed)


DURATION: Final = typed("duration", _positive_duration)
"""Seconds, more than 0."""
WAIT: Final = typed("duration", parse_duration)
"""Seconds, 0 as well (for options that say how long to wait)."""
SIZE: Final = typed("size", parse_size)
"""Bytes, at least one."""
TIME: Final = typed("time", lambda text: parse_time(text, time.time_ns()))
"""Nanoseconds since 1970 UTC."""
SYMBOL: Final = typed("symbol", parse_symbol)
"""In capitals. Whether it exists only the data knows."""
SERIES: Final = typed("series", _series)
"""(venue, symbol); symbol '' where only the venue is named."""
COUNT: Final = typed("count", lambda text: _whole(text, 0))
"""A whole number, 0 as well."""
POSITIVE: Final = typed("count", lambda text: _whole(text, 1))
"""A whole number, at least 1."""
PORT: Final = typed("port", _port)
"""0 to 65535."""
SPEED: Final = typed("speed", _speed)
"""A factor; None for `max`."""


class _File(click.Path):
    """A file, named by an option: `~` is the home also behind a `=`, where no shell expands it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("the name of a file is empty.", param, ctx)
        return super().convert(at_home(value) if isinstance(value, str) else value, param, ctx)


FILE: Final = _File(dir_okay=False, path_type=Path)
"""A file to read or write, as a Path."""
FILE_NAME: Final = _File(dir_okay=False, allow_dash=True)
"""... or its name, for options that take `-` as well or show the name."""


class SharedOption(click.Option):
    """An option that every command has, under a heading of its own in the help."""


HELP_NAMES: Final = ("-h", "--help")


class Command(click.Command):
    """A command whose help starts with what it does and ends with its examples."""

    is_service = False
    """Unless a person looks or something else was asked for, its lines on stderr are JSON: all of them, what is wrong
    with its options as well."""

    @property
    def summary(self) -> str:
        """The first line of the help."""
        return self._parts()[0].split("\n", 1)[0]

    @property
    def story(self) -> str:
        """The help between the first line and the examples."""
        return self._parts()[0].removeprefix(self.summary).strip()

    @property
    def examples(self) -> list[str]:
        """The examples, a line each."""
        return [line.strip() for line in self._parts()[1].splitlines() if line.strip()]

    def _parts(self) -> tuple[str, str]:
        """The help, parted at `Examples:`. A \\b (click's mark for text that isn't to be wrapped) before it goes."""
        text = inspect.cleandoc(self.help or "")
        before, _, after = re.sub(r"^Examples?:", "\f", text, count=1, flags=re.MULTILINE).partition("\f")
        return before.strip().removesuffix("\b").strip(), after.strip()

    def get_help_option_names(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's signature
        """The same in every context: click remembers a command's help option from its first use, which may be outside
        the group."""
        return [*HELP_NAMES]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if self.is_service and not (sys.stderr and sys.stderr.isatty()):
            ctx.ensure_object(Output).json_messages = True
        with quiet_help(ctx):
            rest = super().parse_args(ctx, args)
        if not ctx.resilient_parsing:
            refuse_contradictions(ctx)
        return rest

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write(f"{self.summary}\n\n")
        self.format_usage(ctx, formatter)
        if self.story:
            formatter.write_paragraph()
            formatter.write_text(self.story)
        params = self.get_params(ctx)
        self._format_section(ctx, formatter, "Options", [p for p in params if not isinstance(p, SharedOption)])
        self._format_section(
            ctx, formatter, "Options of all commands", [p for p in params if isinstance(p, SharedOption)]
        )
        if self.examples:
            with formatter.section("Examples"):
                formatter.write("".join(f"{'':{formatter.current_indent}}{line}\n" for line in self.examples))

    def _format_section(
        self, ctx: click.Context, formatter: click.HelpFormatter, name: str, params: list[click.Parameter]
    ) -> None:
        records = [record for param in params if (record := param.get_help_record(ctx))]
        if records:
            with formatter.section(name):
                formatter.write_dl(records)


@contextmanager
def quiet_help(ctx: click.Context) -> Iterator[None]:
    """Parsing prints --help and --version by itself; a reader that has gone by then ends it quietly."""
    try:
        yield
    except BrokenPipeError:
        hush(sys.stdout)
        ctx.exit()
    except OSError as error:
        hush(sys.stdout)
        raise unwritten(error) from error


def command(body: Body) -> Command:
    """Make a function a command. Its name, with - for _, is the command's; what it returns is the exit code (None:
    ok)."""
    return click.command(body.__name__.replace("_", "-"), cls=Command)(body)


def service(body: Body) -> Command:
    """Make a function a command that runs for days, mostly watched by programs."""
    made = command(body)
    made.is_service = True
    return made


def shared(body: Body) -> Body:
    """The options of every command. The body gets `settings` (log and store in force, announced on stderr) and
    `out`."""

    @functools.wraps(body)
    def opened(
        *, log: str | None, store: str | None, profile: str | None, config: str | None, out: Output, **rest: object
    ) -> Exit | None:
        typed_in = {"log": log, "store": store, "profile": profile, "config": config}
        settings = resolve(typed_in, os.environ)
        out.given = given(typed_in, settings.store.value)
        out.announce(settings)
        answered = [
            *(["verbosity"] if out.verbosity else []),
            *(["metrics_port"] if rest.get("metrics_port", "no such option") is not None else []),
        ]
        if unheard := unread(settings, os.environ, answered):
            out.note(unheard)
        return body(settings=settings, out=out, **rest)

    return places(spoken(opened))


def spoken(body: Body) -> Body:
    """Only the options of how to speak, for a command that chooses log and store itself. The body gets `out`."""

    @functools.wraps(body)
    def speaking(*, json: bool, verbose: int, quiet: bool, **rest: object) -> Exit | None:
        out = click.get_current_context().ensure_object(Output)
        out.configure(json=json, quiet=quiet, verbosity=verbose)
        return body(out=out, **rest)

    return _with(
        speaking,
        _shared("--json", is_flag=True, help="Print the result as one JSON object on stdout."),
        _shared("-v", "--verbose", count=True, help="Print more on stderr; -vv also shows the traceback of an error."),
        _shared("-q", "--quiet", is_flag=True, help="Print only problems on stderr."),
        _shared(
            "--log-format",
            type=click.Choice(["text", "json"]),
            is_eager=True,
            expose_value=False,
            callback=_choose_form,
            help="Print the lines on stderr as text or as JSON.",
        ),
    )


def _choose_form(ctx: click.Context, param: click.Parameter, value: str | None) -> None:  # noqa: ARG001 -- the signature of a callback
    """Before the other options, so that what is wrong with them is reported in this form."""
    if value:
        ctx.ensure_object(Output).json_messages = value == "json"


def places(body: Body) -> Body:
    """Only the options that choose log and store, as they were typed: the body gets `log`, `store`, `profile`,
    `config`."""
    return _with(
        body,
        _shared(
            "--log", metavar="URL", help=f"The log: where the records are kept in order (default {DEFAULTS['log']})."
        ),
        _shared(
            "--store", metavar="URL", help=f"The store: where the trades can be queried (default {DEFAULTS['store']})."
        ),
        _shared("--profile", metavar="NAME", help="Take log and store from [profile.NAME] of tradecap.toml."),
        _shared(
            "--config",
            metavar="FILE",
            help="Read this file instead of ./tradecap.toml (or the one in your user configuration).",
        ),
    )


def _shared(*names: str, **attributes: Any) -> Callable[[Body], Body]:
    return click.option(*names, cls=SharedOption, **attributes)


def _with(body: Body, *additions: Callable[[Body], Body]) -> Body:
    """The body with these options, which the help shows in this order."""
    for add in reversed(additions):
        body = add(body)
    return body


def time_range(body: Body) -> Body:
    """--from and --to. The body gets `from_ns` and `to_ns` (exclusive); None where the range is open."""

    @functools.wraps(body)
    def ranged(*, from_ns: int | None, to_ns: int | None, **rest: object) -> Exit | None:
        if from_ns is not None and to_ns is not None and from_ns >= to_ns:
            raise TradecapError(
                f"--from {time_text(from_ns)} is not before --to {time_text(to_ns)}.",
                "--to is exclusive: for one day, --to is the next day.",
            )
        return body(from_ns=from_ns, to_ns=to_ns, **rest)

    since = click.option(
        "--from", "from_ns", type=TIME, metavar="TIME", help="From this time on (UTC): RFC 3339, 2024-08-09, or -10m."
    )
    until = click.option("--to", "to_ns", type=TIME, metavar="TIME", help="Up to this time, exclusive.")
    return since(until(ranged))


def segments(body: Body) -> Body:
    """--segment-size and --segment-age. The body gets `segment_bytes` and `segment_age_s`."""
    return _with(
        body,
        click.option(
            "--segment-size",
            "segment_bytes",
            type=SIZE,
            default="64MB",
            metavar="SIZE",
            help="Close a segment (a file of the log) at this size (default 64MB).",
        ),
        click.option(
            "--segment-age",
            "segment_age_s",
            type=DURATION,
            default="10m",
            metavar="DURATION",
            help="Close a segment at this age (default 10m).",
        ),
    )
