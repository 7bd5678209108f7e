"""Secrets from the environment: from a variable, or from the file that the variable with `_FILE` names.

Rules: an empty variable counts as unset. Both at once are refused: which one holds would be a guess. The line ends at
the end of a file are not a part of the secret; everything else is, as it is. What is read is hidden from then on,
whoever quotes it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from tradecap.errors import TradecapError
from tradecap.urls import learn

TOKEN: Final = "TRADECAP_TOKEN"
"""The variable of the token that clients of `tradecap serve` must send."""


class Secret(NamedTuple):
    """A secret, and the variable that set it."""

    value: str
    source: str


def secret_of(variable: str, environ: Mapping[str, str], user: str = "") -> Secret | None:
    """The secret of a variable; None where neither it nor its file is set. user: whose it is, to hide a login's base64
    too. Raises TradecapError."""
    file_variable = f"{variable}_FILE"
    value, path = environ.get(variable, ""), environ.get(file_variable, "")
    if value and path:
        raise TradecapError(f"{variable} and {file_variable} are both set.", f"unset one of them: unset {variable}")
    if not value and not path:
        return None
    secret = Secret(value, variable) if value else Secret(read_secret(path, file_variable), file_variable)
    learn(secret.value, user)
    return secret


def read_secret(path: str, variable: str) -> str:
    """The secret in a file, which a variable or option named. It isn't hidden yet: `learn` does that. Raises
    TradecapError."""
    try:
        # as bytes: text would turn \r\n inside of it into \n
        value = Path(path).expanduser().read_bytes().decode().rstrip("\r\n")
    except (OSError, UnicodeDecodeError, RuntimeError, ValueError) as error:
        reason = (
            error.strerror
            if isinstance(error, OSError)
            else "it isn't UTF-8 text"
            if isinstance(error, UnicodeDecodeError)
            else str(error)
        )
        raise TradecapError(
            f"{path!r} ({variable}) can't be read: {reason}.", "name a file that holds the secret alone."
        ) from error
    if not value:
        raise TradecapError(f"{path!r} ({variable}) is empty.", "name a file that holds the secret alone.")
    return value
