"""The page in a browser: what is drawn is what the server answers, live, and after an outage."""

import json
import re
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.builders import NOON_S
from tests.flows.builders import a_message, begun, replayed
from tests.serve.browsing import Tab, same_as
from tests.serve.browsing import browser as browser
from tests.serve.browsing import tab as tab
from tests.serve.serving import Served, serving
from tests.serve.test_crash import free_port, settled
from tests.serve.test_events import Events
from tradecap.log.folder.log import FileLog

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Route

pytestmark = pytest.mark.browser


def minutes(first: int, count: int, *, at_minute: int = 0, **overrides: object) -> list[bytes]:
    """One trade a minute, their ids and prices ascending."""
    return [
        a_message(first + n, at_s=60 * (at_minute + n), **{"price": (100 + first + n) * 10**8 + 10**6, **overrides})
        for n in range(count)
    ]


def width(tab: Tab) -> int:
    """How much time is in view, in seconds."""
    seen = tab.drawn()["range"]
    return int(seen["to"] - seen["from"])


def served_at(folder: Path, port: int, *arguments: str) -> AbstractContextManager[Served]:
    """The log of a folder, without a store."""
    return serving(folder, "--log", f"file:{folder / 'log'}", "--port", str(port), "--rate", "0", *arguments)


def test_bars_are_those_of_the_interface(served: Served, tab: Tab) -> None:
    """A chart that differs from the data by one digit is a picture of nothing."""
    tab.open(f"{served.url}/app#symbol=PEPEUSDT")
    answer = served.get("/candles?symbol=PEPEUSDT&limit=1000").json["candles"]
    tab.wait_for_bars(len(answer))
    drawn = tab.drawn()
    same_as(answer, drawn["candles"])
    assert [float(bar["volume"]) for bar in answer] == [point["value"] for point in drawn["volumes"]]
    newest = answer[-1]
    assert {name: tab.text(f"#{name}") for name in ("open", "high", "low", "close", "volume")} == {
        name: newest[name] for name in ("open", "high", "low", "close", "volume")
    }
    names = ("open", "high", "low", "close", "volume", "trades", "first_id", "last_id")
    assert [row[1:9] for row in tab.rows()] == [[str(bar[name]) for name in names] for bar in reversed(answer)]
    assert tab.refused == []


def test_series_and_interval_are_in_the_link(served: Served, tab: Tab, browser: "Browser") -> None:
    """A link that somebody was sent would show another chart."""
    tab.open(f"{served.url}/app")
    tab.page.locator("#series").select_option(label="ETHUSDT · binance · trade")
    tab.page.locator("#intervals label").filter(has_text=re.compile("^5m$")).click()
    answer = served.get("/candles?symbol=ETHUSDT&interval=5m").json["candles"]
    tab.wait_for_bars(len(answer))
    tab.wait("#close", answer[-1]["close"])
    link = tab.page.url
    assert "token" not in link
    context = browser.new_context()
    other = Tab(context.new_page())
    other.open(link)
    other.wait_for_bars(len(answer))
    same_as(answer, other.bars())
    assert other.page.locator("#series option:checked").inner_text() == "ETHUSDT · binance · trade"
    context.close()
    tab.page.evaluate("location.hash = '#symbol=btcusdt&interval=2m'")
    tab.wait("#close", served.get("/candles?symbol=BTCUSDT&interval=2m").json["candles"][-1]["close"])
    assert tab.page.locator("#intervals input:checked").get_attribute("value") == "2m"


