"""Which log and store are in use, and where that comes from.

Rules: an option wins over the environment (`TRADECAP_LOG`, ...), that over the profile, that over the top level of
tradecap.toml, that over the default. The first tradecap.toml found is the only one read: the one named, else
./tradecap.toml, else the user's. What isn't understood in it is refused, never passed over. A user's folder that can't
be entered holds none. An empty variable counts as unset. `~` at the beginning of a path is the home. A password is
never shown. That of the store may also come from TRADECAP_STORE_PASSWORD or its file: it becomes a part of the URL in
force, unless the URL has one, which wins.
"""

import os
import pwd
import re
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote, unquote

import click

from tradecap.cli.kafka_settings import Property, kafka_properties
from tradecap.cli.secrets import secret_of
from tradecap.errors import TradecapError
from tradecap.urls import learn_url, mask_url

DEFAULTS: Final = {"log": "file:./tradecap-data/log", "store": "chdb:./tradecap-data/db"}
"""What holds where nobody says anything."""
NAMES: Final = (*DEFAULTS, "as", "symbols")
"""What a profile may set."""
TOPICS: Final = ("enriched", "candles", "quarantine", "state")
"""What [profile.NAME.topics] may set: the topics of `process`."""
CONFIG_NAME: Final = "tradecap.toml"
FOREIGN: Final = {
    "REDPANDA_BROKERS": ("log", "TRADECAP_LOG=kafka://HOST:PORT/TOPIC"),
    "KAFKA_BOOTSTRAP_SERVERS": ("log", "TRADECAP_LOG=kafka://HOST:PORT/TOPIC"),
    "CLICKHOUSE_HOST": ("store", "TRADECAP_STORE=clickhouse://USER@HOST:PORT/DATABASE"),
    "CLICKHOUSE_PORT": ("store", "TRADECAP_STORE=clickhouse://USER@HOST:PORT/DATABASE"),
    "CLICKHOUSE_DB": ("store", "TRADECAP_STORE=clickhouse://USER@HOST:PORT/DATABASE"),
    "CLICKHOUSE_PASSWORD": ("store_password", "TRADECAP_STORE_PASSWORD"),
    "LOG_LEVEL": ("verbosity", "-v or -q"),
    "HEALTH_PORT": ("metrics_port", "--metrics-port"),
    "METRICS_PORT": ("metrics_port", "--metrics-port"),
}
"""Variables that other projects read, the setting that they are about, and what tradecap reads instead."""
INIT_HINT: Final = "'tradecap config --init' writes a commented example."

STORE_PASSWORD: Final = "TRADECAP_STORE_PASSWORD"
_LOGIN: Final = re.compile(r"(clickhouses?|postgresql)://(?:([^:@]*)@)?([^@]*)")
"""The URL of a store on a server, without a password."""
_HOME: Final = re.compile(r"((?:file|chdb):(?://)?)?~(?=/|$)")


class Value(NamedTuple):
    """A setting in force. `value` is '' where there is none; `source` is the option, variable, profile or file that set
    it, or 'default'."""

    name: str
    value: str
    source: str

    @property
    def shown(self) -> str:
        """The value as people may see it."""
        return mask_url(self.value)


class Settings(NamedTuple):
    """All settings in force. `config` is the file that was read, `profile` the profile that was asked for."""

    log: Value
    store: Value
    profile: Value
    config: Value
    kafka: tuple[Property, ...] = ()
    foreign_venue: Value = Value("as", "", "default")
    """The venue of messages in a topic that no tradecap wrote; '' where their shape decides."""
    symbols: Value = Value("symbols", "", "default")
    """What `stream` captures where none are named: symbols separated by commas or blanks."""
    password: Property | None = None
    """The store's password where it comes from a variable; it is in the store's URL as well."""
    topics: tuple[Value, ...] = ()
    """The topics of `process` that the profile names."""

    def values(self) -> list[Value | Property]:
        """All of them, those of the Kafka client as `kafka.NAME`."""
        own = [each._replace(name=f"kafka.{each.name}") for each in self.kafka]
        chosen = [each for each in (self.password, self.foreign_venue, self.symbols) if each and each.value]
        topics = [each._replace(name=f"topics.{each.name}") for each in self.topics]
        return [self.log, self.store, self.profile, self.config, *chosen, *own, *topics]

    def kafka_properties(self) -> dict[str, str]:
        """The properties of the Kafka client."""
        return {each.name: each.value for each in self.kafka}


