"""gRPC over real sockets: what is answered, how a client is refused, and what it can't do to the server."""

import asyncio
import signal
import threading
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from tests.flows.builders import a_message, replayed, some_messages
from tests.flows.test_live import joined
from tests.flows.test_watching import bring
from tests.serve.make_proto import PROTO, made
from tests.serve.serving import WITHIN_S, Served, run, serving
from tests.serve.test_connections import memory, wait_for
from tests.serve.test_events import captured
from tradecap.log import open_log
from tradecap.log.api import Log
from tradecap.serve.app import application
from tradecap.serve.connections import ConnectionLimits
from tradecap.serve.guard import AccessRules
from tradecap.serve.proto import market_pb2 as pb
from tradecap.serve.proto import market_pb2_grpc
from tradecap.serve.rpc import MarketService
from tradecap.serve.rpc_server import RpcServer, reserved
from tradecap.serve.server import bound, serve
from tradecap.serve.streams import Streams

TOKEN = "a-token-nobody-guesses"
NARROW = (("grpc.http2.lookahead_bytes", 65_536), ("grpc.http2.bdp_probe", 0), ("grpc.use_local_subchannel_pool", 1))
"""A client whose transport takes little of what it doesn't read; its connection is its own."""


def asking(served: Served, *options: tuple[str, int]) -> Any:
    """A client."""
    return market_pb2_grpc.MarketServiceStub(grpc.insecure_channel(served.target, options=options))


def status_of(call: Any) -> tuple[grpc.StatusCode, str]:
    """How a call ends, in error."""
    with pytest.raises(grpc.RpcError) as caught:
        list(call()) if callable(call) else list(call)
    return caught.value.code(), caught.value.details() or ""


def shown(bar: pb.Bar) -> dict[str, Any]:
    """A bar as /candles shows it."""
    names = [
        field.name
        for field in pb.Bar.DESCRIPTOR.fields
        if field.name not in ("venue", "symbol", "channel", "interval", "open_time")
    ]
    return {"open_time": bar.open_time.ToJsonString(), **{name: getattr(bar, name) for name in names}}


def read(time_text: str) -> datetime:
    """A time of REST."""
    return datetime.fromisoformat(time_text)


def test_the_code_is_that_of_the_proto(tmp_path: Path) -> None:
    """A change of the interface that nobody generated isn't there, whatever the .proto says."""
    for name, text in made(tmp_path).items():
        assert (PROTO / name).read_text() == text, "run: make proto"


@pytest.mark.core
def test_bars_are_those_of_candles(served: Served) -> None:
    """Two interfaces to one truth would differ."""
    stub = asking(served)
    for interval in ("1m", "5m", "1h"):
        bars = stub.GetBars(pb.GetBarsRequest(symbol="btcusdt", interval=interval))
        answer = served.get(f"/candles?symbol=BTCUSDT&interval={interval}").json
        assert [shown(bar) for bar in bars.bars] == answer["candles"]
        assert bars.as_of.ToDatetime(UTC) == read(answer["as_of"])
        stream = stub.StreamBars(pb.StreamBarsRequest(symbols=["BTCUSDT"], interval=interval, history=5000))
        updates = [next(stream) for _ in answer["candles"]]
        stream.cancel()
        assert [shown(update.bar) for update in updates] == answer["candles"]
        assert [update.sequence for update in updates] == list(range(1, len(updates) + 1))
        assert [update.closed for update in updates] == [True] * (len(updates) - 1) + [False]
        assert all(update.history and update.skipped == 0 for update in updates)
    series = {(each.venue, each.symbol, each.channel): each for each in stub.ListSeries(pb.ListSeriesRequest()).series}
    for row in served.get("/symbols").json["series"]:
        found = series.pop((row["venue"], row["symbol"], row["channel"]))
        assert all(getattr(found, name) == row[name] for name in ("first_id", "last_id", "gaps", "missing"))
        assert (found.first_time.ToDatetime(UTC), found.last_time.ToDatetime(UTC)) == (
            read(row["first_time"]),
            read(row["last_time"]),
        )
    assert not series


