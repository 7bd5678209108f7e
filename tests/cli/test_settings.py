"""Which log and store are in force."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradecap.cli.settings import CONFIG_NAME, DEFAULTS, Value, resolve, user_config
from tradecap.errors import Exit, TradecapError
from tradecap.urls import learn_all, mask, split

FULL = """
log = "file:top"
default_profile = "server"
[profile.server]
log = "file:profiled"
[profile.empty]
"""


def written(text: str, path: Path = Path(CONFIG_NAME)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def refusal(text: str) -> TradecapError:
    """The answers to a tradecap.toml that isn't understood."""
    written(text)
    with pytest.raises(TradecapError) as caught:
        resolve({}, {})
    assert caught.value.exit_code is Exit.USAGE
    return caught.value


def test_each_source_wins_over_the_ones_below_it() -> None:
    """A log given on the command line that loses to a variable would write into the wrong log."""
    written(FULL)
    option, variable = {"log": "file:option"}, {"TRADECAP_LOG": "file:variable"}
    assert resolve(option, variable).log == Value("log", "file:option", "--log")
    assert resolve({}, variable).log == Value("log", "file:variable", "TRADECAP_LOG")
    assert resolve({}, {}).log == Value("log", "file:profiled", "profile server in ./tradecap.toml")
    assert resolve({"profile": "empty"}, {}).log == Value("log", "file:top", "./tradecap.toml")
    assert resolve({}, {}).store == Value("store", DEFAULTS["store"], "default")


def test_without_a_file_the_defaults_hold() -> None:
    """The first command of a first-time user must not need a file."""
    assert resolve({}, {})[:2] == tuple(Value(name, value, "default") for name, value in DEFAULTS.items())


def test_the_profile_is_chosen_by_option_then_variable_then_file() -> None:
    """A profile exported for the session that beats --profile would load into the wrong server."""
    written('default_profile = "a"\n[profile.a]\n[profile.b]\n[profile.c]')
    assert resolve({"profile": "c"}, {"TRADECAP_PROFILE": "b"}).profile == Value("profile", "c", "--profile")
    assert resolve({}, {"TRADECAP_PROFILE": "b"}).profile == Value("profile", "b", "TRADECAP_PROFILE")
    assert resolve({}, {}).profile == Value("profile", "a", "./tradecap.toml")


def test_only_the_first_file_found_is_read() -> None:
    """A folder's file mixed with the user's would give settings that are in no file."""
    users = user_config()
    assert users
    written('store = "chdb:users"', users)
    assert resolve({}, {}).store.value == "chdb:users"
    written('log = "file:folders"')
    assert resolve({}, {}).store == Value("store", DEFAULTS["store"], "default")


@pytest.mark.parametrize(("options", "environ"), [({"config": "no.toml"}, {}), ({}, {"TRADECAP_CONFIG": "no.toml"})])
def test_a_named_file_must_exist(options: dict[str, str], environ: dict[str, str]) -> None:
    """A mistyped --config that is passed over would run on the defaults."""
    with pytest.raises(TradecapError, match=r"^\./no\.toml cannot be read: No such file"):
        resolve(options, environ)


def test_a_folder_is_no_file() -> None:
    """A folder named as configuration would end in a traceback."""
    with pytest.raises(TradecapError, match="cannot be read"):
        resolve({"config": str(Path.cwd())}, {})


def test_broken_toml_names_file_and_line() -> None:
    """Without the line, a person searches the whole file."""
    assert refusal('log = "file:a"\nstore = chdb').message.startswith("./tradecap.toml:2 is not valid TOML: ")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('lgo = "file:a"', "unknown key 'lgo'"),
        ('[profile.a]\nlgo = "file:a"', "unknown key 'profile.a.lgo'"),
        ('[profile.a]\ndefault_profile = "b"', "unknown key 'profile.a.default_profile'"),
        ("log = 5", "'log' must be a text, not 5"),
        ("[profile.a]\nstore = []", "'profile.a.store' must be a text"),
        ('log = ""', "'log' must be a text, not ''"),
        ("default_profile = 1", "'default_profile' must be a text"),
        ('profile = "a"', "'profile' must be a table"),
        ('profile.a = "file:x"', "'profile' must be a table"),
    ],
)
def test_a_key_that_is_not_understood_is_refused_by_name(text: str, named: str) -> None:
    """A key that is passed over silently makes its writer believe it holds."""
    error = refusal(text)
    assert named in error.message
    assert error.message.startswith("./tradecap.toml: ")