def test_what_is_proven_is_named_and_what_is_missing_is_blank(tmp_path: Path, tab: Tab) -> None:
    """A line drawn through a hole hides it."""
    replayed(
        FileLog(tmp_path / "log", create=True),
        [*minutes(1000, 5), *minutes(1008, 4, at_minute=8), *minutes(1012, 2, at_minute=14)],
    )
    with served_at(tmp_path, 0) as served:
        tab.open(f"{served.url}/app")
        tab.wait("#proven", "1\u202f004")
        tab.wait("#proof", "1 gap, 3 ids missing")
        assert "1\u202f008 to 1\u202f013" in tab.text("#proof")
        drawn = tab.drawn()
    assert [(time - NOON_S) // 60 for time in drawn["blanks"]] == [5, 6, 7, 12, 13]
    assert [(point["time"] - NOON_S) // 60 for point in drawn["missing"]] == [5, 6, 7]
    hollow = [(point["time"] - NOON_S) // 60 for point in drawn["candles"] if point["color"] != point["borderColor"]]
    assert hollow == [0, 4, 8]
    states = {row[0][-5:]: row[9] for row in tab.rows()}
    assert states["12:06"] == "no bar, ids 1\u202f005 to 1\u202f007 missing"
    assert states["12:12"] == "no trades"


def test_each_trade_moves_the_chart(tmp_path: Path, tab: Tab) -> None:
    """The page would be a photograph."""
    log = FileLog(tmp_path / "log", create=True)
    replayed(log, minutes(1000, 3))
    with served_at(tmp_path, 0) as served:
        tab.open(f"{served.url}/app")
        tab.wait("#close", "1102.01")
        with log.writer() as writer:
            begun(writer, [a_message(1003, at_s=130, price=1999 * 10**8)])
            tab.wait("#close", "1999")
            assert tab.text("#high") == "1999"
            begun(writer, minutes(1004, 1, at_minute=3))
            tab.wait_for_bars(4)
            tab.wait("#close", "1104.01")
        tab.wait("#proven", "1\u202f004")
        settled(served, log)
        same_as(served.bars(), tab.bars())


def test_it_comes_back_by_itself_and_fills_what_it_missed(tmp_path: Path, tab: Tab) -> None:
    """A page that was left open overnight would show a hole, or the evening's prices."""
    log = FileLog(tmp_path / "log", create=True)
    replayed(log, minutes(1000, 3))
    port = free_port()
    with served_at(tmp_path, port) as served:
        tab.open(f"{served.url}/app")
        tab.wait_for_bars(3)
        served.process.kill()
        tab.wait("#state[data-state=reconnecting]", "Reconnecting")
    replayed(log, minutes(1003, 40, at_minute=3))
    with served_at(tmp_path, port) as served:
        tab.wait("#state[data-state=live]", "Live")
        tab.wait_for_bars(43)
        tab.wait("#proven", "1\u202f042")
        same_as(served.bars(), tab.bars())
    assert tab.refused, "nothing was refused meanwhile"


def test_older_bars_come_on_the_way_back_and_keys_move_the_chart(tmp_path: Path, tab: Tab) -> None:
    """History would end at the first page, or be out of reach without a mouse."""
    replayed(FileLog(tmp_path / "log", create=True), minutes(1000, 1200))
    with served_at(tmp_path, 0) as served:
        tab.open(f"{served.url}/app")
        tab.wait_for_bars(1000)
        tab.page.locator("#chart").focus()
        began = tab.drawn()["range"]
        tab.page.keyboard.press("ArrowLeft")
        tab.page.keyboard.press("-")
        tab.until(lambda: width(tab) > began["to"] - began["from"] and tab.drawn()["range"]["to"] < began["to"])
        tab.page.keyboard.press("Home")
        tab.wait_for_bars(1200)
        same_as(served.bars(), tab.bars())
        tab.page.keyboard.press("Home")
        tab.until(lambda: tab.drawn()["range"]["from"] == NOON_S)
        tab.page.keyboard.press("Shift+ArrowLeft")
        tab.page.keyboard.press("Shift+ArrowLeft")
        tab.wait("#spoken", "open 2298.01")
        tab.page.keyboard.press("End")
        tab.page.mouse.move(0, 0)
        tab.wait("#close", "2299.01")


def test_an_older_event_does_not_undo_a_newer_bar(tmp_path: Path, tab: Tab) -> None:
    """A slow network would set the newest bar back to an older price, and nothing would correct it in a quiet
    market."""
    log = FileLog(tmp_path / "log", create=True)
    replayed(log, minutes(1000, 3))
    with served_at(tmp_path, 0) as served, log.writer() as writer:
        event = Events(served).next()
        assert event
        text = f"id: {event.id}\nevent: bar\ndata: {json.dumps(event.data)}\n\n"
        begun(writer, [a_message(1003, at_s=130, price=1999 * 10**8)])
        tab.until(lambda: served.bars()[-1]["close"] == "1999")
        asked: list[str] = []

        def delayed(route: "Route") -> None:
            """What the server sent before the trade comes first, and then the connection is gone."""
            asked.append(route.request.url)
            if len(asked) == 1:
                route.fulfill(status=200, content_type="text/event-stream", body=text)
            else:
                route.abort()

        tab.page.route("**/live?*", delayed)
        tab.page.goto(f"{served.url}/app")
        tab.until(lambda: len(asked) > 1)
        tab.wait("#close", "1999")
        assert event.data["close"] == "1102.01"
        same_as(served.bars(), tab.bars())


def test_a_token_is_asked_for_and_kept_in_a_header(recorded: Path, tab: Tab) -> None:
    """A token in a URL ends up in logs and histories; one in a shared place outlives the tab."""
    (recorded / "token").write_text("s3cret\n", encoding="utf-8")
    with serving(recorded, "--token-file", "token", is_ready=False) as served:
        served.wait_until_ready({"Authorization": "Bearer s3cret"})
        tab.page.goto(f"{served.url}/app")
        for given in ("wrong", "s3cret"):
            tab.wait("#state[data-state=locked]", "A token is needed")
            tab.page.locator("#token").fill(given)
            tab.page.locator("#token").press("Enter")
            if given == "wrong":
                tab.wait("#why", "refused")
        tab.wait("#state[data-state=live]")
        tab.wait("#proof", "none missing")
        tab.page.reload()
        tab.wait("#state[data-state=live]")
        assert not [url for url in [*tab.urls, tab.page.url] if "s3cret" in url]
        assert tab.page.evaluate("[Object.keys(localStorage), document.cookie]") == [[], ""]


def test_markup_in_a_link_is_shown_as_text(served: Served, tab: Tab) -> None:
    """A link from a stranger would run his code with the reader's token."""
    tab.page.goto(f"{served.url}/app#symbol=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E")
    tab.wait("#notice", "<img src=x onerror=alert(1)>")
    assert tab.page.locator("img").count() == 1


@pytest.mark.parametrize("width", [1280, 390, 320])
def test_nothing_sticks_out(served: Served, browser: "Browser", width: int) -> None:
    """On a phone the price would be outside the window."""
    context = browser.new_context(
        viewport={"width": width, "height": 700}, color_scheme="dark" if width == 390 else "light"
    )
    tab = Tab(context.new_page())
    tab.open(f"{served.url}/app")
    tab.wait("#proof", "none missing")
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
    box = tab.page.locator("#chart").bounding_box()
    assert box
    assert box["height"] >= 240
    tab.page.locator("#theme").click()
    assert tab.page.evaluate("document.documentElement.dataset.theme") == ("light" if width == 390 else "dark")
    assert tab.errors == []
    context.close()


def test_a_server_that_is_behind_is_named_with_its_reason(tmp_path: Path, tab: Tab) -> None:
    """A page that says "live" over a log that can't be read shows old prices as new ones."""
    replayed(FileLog(tmp_path / "log", create=True), minutes(1000, 3))
    with served_at(tmp_path, 0) as served:
        tab.open(f"{served.url}/app")
        (tmp_path / "log").rename(tmp_path / "away")
        tab.wait("#state[data-state=behind]", "Behind")
        assert tab.page.locator("#state-why").text_content() == " ".join(served.get("/ready").json["reasons"])
        (tmp_path / "away").rename(tmp_path / "log")
        tab.wait("#state[data-state=live]", "Live")
        tab.wait_for_bars(3)