def test_pages_are_all_bars(served: Served) -> None:
    """A client that copies bars would miss some."""
    stub, found = asking(served), []
    request = pb.GetBarsRequest(symbol="BTCUSDT", limit=2)
    request.from_time.seconds = 1
    while True:
        page = stub.GetBars(request)
        found += [shown(bar) for bar in page.bars]
        if not page.HasField("next_time"):
            break
        request.from_time.CopyFrom(page.next_time)
    assert found == served.bars()
    request.to_time.CopyFrom(request.from_time)
    assert status_of(lambda: [stub.GetBars(request)])[0] is grpc.StatusCode.INVALID_ARGUMENT
    complete = stub.GetBars(pb.GetBarsRequest(symbol="BTCUSDT", complete=True)).bars
    assert [shown(bar) for bar in complete] == [bar for bar in served.bars() if bar["complete"]]


@pytest.mark.parametrize(
    ("asked", "code", "hint"),
    [
        ({"symbols": ["BTCUSTD"]}, "NOT_FOUND", "did you mean BTCUSDT?"),
        ({"symbols": [""]}, "NOT_FOUND", "there are"),
        ({"symbols": ["BTCUSDT"], "channel": "none"}, "NOT_FOUND", "binance trade"),
        ({"symbols": ["BTCUSDT"] * 101}, "INVALID_ARGUMENT", "at most 100"),
        ({"interval": "7m"}, "INVALID_ARGUMENT", "1h"),
        ({"interval": "1e9d"}, "INVALID_ARGUMENT", "1h"),
        ({"history": 5001}, "INVALID_ARGUMENT", "at most 5000"),
        ({"delivery": 9}, "INVALID_ARGUMENT", "DELIVERY_LATEST"),
        ({"min_interval_ms": 5}, "INVALID_ARGUMENT", "DELIVERY_LATEST"),
        ({"delivery": 2, "min_interval_ms": 60_001}, "INVALID_ARGUMENT", "60000"),
    ],
)
def test_what_cant_be_answered_is_named(served: Served, asked: dict[str, Any], code: str, hint: str) -> None:
    """A mistyped request would look like a quiet market."""
    found, details = status_of(asking(served).StreamBars(pb.StreamBarsRequest(**asked)))
    assert found.name == code
    assert hint in details.partition(" hint: ")[2]


def test_every_tick_comes_once_after_the_history(tmp_path: Path) -> None:
    """A chart would have a hole at its beginning, or a trade twice."""
    with captured(tmp_path, 100) as further, serving(tmp_path) as served:
        stream = asking(served).StreamBars(pb.StreamBarsRequest(symbols=["BTCUSDT"], history=3))
        first = [next(stream) for _ in range(4)]
        assert [(update.history, update.closed) for update in first] == [(True, True)] * 3 + [(True, False)]
        assert first[-1].bar.last_id == 99
        further(160)
        updates: list[pb.StreamBarsResponse] = []
        while not updates or updates[-1].bar.last_id < 160:
            updates.append(next(stream))
        stream.cancel()
        running = [update for update in updates if not update.closed]
        assert [update.bar.last_id for update in running] == list(range(100, 161))
        assert [update.sequence for update in updates] == list(range(5, 5 + len(updates)))
        assert not any(update.skipped or update.history for update in updates)
        drawn = {
            update.bar.open_time.seconds: (shown(update.bar), update.closed, update.revision)
            for update in [*first, *updates]
        }
        bars = served.bars()[-len(drawn) :]
        assert [bar for bar, _, _ in drawn.values()] == bars
        assert [closed for _, closed, _ in drawn.values()] == [True] * (len(bars) - 1) + [False]
        assert [revision for _, _, revision in drawn.values()] == [bar["trades"] for bar in bars]


