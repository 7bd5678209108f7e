"""What a monitoring system asks over HTTP."""

import http.client

import pytest

from tests.log.builders import write_run
from tradecap.errors import Exit, TradecapError
from tradecap.flows.load import LoadStatus
from tradecap.flows.loading import Loading
from tradecap.log.folder.log import FileLog
from tradecap.metrics import LoadMetrics, Metrics, ServeMetrics

WITHIN_S = 60.0


class Asked:
    """An answer of a port on this machine."""

    def __init__(self, port: int, path: str, method: str = "GET") -> None:
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=WITHIN_S)
        client.request(method, path)
        answer = client.getresponse()
        self.status, self.length, self.body = answer.status, answer.headers["Content-Length"], answer.read().decode()
        client.close()


def unheard(message: str, **fields: object) -> None:
    """Nobody listens to what is noted."""


def test_health_and_readiness_say_what_is_wrong() -> None:
    """A supervisor would restart a sound process, or leave a stuck one alone."""
    ills: list[str] = []
    missing = ["no connection is up", "nothing of BTCUSDT yet"]
    with ServeMetrics(0, lambda: b"tradecap_x 1.0\n", lambda: ills, lambda: missing, unheard) as served:
        assert (Asked(served.port, "/health").status, Asked(served.port, "/health").body) == (200, "ok\n")
        ready = Asked(served.port, "/ready?verbose=1")
        assert (ready.status, ready.body) == (503, "no connection is up\nnothing of BTCUSDT yet\n")
        ills.append("no data for 60 s")
        missing.clear()
        assert (Asked(served.port, "/health").status, Asked(served.port, "/ready").status) == (503, 200)
        assert Asked(served.port, "/metrics").body == "tradecap_x 1.0\n"
        assert Asked(served.port, "/").status == 404
        head = Asked(served.port, "/metrics", "HEAD")
        assert (head.status, head.length, head.body) == (200, "15", "")


def test_the_port_is_noted_and_given_back() -> None:
    """Port 0 would be served at a place that nobody knows, or a restart find its port taken."""
    noted: list[object] = []
    with ServeMetrics(0, bytes, list, list, lambda _, port: noted.append(port)) as served:
        assert noted == [served.port]
        with pytest.raises(TradecapError, match=f"Port {served.port} can't be served") as taken:
            ServeMetrics(served.port, bytes, list, list, unheard)
        assert (taken.value.exit_code, taken.value.hint) == (Exit.UNREACHABLE, "choose another --metrics-port.")
    assert [server.socket.fileno() for server in served._servers] == [-1] * len(served._servers)


def test_a_capture_that_has_not_begun_is_healthy_and_not_ready(log: FileLog) -> None:
    """A balancer would send readers to a capture that has nothing, or a supervisor kill it while it starts."""
    with Metrics(0, Loading(log, None), unheard) as served:
        assert Asked(served.port, "/health").status == 200
        assert Asked(served.port, "/ready").body == "the capture hasn't begun\n"
        assert Asked(served.port, "/metrics").body == ""


def test_a_load_shows_how_far_it_is_behind(log: FileLog) -> None:
    """A lag of 0 that is only unknown would hide a loader that does nothing."""
    size = sum(map(len, write_run(log, 3)))
    status = LoadStatus()
    with LoadMetrics(0, log, status, unheard) as served:
        assert Asked(served.port, "/ready").body == "the load hasn't begun\n"
        assert "tradecap_load_lag" not in Asked(served.port, "/metrics").body
        status.positions = {}
        status.records = 7
        figures = Asked(served.port, "/metrics").body
        assert f'tradecap_load_lag_bytes{{partition="0"}} {float(size)}' in figures
        assert "tradecap_loaded_records_total 7.0" in figures
        assert "tradecap_store_away 0.0" in figures
        assert Asked(served.port, "/ready").status == 200
