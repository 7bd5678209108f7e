"""URLs as people write them, and their secrets."""

import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradecap.errors import TradecapError
from tradecap.urls import Url, learn, learn_all, learn_url, mask, mask_url, split

HALVES = ("s3s4me", "0pen5")
SIGNS = st.text("#/?[]@:%&=+ '\"\\üA", max_size=4)


@st.composite
def passwords(draw: st.DrawFn) -> str:
    """Two halves that no text of ours holds, with signs around them that mean something in a URL."""
    return draw(SIGNS) + HALVES[0] + draw(SIGNS) + HALVES[1] + draw(SIGNS)


@st.composite
def urls(draw: st.DrawFn) -> str:
    """A URL with such a password, often badly written."""
    password = draw(passwords())
    written = draw(st.sampled_from([password, quote(password, safe=""), quote(password), quote_plus(password)]))
    scheme = draw(
        st.sampled_from(
            [
                "http://",
                "https://",
                "socks5h://",
                "ws://",
                "clickhouse://",
                "clickhouse:",
                "",
                "http:/",
                "ws//",
                "nope://",
            ]
        )
    )
    user = draw(st.sampled_from(["me", "", "m%40e"]))
    port = draw(st.sampled_from(["", ":1", ":99999", ":81x23", ":"]))
    path = draw(st.sampled_from(["", "/", "/market", "/x?y=1#z"]))
    return f"{scheme}{user}:{written}@{draw(st.sampled_from(['venue.test', '127.0.0.1', '[::1]', '']))}{port}{path}"


def is_leaked(text: str) -> bool:
    """Whether a half of the password is in it."""
    return any(half in text for half in HALVES)


@given(urls())
def test_a_url_never_shows_its_password(url: str) -> None:
    """However it is mistyped, it would be printed in the complaint about it."""
    assert not is_leaked(mask_url(url))
    try:
        split(url)
    except ValueError as error:
        assert not is_leaked(str(error))  # noqa: PT017 -- most of them are fine


@given(passwords(), st.data())
def test_a_known_secret_is_hidden_in_every_spelling(password: str, data: st.DataObject) -> None:
    """A library would quote it decoded, encoded, or as Python shows a text."""
    url = f"http://me:{data.draw(st.sampled_from([password, quote(password, safe='')]))}@venue.test:1/x"
    learn_all({"HTTPS_PROXY": url})
    for spelling in (
        password,
        quote(password),
        quote(password, safe="").lower(),
        quote_plus(password),
        json.dumps(password),
        repr(password),
    ):
        assert not is_leaked(mask(f"connect to {spelling} failed"))
    assert not is_leaked(TradecapError(f"no {password} here", f"not {password} there").message)


@pytest.mark.parametrize("name", ["TRADECAP_STORE_PASSWORD", "TRADECAP_KAFKA_SASL_PASSWORD", "TRADECAP_TOKEN"])
def test_a_variable_that_is_a_secret_is_hidden_whole(name: str) -> None:
    """It holds no URL by which it could be known."""
    learn_all({name: "open sesame"})
    assert mask("answer: open sesame!") == "answer: ***!"


def test_what_one_command_knew_the_next_does_not() -> None:
    """In a program that runs many commands words would vanish from texts."""
    learn_all({"TRADECAP_TOKEN": "sesame"}, ["--store", "clickhouse://me:opens@host", "--log=kafka://me:gates@host"])
    assert mask("sesame opens gates") == "*** *** ***"
    learn_all({})
    assert mask("sesame opens gates") == "sesame opens gates"


def test_short_secrets_are_hidden_in_urls_alone() -> None:
    """A password of one letter would take that letter out of every text."""
    learn_url("clickhouse://admin:a@host/a")
    assert mask_url("clickhouse://admin:a@host/a") == "clickhouse://admin:***@host/a"
    assert mask("a table at clickhouse://admin:a@host/a") == "a table at clickhouse://admin:***@host/a"
    learn("")
    assert mask("all of it") == "all of it"


@pytest.mark.parametrize(
    "text",
    ["file:./logs@prod:2", "chdb:/data/a@b", "clickhouse://default@localhost:8123/market", "btcusdt@trade", "a:b", ""],
)
def test_what_holds_no_secret_stays_as_it_is(text: str) -> None:
    """The first line of a command, which names log and store, would be unreadable."""
    assert mask_url(text) == text


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        (
            "clickhouse://u:p%23w@h:8123/db",
            Url(scheme="clickhouse", user="u", password="p#w", host="h", port=8123, rest="/db"),
        ),
        (
            "clickhouse://u:p#w/?[@@h/db",
            Url(scheme="clickhouse", user="u", password="p#w/?[@", host="h", port=None, rest="/db"),
        ),
        ("http://[::1]:80", Url(scheme="http", user=None, password=None, host="::1", port=80, rest="")),
        ("h", Url(scheme="", user=None, password=None, host="h", port=None, rest="")),
        ("u@h:1", Url(scheme="", user="u", password=None, host="h", port=1, rest="")),
    ],
)
def test_a_url_is_split_as_its_writer_meant_it(url: str, parts: Url) -> None:
    """A password with a sign in it would have to be looked up in a table of codes."""
    assert split(url) == parts