def test_the_latest_state_comes_and_no_closed_bar_is_left_out(tmp_path: Path) -> None:
    """A slow client would keep a closed bar as it was a moment before its end."""
    with captured(tmp_path, 100) as further, serving(tmp_path) as served:
        request = pb.StreamBarsRequest(
            symbols=["BTCUSDT"], interval="5m", delivery=pb.DELIVERY_LATEST, min_interval_ms=200
        )
        stream = asking(served).StreamBars(request)
        updates = [next(stream)]
        further(999)
        while updates[-1].bar.last_id < 999:
            updates.append(next(stream))
        stream.cancel()
        drawn = {update.bar.open_time.seconds: (shown(update.bar), update.closed) for update in updates}
        bars = served.get("/candles?symbol=BTCUSDT&interval=5m").json["candles"][-len(drawn) :]
        assert [bar for bar, _ in drawn.values()] == bars
        assert [closed for _, closed in drawn.values()] == [True] * (len(bars) - 1) + [False]
        assert updates[-1].sequence == len(updates)
        assert sum(update.skipped for update in updates) + len(updates) >= 900


def test_several_symbols_come_in_one_stream(served: Served) -> None:
    """A page of three charts would need three connections."""
    stream = asking(served).StreamBars(pb.StreamBarsRequest(history=1))
    updates = [next(stream) for _ in range(6)]
    stream.cancel()
    assert [update.bar.symbol for update in updates] == ["BTCUSDT"] * 2 + ["ETHUSDT"] * 2 + ["PEPEUSDT"] * 2


def test_a_token_is_needed_but_for_health(recorded: Path) -> None:
    """Everybody in the network would read along; an orchestrator would have to know the token."""
    with serving(recorded, environment={"TRADECAP_TOKEN": TOKEN}) as served:
        channel = grpc.insecure_channel(served.target)
        stub = market_pb2_grpc.MarketServiceStub(channel)
        request = pb.StreamBarsRequest()
        for metadata in (
            (),
            (("authorization", f"Bearer {TOKEN}x"),),
            (("authorization", TOKEN),),
            (("token", TOKEN),),
        ):
            assert status_of(stub.StreamBars(request, metadata=metadata))[0] is grpc.StatusCode.UNAUTHENTICATED
            with pytest.raises(grpc.RpcError) as caught:
                stub.ListSeries(pb.ListSeriesRequest(), metadata=metadata)
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert next(stub.StreamBars(request, metadata=(("authorization", f"Bearer {TOKEN}"),))).sequence == 1
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", "tradecap.market.v1.MarketService"):
            assert (
                health.Check(health_pb2.HealthCheckRequest(service=name)).status
                == health_pb2.HealthCheckResponse.SERVING
            )
        with pytest.raises(grpc.RpcError):
            list(ProtoReflectionDescriptorDatabase(channel).get_services())
        assert served.end() == 0
        assert TOKEN not in served.errors.read_text()


def test_services_are_found_by_reflection(served: Served) -> None:
    """grpcurl would need the .proto."""
    services = ProtoReflectionDescriptorDatabase(grpc.insecure_channel(served.target)).get_services()
    assert {*services} == {
        "tradecap.market.v1.MarketService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }


def test_tls_is_that_of_rest(tmp_path: Path) -> None:
    """A token would travel in the clear."""
    import trustme

    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "both.pem"))
    replayed(open_log(f"file:{tmp_path / 'tradecap-data/log'}", create=True), some_messages(range(100)))
    with serving(tmp_path, "--tls-cert", "both.pem", is_ready=False, environment={"TRADECAP_TOKEN": TOKEN}) as served:
        trusting = grpc.ssl_channel_credentials(authority.cert_pem.bytes())
        stub = market_pb2_grpc.MarketServiceStub(grpc.secure_channel(served.target, trusting))
        token = (("authorization", f"Bearer {TOKEN}"),)
        answer = stub.GetBars(
            pb.GetBarsRequest(symbol="BTCUSDT"), metadata=token, wait_for_ready=True, timeout=WITHIN_S
        )
        assert answer.bars
        with pytest.raises(grpc.RpcError) as caught:
            asking(served).GetBars(pb.GetBarsRequest(symbol="BTCUSDT"), metadata=token, timeout=WITHIN_S)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert served.end() == 0