def unread(settings: Settings, environ: Mapping[str, str], given: Collection[str] = ()) -> str:
    """A sentence about variables that somebody set for another program, and what tradecap reads; '' where there are
    none. Never their values.

    given: which of `verbosity` and `metrics_port` need no answer, because the command line sets them or the command has
    no such option.
    """
    chosen = {each.name for each in (settings.log, settings.store) if each.source != "default"}
    settled = {*given, *chosen, *(["store_password"] if _needs_no_password(settings.store, environ) else [])}
    answers = {name: ours for name, (about, ours) in FOREIGN.items() if environ.get(name) and about not in settled}
    by_answer = {
        ours: [name for name, theirs in answers.items() if theirs == ours] for ours in dict.fromkeys(answers.values())
    }
    parts = "; ".join(f"{', '.join(names)}: write {ours}" for ours, names in by_answer.items())
    return f"tradecap doesn't read {parts}" if parts else ""


def _needs_no_password(store: Value, environ: Mapping[str, str]) -> bool:
    """Whether the password is set where tradecap reads it, or the chosen store takes none."""
    if environ.get("TRADECAP_STORE_PASSWORD") or environ.get("TRADECAP_STORE_PASSWORD_FILE"):
        return True
    return store.source != "default" and (
        not store.value.startswith("clickhouse") or mask_url(store.value) != store.value
    )


class ConfigFile(NamedTuple):
    """A tradecap.toml, read. `path` is '' where there is none."""

    path: str
    defaults: Mapping[str, str]
    profiles: Mapping[str, Mapping[str, str]]
    default_profile: str
    kafka: Mapping[str, Mapping[str, str]] = {}
    """By profile, the properties of the Kafka client."""
    topics: Mapping[str, Mapping[str, str]] = {}
    """By profile, the topics of `process`."""


def user_config() -> Path | None:
    """The configuration of this user, for every folder that has none of its own; None where there is no such place."""
    path = Path(click.get_app_dir("tradecap")) / CONFIG_NAME
    return path if path.is_absolute() else None  # relative: HOME isn't set and nobody knows the user


def at_home(text: str) -> str:
    """A path, or the URL of a folder, with the home for a `~` that stands alone at its beginning: shells expand `~`
    only at that of a word."""
    match = _HOME.match(text)
    if match is None:
        return text
    return f"{match[1] or ''}{_home()}{text[match.end() :]}"


def _home() -> str:
    try:
        home = os.environ.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        home = ""
    if not Path(home).is_absolute():
        raise TradecapError(
            "Nobody knows the home that '~' means: HOME isn't set to a whole path.",
            "set HOME, or write the whole path.",
        )
    return home.rstrip("/")


def resolve(options: Mapping[str, str | None], environ: Mapping[str, str]) -> Settings:
    """The settings in force. options: what was given on the command line for log, store, profile and config; None where
    nothing was."""
    config = _given("config", options, environ)
    file = _find_config(config)
    profile = _given("profile", options, environ) or Value(
        "profile", file.default_profile, file.path if file.default_profile else "default"
    )
    chosen = _profile(file, profile)
    values = {name: _given(name, options, environ) or _written(name, file, profile.value, chosen) for name in NAMES}
    store, password = _with_password(values["store"], environ)
    return Settings(
        log=values["log"],
        store=store,
        password=password,
        profile=profile,
        config=config or Value("config", file.path, "found" if file.path else "default"),
        foreign_venue=values["as"],
        symbols=values["symbols"],
        kafka=tuple(
            kafka_properties(file.kafka.get(profile.value, {}), f"profile {profile.value} in {file.path}", environ)
        ),
        topics=tuple(
            Value(name, topic, f"profile {profile.value} in {file.path}")
            for name, topic in file.topics.get(profile.value, {}).items()
        ),
    )