def test_a_file_that_is_no_text_is_refused() -> None:
    """A file saved as UTF-16 would end in a traceback."""
    Path(CONFIG_NAME).write_bytes("log".encode("utf-16"))
    with pytest.raises(TradecapError, match="not UTF-8"):
        resolve({}, {})


def test_a_byte_order_mark_is_no_part_of_the_file() -> None:
    """Editors of Windows put one in front, and the message named a line with nothing wrong in it."""
    Path(CONFIG_NAME).write_text('log = "file:marked"', encoding="utf-8-sig")
    assert resolve({}, {}).log.value == "file:marked"


def test_an_unknown_profile_lists_the_known_ones() -> None:
    """Someone who mistypes a profile wants to see its right name, not the defaults in force."""
    written("[profile.server]\n[profile.laptop]")
    with pytest.raises(TradecapError, match=r"no profile 'servr' in \./tradecap\.toml") as caught:
        resolve({"profile": "servr"}, {})
    assert "laptop, server" in caught.value.hint


def test_a_profile_without_a_file_says_how_to_make_one() -> None:
    """A first-time user has no file that could be searched for."""
    with pytest.raises(TradecapError, match=r"there is no tradecap\.toml") as caught:
        resolve({"profile": "server"}, {})
    assert "config --init" in caught.value.hint


def test_an_empty_variable_is_unset_and_an_empty_option_is_refused() -> None:
    """`TRADECAP_LOG= tradecap` is how a shell unsets; `--log "$UNSET"` is a mistake that must not fall back to the
    default."""
    assert resolve({}, {"TRADECAP_LOG": ""}).log.source == "default"
    with pytest.raises(TradecapError, match="--log is empty"):
        resolve({"log": ""}, {})


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("clickhouse://user:pw@host:8123/market", "clickhouse://user:***@host:8123/market"),
        ("clickhouse://user:p@ss/w:rd@host/db", "clickhouse://user:***@host/db"),
        ("kafka://:pw@host/topic", "kafka://:***@host/topic"),
        ("clickhouse://host/db?password=pw&secure=1", "clickhouse://host/db?password=***&secure=1"),
        ("clickhouse://user@host:8123/market", "clickhouse://user@host:8123/market"),
        ("clickhouse://host:8123/market", "clickhouse://host:8123/market"),
        ("file:./tradecap-data/log", "file:./tradecap-data/log"),
        ("no route to clickhouse://u:pw@host/db (see x@y)", "no route to clickhouse://u:***@host/db (see x@y)"),
    ],
)
def test_passwords_are_masked_and_nothing_else(url: str, shown: str) -> None:
    """A password in a terminal's history or a CI log is a leaked password."""
    assert mask(url) == shown


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20))
def test_no_password_is_shown_whatever_is_in_it(rest: str) -> None:
    """Signs that mean something in a URL would let half of a password through."""
    assert "s3cr3t" not in mask(f"clickhouse://user:s3cr3t{rest}s3cr3t@host:8123/market")


SERVER = "clickhouse://me@host:8123/market"


@pytest.mark.parametrize("password", ["sesame", "p/w@%41 'ü\n\"", ":", "***"])
@pytest.mark.parametrize(
    "url", [SERVER, "clickhouse://host:8123/market", "clickhouses://m%40e@[::1]/x?a=b", "postgresql://host"]
)
def test_the_store_gets_the_password_of_its_variable_exactly(url: str, password: str) -> None:
    """A container is given its password apart from the URL; a sign that means something in a URL would make it another
    one."""
    found = resolve({"store": url}, {"TRADECAP_STORE_PASSWORD": password}).store
    without, with_it = split(url), split(found.value)
    assert with_it == without._replace(user=without.user or "", password=password)
    assert password not in found.shown.replace("***", "") or password == ":"
    assert found.source == "--store"