def test_a_taken_port_is_reported(served: Served, tmp_path: Path) -> None:
    """gRPC would share the port quietly, and each client would get one of two servers."""
    replayed(open_log(f"file:{tmp_path / 'tradecap-data/log'}", create=True), some_messages(range(10)))
    done = run(tmp_path, "serve", "--port", "0", "--grpc-port", served.target.rpartition(":")[2])
    assert done.returncode == 3
    assert "choose another --grpc-port" in done.stderr


@pytest.mark.parametrize("host", ["localhost", "::", "0.0.0.0"])
def test_all_addresses_of_a_host_are_served(tmp_path: Path, host: str) -> None:
    """A client that resolves localhost to ::1 would find nobody."""
    replayed(open_log(f"file:{tmp_path / 'tradecap-data/log'}", create=True), some_messages(range(10)))
    with serving(tmp_path, "--host", host, "--no-auth") as served:
        port = served.target.rpartition(":")[2]
        for target in ("127.0.0.1", "[::1]") if host != "0.0.0.0" else ("127.0.0.1",):
            stub = market_pb2_grpc.MarketServiceStub(grpc.insecure_channel(f"{target}:{port}"))
            assert stub.ListSeries(pb.ListSeriesRequest(), wait_for_ready=True, timeout=WITHIN_S).series


def test_open_streams_are_finished_at_the_end(tmp_path: Path) -> None:
    """A deployment would hang, or its clients wouldn't know that they should connect again."""
    with captured(tmp_path), serving(tmp_path) as served:
        stub = asking(served)
        streams = [
            stub.StreamBars(pb.StreamBarsRequest(symbols=["BTCUSDT"], delivery=delivery))
            for delivery in ("DELIVERY_EVERY_TICK", "DELIVERY_LATEST")
        ]
        for stream in streams:
            next(stream)
        served.process.send_signal(signal.SIGTERM)
        for stream in streams:
            code, details = status_of(stream)
            assert code is grpc.StatusCode.UNAVAILABLE
            assert "connect again" in details
        assert served.process.wait(WITHIN_S) == 0


def test_a_server_that_is_killed_ends_its_streams(tmp_path: Path) -> None:
    """A client would wait forever."""
    with captured(tmp_path), serving(tmp_path) as served:
        stream = asking(served).StreamBars(pb.StreamBarsRequest(symbols=["BTCUSDT"]))
        next(stream)
        served.process.kill()
        assert status_of(stream)[0] is grpc.StatusCode.UNAVAILABLE


def test_streams_that_a_client_leaves_are_gone(tmp_path: Path) -> None:
    """Each client that goes would cost the others forever."""
    with captured(tmp_path) as further, serving(tmp_path, "--rate", "0") as served:
        stub = asking(served)
        streams = [
            stub.StreamBars(pb.StreamBarsRequest(symbols=["BTCUSDT"], delivery=pb.Delivery.Name(n % 3)))
            for n in range(60)
        ]
        for stream in streams:
            next(stream)
        assert b"tradecap_streams 60.0" in served.get("/metrics").body
        for stream in streams[1:]:
            stream.cancel()
        wait_for(lambda: b"tradecap_streams 1.0" in served.get("/metrics").body)
        further(110)
        assert next(streams[0]).bar.last_id == 100


class Chart:
    """A subscriber that reads, in the loop of all of them."""

    def __init__(self, stub: Any, delivery: str) -> None:
        self.last_id = -1
        self._stream = stub.StreamBars(pb.StreamBarsRequest(symbols=["BTCUSDT"], interval="1d", delivery=delivery))
        self.reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for update in self._stream:
            self.last_id = update.bar.last_id