def _with_password(store: Value, environ: Mapping[str, str]) -> tuple[Value, Property | None]:
    """The store with the password of TRADECAP_STORE_PASSWORD in its URL, where that is a server's and has none."""
    login = _LOGIN.fullmatch(store.value)
    secret = secret_of(STORE_PASSWORD, environ, unquote(login[2] or "") or "default" if login else "")
    if not login or not secret:
        return store, None
    url = f"{login[1]}://{login[2] or ''}:{quote(secret.value, safe='')}@{login[3]}"
    learn_url(url)
    return store._replace(value=url), Property("store.password", secret.value, secret.source)


def _given(name: str, options: Mapping[str, str | None], environ: Mapping[str, str]) -> Value | None:
    """What this call itself says: by option, else by environment."""
    given = options.get(name)
    if given == "":
        raise TradecapError(
            f"--{name} is empty.",
            f"give it a value or leave it out; 'tradecap config' shows what holds without --{name}.",
        )
    if given is not None:
        return Value(name, at_home(given), f"--{name}")
    variable = f"TRADECAP_{name.upper()}"
    return Value(name, at_home(environ[variable]), variable) if environ.get(variable) else None


def _written(name: str, file: ConfigFile, profile: str, chosen: Mapping[str, str]) -> Value:
    if name in chosen:
        return Value(name, at_home(chosen[name]), f"profile {profile} in {file.path}")
    if name in file.defaults:
        return Value(name, at_home(file.defaults[name]), file.path)
    return Value(name, DEFAULTS.get(name, ""), "default")


def _profile(file: ConfigFile, profile: Value) -> Mapping[str, str]:
    if not profile.value:
        return {}
    if profile.value in file.profiles:
        return file.profiles[profile.value]
    where = f"in {file.path}" if file.path else f"since there is no {CONFIG_NAME}"
    known = f"the profiles there are: {', '.join(sorted(file.profiles))}." if file.profiles else INIT_HINT
    raise TradecapError(f"There is no profile {profile.value!r} {where} ({profile.source}).", known)


def _find_config(given: Value | None) -> ConfigFile:
    if given is not None:
        return read_config(Path(given.value))
    if Path(CONFIG_NAME).exists():
        return read_config(Path(CONFIG_NAME))
    users = user_config()
    try:
        is_there = users is not None and users.exists()
    except OSError:  # somebody else's home, after sudo or in a container
        is_there = False
    return (
        read_config(users) if users and is_there else ConfigFile(path="", defaults={}, profiles={}, default_profile="")
    )


