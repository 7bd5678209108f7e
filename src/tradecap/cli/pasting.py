"""Command lines in fixes and hints, so that they can be pasted as they are.

Rules: a line repeats --log, --store, --profile and --config as they were given, quoted for the shell: without them it
would act on another log or store. A password is left out of a URL; the line works with it in TRADECAP_STORE_PASSWORD.
What a line names itself is kept.
"""

import re
import shlex
from collections.abc import Mapping
from typing import Final, NamedTuple

from tradecap.urls import without_password

_COMMAND: Final = re.compile(
    r"(?<![\w/.-])tradecap "
    r"(attest|candles|init-db|inject-bad|load|query|replay|ship|stream|topics|verify)(?![\w-])"
)
_QUOTED: Final = re.compile(r"'(tradecap [^']*)'")
_END: Final = re.compile(r" && |[;,]|$")
_NEW: Final = "--store NEW"
PASSWORDS: Final = "TRADECAP_STORE_PASSWORD"


class Given(NamedTuple):
    """What the command line chose: options by name, as typed and without passwords; store: the URL in force, likewise.

    has_left_out: whether a password was left out.
    """

    options: Mapping[str, str] = {}
    store: str = ""
    has_left_out: bool = False


def given(options: Mapping[str, str | None], store: str) -> Given:
    """options: log, store, profile and config as they were typed; None where they weren't."""
    typed = {name: value for name, value in options.items() if value}
    shown = {name: without_password(value) for name, value in typed.items()}
    return Given(shown, without_password(options.get("store") or store), shown != typed)


def paste(text: str, by: Given) -> str:
    """The text, each command line in it with what was given."""

    def quoted(match: re.Match[str]) -> str:
        line = _with_options(match[1], by)
        return f"`{line}`" if "'" in line else f"'{line}'"

    parts = _QUOTED.split(text)
    if len(parts) == 1:
        return _with_options(text, by)
    spans = [(match.start(), match.end(), quoted(match)) for match in _QUOTED.finditer(text)]
    done, at = "", 0
    for first, end, line in spans:
        done += _with_options(text[at:first], by) + line
        at = end
    return done + _with_options(text[at:], by)


def _with_options(text: str, by: Given) -> str:
    """Without quotes around a line."""
    done, at = "", 0
    for match in _COMMAND.finditer(text):
        end = _END.search(text, match.end())
        rest = text[match.end() : end.start() if end else None]
        added = [
            f" --{name} {shlex.quote(value)}"
            for name, value in by.options.items()
            if not re.search(rf"--{name}\b", rest)
        ]
        done += text[at : match.end()] + "".join(added)
        at = match.end()
    return (done + text[at:]).replace(_NEW, f"--store {shlex.quote(_next_to(by.store))}")


def _next_to(store: str) -> str:
    """The URL of a second store next to this one."""
    url, mark, rest = store.partition("?")
    if url.startswith("chdb:"):
        return f"{url.rstrip('/')}-rebuilt{mark}{rest}"
    host, slash, database = url.partition("//")[2].partition("/")
    name = database.strip("/") if slash and database.strip("/") else "market"
    return f"{url.partition('//')[0]}//{host}/{name}_rebuilt{mark}{rest}"