def test_a_password_in_the_url_wins_over_the_variable() -> None:
    """One store of several would be opened with the password of another."""
    settings = resolve({"store": "clickhouse://me:own@host/market"}, {"TRADECAP_STORE_PASSWORD": "other"})
    assert split(settings.store.value).password == "own"
    assert settings.password is None


def test_an_embedded_store_has_no_use_for_a_password() -> None:
    """Its folder would have another name."""
    assert resolve({}, {"TRADECAP_STORE_PASSWORD": "sesame"}).store.value == DEFAULTS["store"]


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
def test_a_secret_may_come_from_a_file_without_its_line_end(end: str) -> None:
    """Editors and `echo` end a file with a line end, and the server would refuse the password."""
    Path("secret").write_bytes(f" se\nsame {end}".encode())
    environ = {"TRADECAP_STORE_PASSWORD_FILE": "secret", "TRADECAP_KAFKA_SASL_PASSWORD_FILE": "secret"}
    settings = resolve({"store": SERVER}, environ)
    assert split(settings.store.value).password == " se\nsame "
    assert settings.kafka_properties() == {"sasl.password": " se\nsame "}
    assert settings.password
    assert (settings.password.shown, settings.password.source) == ("***", "TRADECAP_STORE_PASSWORD_FILE")


@pytest.mark.parametrize("name", ["TRADECAP_STORE_PASSWORD", "TRADECAP_KAFKA_SASL_PASSWORD"])
def test_a_secret_and_its_file_at_once_are_refused(name: str) -> None:
    """The one that was forgotten would win."""
    Path("secret").write_text("sesame")
    with pytest.raises(TradecapError, match=f"{name} and {name}_FILE are both set") as caught:
        resolve({"store": SERVER}, {name: "other", f"{name}_FILE": "secret"})
    assert caught.value.exit_code is Exit.USAGE


@pytest.mark.parametrize(
    ("content", "says"), [(b"", "is empty"), (b"\n", "is empty"), (b"\xff", "isn't UTF-8"), (None, "No such file")]
)
@pytest.mark.parametrize("name", ["TRADECAP_STORE_PASSWORD_FILE", "TRADECAP_KAFKA_SASL_PASSWORD_FILE"])
def test_a_file_without_a_secret_is_named(name: str, content: bytes | None, says: str) -> None:
    """An empty password would be sent, and the server blamed."""
    if content is not None:
        Path("secret").write_bytes(content)
    with pytest.raises(TradecapError, match=says) as caught:
        resolve({"store": SERVER}, {name: "secret"})
    assert caught.value.message.startswith(f"'secret' ({name}) ")


def test_the_path_of_a_secret_is_no_secret() -> None:
    """An error would hide the file that it is about."""
    learn_all({"TRADECAP_STORE_PASSWORD_FILE": "/run/secrets/store"})
    assert mask("/run/secrets/store can't be read") == "/run/secrets/store can't be read"


def test_a_profile_names_the_topics_of_process() -> None:
    """Two captures on one cluster could not be kept apart, and a misspelt name would be passed over."""
    Path(CONFIG_NAME).write_text(
        '[profile.a]\nlog = "kafka://h/t"\n[profile.a.topics]\ncandles = "bars"\nstate = "mine"\n'
    )
    settings = resolve({"profile": "a"}, {})
    assert {each.name: each.value for each in settings.topics} == {"candles": "bars", "state": "mine"}
    assert ("topics.candles", "bars", "profile a in ./tradecap.toml") in [
        (each.name, each.value, each.source) for each in settings.values()
    ]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('[profile.a.topics]\nbars = "x"', "unknown key 'profile.a.topics.bars'"),
        ("[profile.a.topics]\ncandles = 1", "'profile.a.topics.candles' must be a text"),
        ('[profile.a]\ntopics = "x"', "'profile.a.topics' must be a table"),
    ],
)
def test_topics_that_are_not_understood_are_refused(text: str, named: str) -> None:
    """They would be written under their default names."""
    assert named in refusal(text).message