def read_config(path: Path) -> ConfigFile:
    """Read a tradecap.toml. Raises TradecapError naming the file and the line or key."""
    shown = f"./{path}" if not path.is_absolute() and path.parts[:1] not in ((".",), ("..",)) else str(path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except tomllib.TOMLDecodeError as error:
        raise _broken(shown, str(error)) from error
    except UnicodeDecodeError as error:
        raise TradecapError(
            f"{shown} is not UTF-8 text (at byte {error.start}).", f"save it as UTF-8; {INIT_HINT}"
        ) from error
    except OSError as error:
        raise TradecapError(
            f"{shown} cannot be read: {error.strerror}.", f"name another with --config, or make one: {INIT_HINT}"
        ) from error
    profiles = _profiles(table, shown)
    default = _text(table, "default_profile", shown, "")
    return ConfigFile(
        path=shown,
        defaults=_strings(table, shown, ""),
        profiles=profiles,
        default_profile=default,
        kafka=_kafka(table, shown),
        topics=_topics(table, shown),
    )


def _broken(shown: str, problem: str) -> TradecapError:
    """tomllib says where in words: 'Expected ... (at line 3, column 5)'; people and editors want file:line."""
    at = re.search(r" \(at line (\d+), column \d+\)$", problem)
    what, place = (
        (problem[: at.start()], f"{shown}:{at[1]}") if at else (problem.removesuffix(" (at end of document)"), shown)
    )
    return TradecapError(f"{place} is not valid TOML: {what}.", f"repair that line; {INIT_HINT}")


def _strings(table: Mapping[str, object], shown: str, inside: str) -> dict[str, str]:
    """The settings at one level of the file; any other key is refused."""
    known = (*NAMES, *(() if inside else ("default_profile", "profile")))
    unknown = sorted(set(table) - set(known))
    if unknown:
        raise TradecapError(f"{shown}: unknown key '{inside}{unknown[0]}'.", f"the keys there are: {', '.join(known)}.")
    listed = {"symbols": _list(table, "symbols", shown, inside)} if "symbols" in table else {}
    return {name: _text(table, name, shown, inside) for name in NAMES if name in table and name not in listed} | listed


def _list(table: Mapping[str, object], name: str, shown: str, inside: str) -> str:
    value = table[name]
    if (
        not isinstance(value, list)
        or not value
        or not all(isinstance(each, str) and re.fullmatch(r"[^\s,]+", each) for each in value)
    ):
        raise TradecapError(
            f"{shown}: '{inside}{name}' must be a list of texts, not {value!r}.",
            f'write {name} = ["BTCUSDT", "ETHUSDT"].',
        )
    return ",".join(value)


def _profiles(table: Mapping[str, object], shown: str) -> dict[str, dict[str, str]]:
    profiles = table.get("profile", {})
    if not isinstance(profiles, dict) or not all(isinstance(one, dict) for one in profiles.values()):
        raise TradecapError(
            f"{shown}: 'profile' must be a table for each profile.",
            'write [profile.NAME]; default_profile = "NAME" chooses the one in force.',
        )
    return {
        name: _strings({key: one[key] for key in one if key not in ("kafka", "topics")}, shown, f"profile.{name}.")
        for name, one in profiles.items()
    }


def _kafka(table: Mapping[str, object], shown: str) -> dict[str, dict[str, str]]:
    """The kafka table of each profile. librdkafka takes texts, so numbers and booleans become theirs."""
    profiles = table.get("profile", {})
    assert isinstance(profiles, dict)
    found = {name: one["kafka"] for name, one in profiles.items() if isinstance(one, dict) and "kafka" in one}
    for name, properties in found.items():
        if not isinstance(properties, dict):
            raise TradecapError(
                f"{shown}: 'profile.{name}.kafka' must be a table.",
                f'write [profile.{name}.kafka] and "property.name" = "value".',
            )
    return {
        name: {key: _property(value) for key, value in _flat(properties).items()} for name, properties in found.items()
    }


def _topics(table: Mapping[str, object], shown: str) -> dict[str, dict[str, str]]:
    """The topics table of each profile."""
    profiles = table.get("profile", {})
    assert isinstance(profiles, dict)
    found = {name: one["topics"] for name, one in profiles.items() if isinstance(one, dict) and "topics" in one}
    for name, topics in found.items():
        if not isinstance(topics, dict):
            raise TradecapError(
                f"{shown}: 'profile.{name}.topics' must be a table.",
                f'write [profile.{name}.topics] and enriched = "NAME".',
            )
        if unknown := sorted(set(topics) - set(TOPICS)):
            raise TradecapError(
                f"{shown}: unknown key 'profile.{name}.topics.{unknown[0]}'.",
                f"the keys there are: {', '.join(TOPICS)}.",
            )
    return {
        name: {key: _text(topics, key, shown, f"profile.{name}.topics.") for key in topics}
        for name, topics in found.items()
    }


def _flat(table: Mapping[str, object], before: str = "") -> dict[str, object]:
    """sasl.mechanism without quotes is a table in a table for TOML, and one property for people."""
    found: dict[str, object] = {}
    for key, value in table.items():
        found |= _flat(value, f"{before}{key}.") if isinstance(value, dict) else {f"{before}{key}": value}
    return found


def _property(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _text(table: Mapping[str, object], name: str, shown: str, inside: str) -> str:
    value = table.get(name, "")
    learn_url(str(value))
    if not isinstance(value, str) or (name in table and not value):
        raise TradecapError(
            f"{shown}: '{inside}{name}' must be a text, not {value!r}.", f'write it in quotes: {name} = "...".'
        )
    return value
