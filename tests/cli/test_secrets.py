"""No secret is ever recorded or printed: whole commands, run with secrets in every place that takes one."""

import shutil
from pathlib import Path

import pytest
import zstandard
from click.testing import CliRunner
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.test_urls import HALVES, is_leaked, passwords, urls
from tradecap.cli import cli

PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "https_proxy", "all_proxy")
STREAM = ("stream", "BTCUSDT", "--duration", "100ms", "--min-free", "1MB", "-vv")
PLACES = {
    "--ws-url": [*STREAM, "--ws-url", "{}"],
    "--rest-url": [*STREAM, "--ws-url", "ws://127.0.0.1:1", "--rest-url={}"],
    "--store": ["init-db", "--store", "{}", "-vv"],
    "--store of verify": ["verify", "--store={}", "-vv"],
    "--store of config": ["config", "--json", "--store", "{}"],
    "--log": ["replay", "sample:", "--limit", "1", "--log", "{}", "-vv"],
    "--log of config": ["config", "--log", "{}"],
    "TRADECAP_STORE": ["candles", "BTCUSDT", "--json", "-vv"],
    "TRADECAP_LOG": ["load", "--log-format", "json", "-vv"],
    "TRADECAP_PROFILE": ["config", "-vv"],
    "TRADECAP_CONFIG": ["config", "-vv"],
    "tradecap.toml": ["config"],
    "a path": ["replay", "{}", "-vv"],
    "a wrong option": ["load", "--stroe={}"],
    "an argument too many": ["load", "{}"],
}
SETTINGS = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def contents(path: Path) -> str:
    """A file as text; a closed segment is unpacked."""
    data = path.read_bytes()
    return (zstandard.ZstdDecompressor().decompressobj().decompress(data) if path.suffix == ".zst" else data).decode(
        errors="replace"
    )


def answer(args: list[str], environ: dict[str, str], kept: str = "tradecap.toml") -> str:
    """All that a command prints, and all that it leaves in files, but for the one that the test itself wrote."""
    result = CliRunner().invoke(cli, args, env=environ)
    files = [path for path in Path().rglob("*") if path.is_file() and path.name != kept]
    text = "\n".join([result.stdout, result.stderr, *(f"{path}\n{contents(path)}" for path in files)])
    for path in Path().iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert "Internal error" not in text
    return text


@pytest.mark.parametrize("place", PLACES)
@settings(SETTINGS, max_examples=15)
@given(url=urls().filter(lambda url: "\x00" not in url))
def test_no_place_for_a_url_gives_its_password_away(place: str, url: str) -> None:
    """A password in a terminal, a log of CI, a record or a certificate is a leaked one, in a log forever."""
    environ = {place: url} if place.startswith("TRADECAP_") else {}
    if place == "tradecap.toml":
        Path("tradecap.toml").write_text(f"store = '''{url}'''\nlog = [{url!r}]\n", encoding="utf-8")
    args = [each.replace("{}", url) for each in PLACES[place]]
    assert not is_leaked(answer(args, environ))


@settings(SETTINGS, max_examples=12)
@given(url=urls(), name=st.sampled_from(PROXIES))
@example(url=f"http://user:{'/'.join(HALVES)}@127.0.0.1:9803/x", name="HTTPS_PROXY")
def test_no_proxy_gives_its_password_away(url: str, name: str) -> None:
    """Three records of every capture behind a proxy held its password, and no log can be made to forget."""
    scheme = "wss" if name.lower() == "https_proxy" else "ws"
    text = answer([*STREAM, "--ws-url", f"{scheme}://venue.invalid:1", "--duration", "100ms"], {name: url})
    assert not is_leaked(text)


@settings(SETTINGS, max_examples=10)
@given(password=passwords().filter(lambda text: "\x00" not in text))
def test_a_secret_variable_is_never_shown(password: str) -> None:
    """What is set for a store would come out by another command's error."""
    environ = {
        "TRADECAP_STORE_PASSWORD": password,
        "TRADECAP_TOKEN": password,
        "TRADECAP_KAFKA_SASL_PASSWORD": password,
    }
    assert not is_leaked(answer(["config", "-vv"], environ))
    assert not is_leaked(answer(["replay", password, "-vv"], environ))


ENDS = st.sampled_from(["", "\n", "\r\n", "\n\n"])
COMMANDS = (
    ["config", "--json"],
    ["init-db", "--store", "clickhouse://me@127.0.0.1:1/market", "-vv"],
    ["verify", "--store", "clickhouse://127.0.0.1:1/market", "-vv", "--log-format", "json"],
    ["load", "--log", "kafka://127.0.0.1:1/t", "-vv"],
    ["topics", "--log", "kafka://127.0.0.1:1/t", "-vv"],
)


@pytest.mark.parametrize("from_file", [False, True])
@settings(SETTINGS, max_examples=10)
@given(password=passwords(), end=ENDS)
def test_a_secret_in_use_is_never_shown(from_file: bool, password: str, end: str) -> None:
    """It is used by libraries that quote what they were given, and by people who paste what they see into a ticket."""
    variables = (
        "TRADECAP_STORE_PASSWORD",
        "TRADECAP_KAFKA_SASL_PASSWORD",
        "TRADECAP_KAFKA_SSL_KEY_PASSWORD",
        "TRADECAP_KAFKA_SSL_KEY_PEM",
    )
    for args in COMMANDS:
        Path("secret").write_bytes(f"{password}{end}".encode())
        known = {f"{name}_FILE": "secret" for name in variables} if from_file else dict.fromkeys(variables, password)
        environ = known | {
            "TRADECAP_KAFKA_SASL_USERNAME": "me",
            "TRADECAP_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "TRADECAP_KAFKA_SASL_MECHANISM": "PLAIN",
        }
        text = answer(args, environ, kept="secret")
        assert not is_leaked(text)
        assert "secret (" not in text


def test_a_capture_through_a_proxy_that_is_away_records_which_and_not_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A reader of the log months later must see that it was the proxy, and no more."""
    monkeypatch.setenv("HTTP_PROXY", "http://user:sesame@127.0.0.1:1/x")
    text = answer([*STREAM, "--ws-url", "ws://venue.test:80"], {})
    assert text.count("the proxy 127.0.0.1:1 can't be reached") > 2
    assert '"event":"disconnected"' in text
    assert '"failure":"proxy"' in text
    assert "sesame" not in text
