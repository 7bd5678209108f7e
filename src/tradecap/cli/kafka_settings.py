"""Properties of the Kafka client: from `[profile.NAME.kafka]` of tradecap.toml, and from TRADECAP_KAFKA_*.

Rules: names are librdkafka's; in a variable its dots are underscores (TRADECAP_KAFKA_SECURITY_PROTOCOL is
security.protocol). A variable wins over the profile. A value may also come from the file that the variable with `_FILE`
names (secrets.py). A secret never comes from tradecap.toml, and is never shown.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from tradecap.cli.secrets import secret_of
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
        raise TradecapError(
            f"{where} holds a secret: kafka.{secret}.",
            f"take it out of the file and set {variable}, or {variable}_FILE.",
        )
    found = {name: Property(name, value, where) for name, value in of_profile.items()}
    for variable in sorted(
        {name.removesuffix("_FILE") for name, value in environ.items() if name.startswith(PREFIX) and value}
    ):
        each = _of_variable(variable, environ)
        found[each.name] = each
    return [each for _, each in sorted(found.items())]


def _of_variable(variable: str, environ: Mapping[str, str]) -> Property:
    name = variable.removeprefix(PREFIX).lower().replace("_", ".")
    if not is_secret(name) and not environ.get(f"{variable}_FILE"):
        return Property(name, environ[variable], variable)
    secret = secret_of(variable, environ)
    assert secret
    return Property(name, secret.value, secret.source)
