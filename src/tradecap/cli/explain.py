"""Any end of a command as one sentence, a hint and an exit code.

Rules: what goes wrong every day (usage, files, connections, a full disk) is named for what it is; everything else is
reported as our mistake. The exit codes are those of docs/cli.md; an internal error counts as 2, since 1 would claim
that a check had failed.
"""

import errno
from typing import NamedTuple

import click

from tradecap.cli.signals import STOPPED
from tradecap.errors import Exit, TradecapError

FULL: tuple[int, ...] = (errno.ENOSPC, errno.EDQUOT)


class Ending(NamedTuple):
    """What to tell, and the exit code."""

    message: str
    hint: str
    code: int


def explain(error: BaseException) -> Ending:
    """The ending that an exception means."""
    match error:
        case TradecapError():
            return Ending(error.message, error.hint, int(error.exit_code))
        case click.UsageError():
            return Ending(
                _sentence(error.format_message()),
                f"see '{error.ctx.command_path if error.ctx else 'tradecap'} --help'.",
                Exit.USAGE,
            )
        case click.Abort() | KeyboardInterrupt() | EOFError():
            return Ending(
                "Stopped at once.", "what was acknowledged is safe; the same command may be run again.", STOPPED
            )
        case OSError():
            return _os_error(error)
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return Ending(
        f"Internal error: {what}.",
        "this is a mistake of tradecap; run it again with -vv and report what it shows.",
        Exit.USAGE,
    )


def _os_error(error: OSError) -> Ending:
    where = f"{error.filename}: " if error.filename is not None else ""
    reason = error.strerror or str(error) or type(error).__name__
    if error.errno == errno.EFBIG:
        hint = (
            "raise the limit on the size of files (ulimit -f) and run it again; what was acknowledged is safe on disk."
        )
        return Ending(f"{where}a file may not grow any more ({reason}).", hint, Exit.UNDELIVERED)
    if error.errno in FULL:
        return Ending(
            f"{where}the disk is full.",
            "make room and run it again; what was acknowledged is safe on disk.",
            Exit.UNDELIVERED,
        )
    if isinstance(error, PermissionError):
        return Ending(f"{where}no permission ({reason}).", "check who owns it, or choose another place.", Exit.USAGE)
    if isinstance(error, ConnectionError | TimeoutError):
        return Ending(
            f"{where}the connection failed ({reason}).",
            "check the address and whether the other side runs.",
            Exit.UNREACHABLE,
        )
    return Ending(f"{where}{reason}.", "check the path and the disk it is on.", Exit.USAGE)


def _sentence(text: str) -> str:
    """click's messages on one line, with a full stop."""
    line = " ".join(text.split())
    return line if line.endswith((".", "?", "!")) else f"{line}."
