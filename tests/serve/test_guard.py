"""Who may ask, from where, and how often."""

import re
import socket
import ssl
import time
import urllib.request
from functools import partial
from pathlib import Path

import pytest

from tests.exchange import until
from tests.serve.serving import Served, run, serving

TOKEN = "a-token-nobody-guesses"


def raw(served: Served, request: bytes, source: str = "127.0.0.1") -> bytes:
    """What comes back on a connection of its own."""
    with socket.create_connection(("127.0.0.1", served.port), 30, source_address=(source, 0)) as connection:
        connection.sendall(request)
        found = b""
        while piece := connection.recv(65536):
            found += piece
        return found


def test_a_token_is_needed_and_never_shown(recorded: Path, tmp_path: Path) -> None:
    """Everybody in the network would read along; a token in a log is everybody's."""
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    with serving(recorded, "--token-file", str(file), "--host", "127.0.0.1", "-vv") as served:
        assert served.get("/symbols").status == 401
        assert served.get("/symbols").headers["www-authenticate"] == "Bearer"
        for wrong in (f"Bearer {TOKEN}x", "Bearer ", "Bearer", TOKEN, f"Basic {TOKEN}", "Bearer \xff"):
            assert served.get("/symbols", {"Authorization": wrong}).status == 401
        for right in (f"Bearer {TOKEN}", f"bearer {TOKEN}"):
            assert served.get("/symbols", {"Authorization": right}).status == 200
        assert [served.get(path).status for path in ("/health", "/ready", "/metrics", "/docs")] == [200, 200, 401, 401]
        in_url = served.get(f"/symbols?token={TOKEN}", {"Authorization": f"Bearer {TOKEN}"})
        assert in_url.status == 400
        assert TOKEN.encode() not in in_url.body
        assert served.end() == 0
        assert TOKEN not in served.errors.read_text()


def holds(url: str, text: str) -> bool:
    """Whether a text is in what is at an address."""
    with urllib.request.urlopen(url, timeout=60) as answer:
        return text in answer.read().decode()


def test_monitoring_has_a_port_of_its_own(recorded: Path) -> None:
    """The token of all data would have to be given to the monitoring system."""
    with serving(recorded, "--metrics-port", "0", environment={"TRADECAP_TOKEN": TOKEN}) as served:
        assert served.get("/metrics").status == 401
        noted = re.search(r"http://localhost:(\d+)/metrics", served.errors.read_text())
        assert noted
        for path, text in (
            ("metrics", 'http_requests_total{code="401",method="GET",route="/metrics"} 1.0'),
            ("health", "ok"),
            ("ready", "ok"),
        ):
            until(partial(holds, f"http://localhost:{noted[1]}/{path}", text))  # an answer is counted once it is sent
        assert served.end() == 0


def test_a_token_may_come_from_the_environment(recorded: Path) -> None:
    """Containers hand secrets over that way."""
    with serving(recorded, environment={"TRADECAP_TOKEN": TOKEN}) as served:
        assert served.get("/symbols").status == 401
        assert served.get("/symbols", {"Authorization": f"Bearer {TOKEN}"}).status == 200


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        (["--host", "0.0.0.0"], "--token-file"),
        (["--host", "192.0.2.1"], "--no-auth"),
        (["--token-file", "token", "--no-auth"], "contradicts"),
        (["--token-file", "nothing"], "nothing"),
        (["--tls-key", "token"], "--tls-cert"),
        (["--tls-cert", "token"], "can't be used"),
    ],
)
def test_what_isnt_safe_isnt_started(recorded: Path, arguments: list[str], printed: str) -> None:
    """A capture would be open to a whole network because somebody forgot an option."""
    (recorded / "token").write_text(TOKEN)
    done = run(recorded, "serve", "--port", "0", "--grpc-port", "0", *arguments)
    assert done.returncode == 2
    assert printed in done.stderr
    assert done.stdout == ""


def test_others_are_served_when_that_is_asked_for(recorded: Path) -> None:
    """The container's port would be dead."""
    with serving(recorded, "--host", "0.0.0.0", "--no-auth", "--allow-host", "api") as served:
        for host, status in (
            ("api:8000", 200),
            ("localhost", 200),
            ("192.0.2.7:80", 200),
            ("[::1]:80", 200),
            ("evil.example", 421),
        ):
            assert served.get("/symbols", {"Host": host}).status == status


def test_a_name_that_a_stranger_chose_is_refused(served: Served) -> None:
    """A page in the browser could read everything through a name that resolves to this machine."""
    for host in ("evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", ""):
        answer = served.get("/symbols", {"Host": host})
        assert answer.status == 421 if host else answer.status in (400, 421)
    assert served.get("/symbols", {"Host": "LOCALHOST:1"}).status == 200


def test_pages_of_other_origins_cant_read_unless_they_are_named(served: Served, tmp_path: Path) -> None:
    """Any page that somebody opens could send his data home."""
    assert "access-control-allow-origin" not in served.get("/symbols", {"Origin": "https://app.example"}).headers
    assert run(tmp_path, "replay", "sample:").returncode == 0
    with serving(tmp_path, "--cors", "https://app.example", environment={"TRADECAP_TOKEN": TOKEN}) as named:
        allowed = {"Origin": "https://app.example", "Authorization": f"Bearer {TOKEN}"}
        for path in ("/symbols", "/nothing", "/candles?symbol=BTCUSDT", "/candles?symbol=BTCUSDT"):
            assert named.get(path, allowed).headers["access-control-allow-origin"] == "https://app.example"
        assert (
            "access-control-allow-origin"
            not in named.get("/symbols", {**allowed, "Origin": "https://other.example"}).headers
        )
        asked = {
            "Origin": "https://app.example",
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "authorization",
        }
        preflight = named.get("/symbols", asked, "OPTIONS")
        assert (preflight.status, preflight.headers["access-control-allow-headers"]) == (
            204,
            "Authorization, Last-Event-ID",
        )


def test_a_client_has_a_rate_and_another_one_has_its_own(tmp_path: Path) -> None:
    """One script in a loop would take the server from everybody."""
    assert run(tmp_path, "replay", "sample:").returncode == 0
    with serving(tmp_path, "--rate", "1", is_ready=False) as served:
        ask = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
        answers = raw(served, (ask + b"\r\n") * 50 + ask + b"Connection: close\r\n\r\n")
        late = answers.partition(b"HTTP/1.1 429")[2]
        assert b"content-type: application/problem+json" in late
        assert re.search(rb"retry-after: [1-9]", late)
        other = raw(served, b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "127.0.0.2")
        assert other.startswith(b"HTTP/1.1 200")
        until_s = time.monotonic() + 60
        while served.get("/health").status != 200:
            assert time.monotonic() < until_s
            time.sleep(1.1)


def test_tls_is_served(tmp_path: Path) -> None:
    """A token would travel in the clear."""
    import trustme

    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "both.pem"))
    assert run(tmp_path, "replay", "sample:").returncode == 0
    with serving(tmp_path, "--tls-cert", "both.pem", is_ready=False) as served:
        assert served.url.startswith("https://")
        trusting = ssl.create_default_context()
        authority.configure_trust(trusting)
        with (
            socket.create_connection(("127.0.0.1", served.port), 30) as plain,
            trusting.wrap_socket(plain, server_hostname="localhost") as connection,
        ):
            connection.sendall(b"GET /symbols HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert connection.recv(12) == b"HTTP/1.1 200"
            assert connection.version() in ("TLSv1.2", "TLSv1.3")
        assert served.end() == 0
