"""The handshake of a WebSocket (RFC 6455 §4): the response that opens it, or the answer that refuses it. Pure."""

from http import HTTPStatus
from typing import Final

import h11
from websockets.datastructures import Headers
from websockets.http11 import Request
from websockets.server import ServerProtocol

from tradecap.simulate.rest import HttpAnswer

VERSION: Final = "13"


def handshake(request: h11.Request, target: str) -> bytes | HttpAnswer:
    """The bytes that open a WebSocket, or the refusal."""
    headers = Headers([(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers])
    if request.method != b"GET":
        return HttpAnswer(405, b"<html><body>a WebSocket is opened by GET</body></html>", (("Allow", "GET"),))
    if request.http_version < b"1.1":
        return HttpAnswer(400, b"<html><body>a WebSocket needs HTTP/1.1</body></html>")
    versions = headers.get_all("Sec-WebSocket-Version")
    if versions and versions != [VERSION]:
        more = (("Upgrade", "websocket"), ("Sec-WebSocket-Version", VERSION))
        return HttpAnswer(
            426, b"<html><body>this exchange supports version 13 of the WebSocket protocol</body></html>", more
        )
    response = ServerProtocol().accept(Request(target, headers))
    if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
        return HttpAnswer(response.status_code, bytes(response.body or b""))
    return response.serialize()
