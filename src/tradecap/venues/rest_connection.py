"""One HTTP connection to a venue, opened the way every connection of tradecap is (dialing.py).

Rule: plain HTTP through an HTTP proxy names the whole URL in its request, as proxies expect; all else goes through a
tunnel or directly.
"""

import http.client
import ssl
from urllib.parse import SplitResult

from tradecap.dialing import dial, dial_proxy, refusal
from tradecap.proxies import Proxy


class RestConnection(http.client.HTTPConnection):
    """A connection to the host of base. tls None: plain. first: which of its addresses to begin with."""

    def __init__(
        self, base: SplitResult, timeout_s: float, tls: ssl.SSLContext | None, proxy: Proxy | None, first: int
    ) -> None:
        self._name, self._within_s, self._tls, self._proxy, self._first = (
            base.hostname or "",
            timeout_s,
            tls,
            proxy,
            first,
        )
        self._forwards = proxy is not None and not proxy.is_socks and tls is None
        self.default_port = 443 if tls else 80  # the Host header leaves it out
        self.prefix = f"{base.scheme}://{base.netloc}" if self._forwards else ""
        """What comes before the path in a request."""
        self.headers = proxy.headers if proxy and self._forwards else {}
        """What each request tells the proxy."""
        super().__init__(self._name, base.port or self.default_port, timeout=timeout_s)

    def connect(self) -> None:
        """Open it."""
        if self._proxy and self._forwards:
            connection = dial_proxy(self._proxy, self._within_s)
        else:
            connection = dial(self._name, self.port, self._within_s, self._proxy, self._first)
        connection.settimeout(self._within_s)
        try:
            self.sock = self._tls.wrap_socket(connection, server_hostname=self._name) if self._tls else connection
        except BaseException:
            connection.close()
            raise

    def check(self, answer: http.client.HTTPResponse) -> None:
        """Raise ProxyError for an answer that is the proxy's and not the venue's."""
        if self._proxy and self._forwards and answer.status == http.client.PROXY_AUTHENTICATION_REQUIRED:
            raise refusal(self._proxy, answer.status, self._name)