async def ordeal(served: Served, log: Log, count: int) -> tuple[int, int]:
    """Trades for 90 subscribers that read and 10 that don't; memory before and after. Fails where one that reads
    doesn't follow."""
    async with AsyncExitStack() as stack:

        async def client(*options: tuple[str, int]) -> Any:
            return market_pb2_grpc.MarketServiceStub(
                await stack.enter_async_context(grpc.aio.insecure_channel(served.target, options=options))
            )

        deaf = []
        for n in range(10):
            stub = await client(*NARROW, ("number", n))
            deaf.append(stub.StreamBars(pb.StreamBarsRequest(symbols=["BTCUSDT"], interval="1d")))
            await deaf[-1].read()
        stub = await client()
        charts = [Chart(stub, "DELIVERY_EVERY_TICK" if n < 5 else "DELIVERY_LATEST") for n in range(90)]
        with log.writer() as writer:
            run, before = bring(writer, []), 0
            for since in range(10, count, 200):
                until = min(since + 200, count)
                bring(writer, [a_message(n, at_s=50 + n / 100) for n in range(since, until)], run)
                deadline_s = time.monotonic() + WITHIN_S
                while any(chart.last_id != until - 1 for chart in charts):
                    assert time.monotonic() < deadline_s, [chart.last_id for chart in charts]
                    await asyncio.sleep(0.01)
                before = before or memory(served)
        after = memory(served)
        for stream in deaf:
            code = await stream.code() if await drained(stream) else None
            assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
            # by either bound: on a slow machine the wait for its client ends first
            assert "read faster" in await stream.details()
        for chart in charts:
            chart.reading.cancel()
        return before, after


async def drained(stream: Any) -> bool:
    """Whether a stream has ended, once all that it holds is read."""
    try:
        while await asyncio.wait_for(stream.read(), WITHIN_S) is not grpc.aio.EOF:
            pass
    except grpc.RpcError:
        pass
    return bool(stream.done())


def test_subscribers_that_never_read_harm_nobody(tmp_path: Path) -> None:
    """Ten forgotten charts would slow the other ninety down, and take the memory of the process."""
    log = open_log(f"file:{tmp_path / 'tradecap-data/log'}", create=True)
    replayed(log, some_messages(range(10)))
    with serving(tmp_path, "--rate", "0") as served:
        before, after = asyncio.run(ordeal(served, log, 11_500))
        assert after - before < 80_000_000
        wait_for(lambda: b"tradecap_streams_cut_total 10.0" in served.get("/metrics").body)


def test_a_client_that_takes_nothing_is_cut(tmp_path: Path) -> None:
    """It would hold a stream forever: its updates end before the bound is reached."""
    log = open_log(f"file:{tmp_path / 'log'}", create=True)
    replayed(log, some_messages(range(10)))
    with joined(log, None) as answers:
        streams = Streams(answers, write_s=0.5)
        app = application(answers, AccessRules(), ConnectionLimits(100, 500), list, streams)[0]
        sockets, (listener,) = reserved("127.0.0.1", 0), bound("127.0.0.1", 0)
        rpc = RpcServer(MarketService(answers, streams, 0), sockets, "", None, list)
        is_over, has_begun = threading.Event(), threading.Event()
        thread = threading.Thread(
            target=serve,
            args=(app, [listener], ConnectionLimits(100, 500), is_over.is_set, None, has_begun.set, [streams, rpc]),
        )
        thread.start()
        try:
            assert has_begun.wait(WITHIN_S)
            stub = market_pb2_grpc.MarketServiceStub(grpc.insecure_channel(f"127.0.0.1:{rpc.port}", options=NARROW))
            stream = stub.StreamBars(pb.StreamBarsRequest(symbols=["BTCUSDT"], interval="1d"))
            next(stream)
            with log.writer() as writer:
                bring(writer, [a_message(n, at_s=60) for n in range(10, 3000)])
            wait_for(lambda: streams.cut > 0)
            wait_for(lambda: streams.open == 0)
            assert status_of(stream)[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
        finally:
            is_over.set()
            thread.join(WITHIN_S)
