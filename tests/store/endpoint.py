"""A small HTTP endpoint that runs its queries on embedded ClickHouse: the real client talks to it over a real socket.

It is a test part, never a product part. It proves URLs, authentication, parameters, inserts and error texts, not
sessions, roles or replication. Run: python -m tests.store.endpoint FOLDER [ZONE [PORT]]: it prints its port. TZ is the
zone of the server; ZONE that of its sessions.
"""

import os
import re
import sys
import tempfile
import threading
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

from chdb import connect

USER, PASSWORD = "user", "pass word"
SHORT_CIRCUIT = "short_circuit_function_evaluation"
INPUT = re.compile(rb"\bFROM input\(('[^']*')\).*?\bFORMAT (\w+)\n", re.DOTALL)
"""An INSERT with data: the columns it reads, and their format."""


def decoded(part: Message) -> str:
    """The text of a field of a form."""
    text = part.get_payload(decode=True)
    assert isinstance(text, bytes)
    return text.decode()


class Endpoint(BaseHTTPRequestHandler):
    """Answers as ClickHouse's HTTP interface does, as far as clickhouse-connect asks."""

    protocol_version = "HTTP/1.1"
    folder: ClassVar[str]
    zone: ClassVar[str] = ""
    one_at_a_time: ClassVar[threading.Lock] = threading.Lock()

    def do_GET(self) -> None:
        self.answer(b"")

    def do_POST(self) -> None:
        self.answer(
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if "Content-Length" in self.headers
            else self.chunks()
        )

    def chunks(self) -> bytes:
        """A chunked body."""
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def answer(self, body: bytes) -> None:
        """Run the query of URL and body."""
        asked = {
            name: values[0] for name, values in parse_qs(urlsplit(self.path).query, keep_blank_values=True).items()
        }
        kind = self.headers.get("Content-Type", "")
        if kind.startswith("multipart/form-data"):  # long parameters come as the fields of a form
            form = message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
            asked |= {
                str(part.get_param("name", header="content-disposition")): decoded(part)
                for part in form.walk()
                if not part.is_multipart()
            }
            body = b""
        if not self.is_known():
            return self.reply(
                403,
                b"Code: 516. DB::Exception: Authentication failed: password is incorrect. (AUTHENTICATION_FAILED)",
                "516",
            )
        try:
            with self.one_at_a_time:
                found = self.run(asked, body)
        except Exception as error:  # noqa: BLE001 -- whatever the engine says goes back over the wire
            if "Shutdown was called" in str(error):  # chdb's own: a Kafka table is made all the same
                return self.reply(200, b"")
            code = re.search(r"Code: (\d+)", str(error))
            return self.reply(404 if code and code[1] == "81" else 500, str(error).encode(), code[1] if code else "1")
        return self.reply(200, found)

    def is_known(self) -> bool:
        """Basic authentication, or the client's own headers. A user named by the hexadecimal digits of a password has
        that password."""
        import base64

        given = base64.b64decode(self.headers.get("Authorization", "Basic ").removeprefix("Basic ")).decode()
        user, _, password = given.partition(":")
        return given == f"{USER}:{PASSWORD}" or user == password.encode().hex() != ""

    def run(self, asked: dict[str, str], body: bytes) -> bytes:
        """The query is in the URL and goes on in the body, there with its data behind the line that names their
        format."""
        text = b"\n".join(part for part in (asked.get("query", "").encode(), body) if part)
        sent = INPUT.search(text)
        statement, data = (text[: sent.end()], text[sent.end() :]) if sent else (text, b"")
        parameters = {name.removeprefix("param_"): value for name, value in asked.items() if name.startswith("param_")}
        connection = connect(self.folder)  # type: ignore[no-untyped-call]  # chdb has no types
        try:
            if database := asked.get("database"):
                connection.query(f"USE `{database}`")
            if self.zone:
                connection.query(f"SET session_timezone = '{self.zone}'")
            for name in (
                "max_partitions_per_insert_block",
                "optimize_on_insert",
                "log_comment",
                "max_execution_time",
                "readonly",
                SHORT_CIRCUIT,
            ):
                if name in asked:
                    connection.query(f"SET {name} = '{asked[name]}'")
            with tempfile.NamedTemporaryFile(suffix=".body") as spill:
                spill.write(data)
                spill.flush()
                query = statement.decode(errors="surrogateescape")
                if sent:
                    form = sent[2].decode()
                    query = re.sub(r"input\(('[^']*')\)", rf"file('{spill.name}', '{form}', \1)", query).removesuffix(
                        f"FORMAT {form}\n"
                    )
                result = connection.query(query, asked.get("default_format", "TabSeparated"), params=parameters)
            return bytes(result.bytes() or b"")
        finally:
            connection.close()

    def reply(self, status: int, body: bytes, code: str = "") -> None:
        """One whole answer."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-ClickHouse-Summary", "{}")
        self.send_header("X-ClickHouse-Timezone", self.zone or os.environ.get("TZ") or "UTC")
        if code:
            self.send_header("X-ClickHouse-Exception-Code", code)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
        """Quiet."""


def main(folder: str, zone: str = "", port: str = "0") -> None:
    """Serve until killed."""
    Endpoint.folder, Endpoint.zone = folder, zone
    # the engine lives as long as one handle is open
    holding = connect(folder)  # type: ignore[no-untyped-call]  # chdb has no types
    server = ThreadingHTTPServer(("127.0.0.1", int(port)), Endpoint)
    print(server.server_port, flush=True)
    try:
        server.serve_forever()
    finally:
        holding.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
