"""The files of the page: what is sent, to whom, and that the vendored library is what it says."""

import base64
import gzip
import hashlib
import json
import re
import urllib.request
from pathlib import Path

import pytest

from tests.serve.serving import WITHIN_S, Served, serving
from tradecap.serve import page

WEB = Path(page.__file__).parent / "web"
LIBRARY = WEB / "lightweight-charts"
SCRIPT = (WEB / page.LIBRARY).read_text(encoding="utf-8")
CSS = (WEB / "page.css").read_text(encoding="utf-8")
AA = 4.5
"""The contrast that WCAG 2 asks of text."""


def test_all_files_are_there_and_listed(served: Served) -> None:
    """A file that the page names and the server doesn't send leaves an empty window."""
    for path, (name, kind) in page.FILES.items():
        answer = served.get(path)
        assert (answer.status, answer.body) == (200, (WEB / name).read_bytes()), path
        assert answer.headers["content-type"].startswith(kind)
        assert answer.headers["content-security-policy"] == page.POLICY
    named = re.findall(r'(?:href|src)="(app/[^"]+)"', (WEB / "index.html").read_text(encoding="utf-8"))
    named += [f"app/{name}" for name in re.findall(r'from "\./([^"]+)"', (WEB / "page.js").read_text(encoding="utf-8"))]
    assert {f"/{name}" for name in named} <= set(page.FILES)
    assert served.get("/app/page.py").status == 404
    assert served.get("/app/../page.py").status == 404
    assert served.get("/app/").body == served.get("/app").body


def test_a_browser_that_has_a_file_is_not_sent_it_again(served: Served) -> None:
    """A phone would load 200 kB at each visit."""
    path = f"/app/{page.LIBRARY}"
    asked = urllib.request.Request(f"{served.url}{path}", headers={"Accept-Encoding": "gzip"})
    with urllib.request.urlopen(asked, timeout=WITHIN_S) as answer:
        packed = answer.read()
        assert answer.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed).decode() == SCRIPT
    assert len(packed) < 80_000
    tag = served.get(path).headers["etag"]
    again = served.get(path, {"If-None-Match": tag})
    assert (again.status, again.body) == (304, b"")


def test_the_files_need_no_token_and_the_data_does(recorded: Path) -> None:
    """The page couldn't ask for the token, or anybody could read the data."""
    (recorded / "token").write_text("secret\n", encoding="utf-8")
    with serving(recorded, "--token-file", "token", is_ready=False) as process:
        assert {path: process.get(path).status for path in page.OPEN} == dict.fromkeys(page.OPEN, 200)
        closed = [
            "/symbols",
            "/candles?symbol=BTCUSDT",
            "/coverage?symbol=BTCUSDT",
            "/app/x",
            "/app/page.css/..",
            "/app/%2e%2e/symbols",
            "/docs",
        ]
        assert {path: process.get(path).status for path in closed} == dict.fromkeys(closed, 401)


def test_the_first_line_names_the_page(served: Served) -> None:
    """A script that opens the page reads its address there."""
    assert served.first["app"] == f"{served.url}/app"
    assert "/app" in served.get("/").json["routes"]


def test_the_library_is_the_published_one() -> None:
    """A line that somebody added to 200 kB of packed code would be seen by nobody."""
    lines = (LIBRARY / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    assert {name: hashlib.sha256((LIBRARY / name).read_bytes()).hexdigest() for name in sums} == sums
    assert Path(page.LIBRARY).name in sums
    locked = json.loads((LIBRARY / "package-lock.json").read_text(encoding="utf-8"))["packages"][
        "node_modules/lightweight-charts"
    ]
    assert locked["integrity"].startswith("sha512-")
    assert f"v{locked['version']}\n" in SCRIPT[:200]
    readme = (LIBRARY / "README.md").read_text(encoding="utf-8")
    assert locked["version"] in readme
    assert locked["integrity"] in readme
    notice = (LIBRARY / "NOTICE").read_text(encoding="utf-8")
    assert "TradingView" in notice
    assert "Apache License" in (LIBRARY / "LICENSE").read_text(encoding="utf-8")
    assert "https://www.tradingview.com/" in (WEB / "index.html").read_text(encoding="utf-8")


def test_the_policy_allows_the_library_s_one_style_and_nothing_inline() -> None:
    """With another version of the library its link would lose its style, or the policy would have to be opened."""
    styles = re.findall(r'createElement\("style"\),this\.\w+\.innerText="([^"]*)"', SCRIPT)
    assert len(styles) == SCRIPT.count('createElement("style")') == 1
    digest = base64.b64encode(hashlib.sha256(styles[0].encode()).digest()).decode()
    assert f"sha256-{digest}" == page.LIBRARY_STYLE
    assert "unsafe" not in page.POLICY
    html = (WEB / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", html)


def test_text_reaches_the_page_as_text() -> None:
    """Markup in a symbol would become part of the page."""
    script = (WEB / "page.js").read_text(encoding="utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|srcdoc", script)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_can_be_read_in_both_schemes(scheme: int) -> None:
    """Grey on grey looks fine to whoever chose it."""
    colours = {name: pair[scheme] for name, *pair in re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", CSS)}
    for text in ("ink", "muted", "accent", "up", "down", "warn"):
        for ground in ("surface", "page"):
            assert contrast(colours[text], colours[ground]) >= AA, (text, ground)
    assert contrast(colours["edge"], colours["surface"]) >= 3  # of controls


def contrast(one: str, other: str) -> float:
    """The contrast of two colours, as WCAG 2 defines it."""
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    """The relative luminance of #rrggbb."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
