"""One caller's connection: TLS, and how long a caller may take to say one thing.

Cheroot bounds each read. Here all reads of a handshake, and all of a request, have one deadline together: a caller that
sends a byte now and then keeps a worker no longer than one that sends nothing.
"""

from __future__ import annotations

import io
import json
import logging
import math
import socket
import ssl
import time
from typing import Any

from cheroot.server import HTTPConnection, HTTPRequest
from cheroot.ssl.builtin import BuiltinSSLAdapter

from quiesced.config import Listen

READ_LIMIT_S = 10.0
"""For one handshake, and for one request with its headers and body."""
SUSPECT_READ_LIMIT_S = 1.0
"""The same for an address that is shut out: enough for a release, and little of a worker's time for anything else."""
WRITE_LIMIT_S = 10.0

log = logging.getLogger(__name__)

_WORDS = {
    400: ("bad_http", "this is not an HTTP/1.1 request"),
    408: ("too_slow", "the request took too long to arrive"),
    413: ("too_large", "the headers are too large"),
    500: ("internal", "something unexpected; the daemon's log has it"),
    503: ("busy", "too many callers; try again"),
}
_REASONS = {400: "Bad Request", 408: "Request Timeout", 413: "Content Too Large", 500: "Internal Server Error"}
_SAME = {414: 413, 405: 400, 501: 400, 505: 400}


def error_body(code: str, message: str) -> bytes:
    """Write an error as hooks/PROTOCOL.md has it."""
    return json.dumps({"error": {"code": code, "message": message}}, ensure_ascii=False).encode()


class Socket(ssl.SSLSocket):
    """A TLS socket whose reads have a deadline together, on the monotonic clock."""

    read_by_s = math.inf

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        """Read, or raise socket.timeout when the deadline has passed."""
        self._set_time_left()
        return super().recv_into(buffer, nbytes, flags)

    def greet(self) -> None:
        """Shake hands by the deadline. Raises OSError."""
        self._set_time_left()
        self.do_handshake()

    def send(self, data: Any, flags: int = 0) -> int:
        """Write, however little was left for reading."""
        self.settimeout(WRITE_LIMIT_S)
        return super().send(data, flags)

    def closed_in_silence(self) -> bool:
        """Whether the caller hung up before it said anything, as a health check by TCP does."""
        try:
            return socket.socket.recv(self, 1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except OSError:
            return False

    def _set_time_left(self) -> None:
        left_s = self.read_by_s - time.monotonic()
        if left_s <= 0:
            raise socket.timeout("timed out")
        self.settimeout(None if math.isinf(left_s) else left_s)


class Tls(BuiltinSSLAdapter):
    """TLS 1.2 or newer, with a handshake in the worker's thread.

    Cheroot shakes hands in the thread that accepts, where one caller that connects and says nothing keeps everybody
    else waiting: the release, too.
    """

    def __init__(self, listen: Listen) -> None:
        super().__init__(str(listen.certificate), str(listen.private_key))
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.sslsocket_class = Socket
        if listen.client_ca:
            self.context.load_verify_locations(cafile=str(listen.client_ca))
            self.context.verify_mode = ssl.CERT_REQUIRED

    def wrap(self, sock: Any) -> tuple[ssl.SSLSocket, dict[str, str]]:
        """Wrap a socket that was accepted; says and reads nothing yet."""
        return self.context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False), {}


class Request(HTTPRequest):
    """A request whose refusal, where it is no HTTP that we speak, is JSON and counted like every other.

    Its answer is sent in one piece, head and body: the caller is woken once, and writers wait for what it does then.
    """

    _head = b""

    def simple_response(self, status: Any, msg: Any = "") -> None:
        """Refuse in the words of hooks/PROTOCOL.md, and close."""
        number = int(str(status)[:3])
        number = _SAME.get(number, number)
        code, message = _WORDS.get(number, _WORDS[400])
        body = error_body(code, message)
        head = f"HTTP/1.1 {number} {_REASONS.get(number, 'Refused')}\r\nContent-Type: application/json\r\n"
        head += f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        self.close_connection = True
        self.sent_headers = True
        self.conn.refused(number, code)
        self.conn.wfile.write(head.encode() + body)

    def send_headers(self) -> None:
        """Keep them for the body, and read nothing more where they say that the connection is closed."""
        if (b"Connection", b"close") in self.outheaders:
            self.close_connection = True
        wfile, self.conn.wfile = self.conn.wfile, io.BytesIO()
        try:
            super().send_headers()
            self._head = self.conn.wfile.getvalue()
        finally:
            self.conn.wfile = wfile

    def write(self, chunk: bytes) -> None:
        """Send a body, which has its length in the headers, with what was kept."""
        head, self._head = self._head, b""
        super().write(head + chunk)

    def respond(self) -> None:
        """Answer, with headers alone where there is no body."""
        super().respond()
        if self._head:
            self.write(b"")


class Connection(HTTPConnection):
    """A connection that shakes hands before its first request. ``awaited``: it was watched for its first bytes."""

    RequestHandlerClass = Request
    awaited = False
    _greeted = False

    def communicate(self) -> bool:
        """Shake hands, or answer one request; False when the connection is to be closed."""
        shut_out = self.server.peers.shut_out_s(self.remote_addr) > 0
        limit_s = min(SUSPECT_READ_LIMIT_S, self.server.read_limit_s) if shut_out else self.server.read_limit_s
        self.socket.read_by_s = time.monotonic() + limit_s
        if self._greeted:
            return bool(super().communicate())  # type: ignore[no-untyped-call]
        # Back to be watched for a first request, unless it has come already: whoever says no more keeps no worker.
        return self._greet() and (not self.socket.pending() or bool(super().communicate()))  # type: ignore[no-untyped-call]

    def refused(self, status: int, code: str) -> None:
        """Note a request that is no HTTP, or came too slowly."""
        log.info("a request was refused", extra={"remote": self.remote_addr, "status": status, "code": code})
        self.server.note_refused(self.remote_addr, status, code)

    def _greet(self) -> bool:
        if self.socket.closed_in_silence():
            return False
        try:
            self.socket.greet()
        except OSError as error:
            log.info("a TLS handshake failed", extra={"remote": self.remote_addr, "reason": str(error)})
            self.server.note_refused(self.remote_addr, 0, "handshake")
            return False
        self._greeted = True
        return True
