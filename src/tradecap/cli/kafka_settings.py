"""Properties of the Kafka client: from `[profile.NAME.kafka]` of tradecap.toml, and from TRADECAP_KAFKA_*.

Rules: names are librdkafka's; in a variable its dots are underscores (TRADECAP_KAFKA_SECURITY_PROTOCOL is security.protocol). A variable wins over
the profile. A secret comes from a variable, or from the file that the variable with `_FILE` names, and never from tradecap.toml; it is never shown.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from tradecap.errors import TradecapError

PREFIX: Final = "TRADECAP_KAFKA_"
SECRET: Final = re.compile(r"password|secret|token|\.key$|\.pem$", re.IGNORECASE)
NOT_SECRET: Final = ("ssl.certificate.pem", "ssl.ca.pem")


class Property(NamedTuple):
    """A property in force and what set it."""

    name: str
    value: str
    source: str

    @property
    def shown(self) -> str:
        """The value as people may see it."""
        return "***" if is_secret(self.name) else self.value


def is_secret(name: str) -> bool:
    """Whether a property's value must not be shown."""
    return bool(SECRET.search(name)) and name not in NOT_SECRET and not name.endswith(".location")


def kafka_properties(of_profile: Mapping[str, str], where: str, environ: Mapping[str, str]) -> list[Property]:
    """The properties in force. where: the name of the profile and its file.

    Raises TradecapError for a secret in tradecap.toml, and for a secret's file that can't be read.
    """
    secret = next((name for name in of_profile if is_secret(name)), "")
    if secret:
        variable = PREFIX + secret.upper().replace(".", "_")
        raise TradecapError(f"{where} holds a secret: kafka.{secret}.", f"take it out of the file and set {variable}, or {variable}_FILE.")
    found = {name: Property(name, value, where) for name, value in of_profile.items()}
    for variable, value in sorted(environ.items()):
        if variable.startswith(PREFIX) and value:
            each = _of_variable(variable, value)
            found[each.name] = each
    return [each for _, each in sorted(found.items())]


def _of_variable(variable: str, value: str) -> Property:
    name = variable.removeprefix(PREFIX)
    if not name.endswith("_FILE"):
        return Property(name.lower().replace("_", "."), value, variable)
    try:
        secret = Path(value).expanduser().read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it isn't UTF-8 text"
        raise TradecapError(f"{value} ({variable}) can't be read: {reason}.", "name a file that holds the secret alone.") from error
    return Property(name.removesuffix("_FILE").lower().replace("_", "."), secret, variable)
