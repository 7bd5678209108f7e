"""The HTTP connections of a store on a server, opened the way every connection of tradecap is (dialing.py).

Rule: urllib3 and clickhouse-connect never choose a proxy or an address by themselves. For plain HTTP through an HTTP
proxy urllib3 is given the proxy's address and login; every other connection is made here. Errors are worded here, since
theirs quote pools and URLs.
"""

import socket
from contextlib import suppress
from typing import Final

from clickhouse_connect.driver.httputil import get_pool_manager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NewConnectionError
from urllib3.poolmanager import PoolManager
from urllib3.response import HTTPResponse

from tradecap.dialing import ProxyError, dial, dial_proxy, refusal, why
from tradecap.proxies import Proxy

CONNECT_S: Final = 10.0
_OWN_HEADER: Final = "x-clickhouse-"
"""ClickHouse sends such headers with every answer, so an error without them is the proxy's."""


class NoConnectionError(NewConnectionError):
    """The error of dialing.py; hint is '' where there is none of its own."""

    def __init__(self, connection: HTTPConnection, error: OSError) -> None:
        self.why = str(error) if isinstance(error, ProxyError) else why(error)
        self.hint = error.hint if isinstance(error, ProxyError) else ""
        super().__init__(connection, self.why)


def pool(proxy: Proxy | None, *, is_secure: bool) -> PoolManager:
    """The connections of one store."""

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return _opened(self, proxy)

        def getresponse(self) -> HTTPResponse:  # type: ignore[override] # as in urllib3, whose answer isn't http.client's
            answer = super().getresponse()
            if (
                self.proxy
                and proxy
                and answer.status >= 400
                and not any(name.lower().startswith(_OWN_HEADER) for name in answer.headers)
            ):
                answer.close()
                raise NoConnectionError(self, refusal(proxy, answer.status, "the store"))
            return answer

    class Secure(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return _opened(self, proxy)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    if proxy and not proxy.is_socks and not is_secure:
        manager: PoolManager = get_pool_manager(http_proxy=f"http://{proxy.name}", proxy_headers=proxy.headers)
    else:
        manager = get_pool_manager()
    manager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}
    return manager


def no_connection(error: BaseException) -> NoConnectionError | None:
    """The reason behind what the client raised, where it is that no connection came about."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, NoConnectionError):
        seen = seen.__cause__ or seen.__context__
    return seen


def _opened(connection: HTTPConnection, proxy: Proxy | None) -> socket.socket:
    within_s = float(connection.timeout or CONNECT_S) if isinstance(connection.timeout, int | float) else CONNECT_S
    try:
        opened = (
            dial_proxy(proxy, within_s)
            if proxy and connection.proxy
            else dial(connection.host, connection.port, within_s, proxy)
        )
    except OSError as error:
        raise NoConnectionError(connection, error) from error
    opened.settimeout(within_s)
    for option in connection.socket_options or ():
        with suppress(OSError):  # a relay has none of TCP's
            opened.setsockopt(*option)
    return opened
