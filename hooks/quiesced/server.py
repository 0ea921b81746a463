"""The hook's HTTP side: cheroot over TLS, a handful of routes, every error as JSON (hooks/PROTOCOL.md).

The application below knows messages and signatures; what happens to the instance is the keeper's business.
"""

from __future__ import annotations

import logging
import math
import socket
import time
from collections.abc import Iterable, Iterator
from typing import Any, Callable, Protocol

from cheroot import wsgi

from quiesced import decode, metrics
from quiesced.auth import RELEASE_PATH, Gate, Signed
from quiesced.config import Listen
from quiesced.connection import READ_LIMIT_S, Connection, Tls, error_body
from quiesced.errors import RequestRefused
from quiesced.messages import (
    CheckAnswer,
    CheckRequest,
    QuiesceAnswer,
    QuiesceRequest,
    ReleaseAnswer,
    ReleaseRequest,
    StatusAnswer,
)
from quiesced.peers import Peers
from quiesced.tally import Tally

MAX_BODY_BYTES = 65_536
MAX_HEADER_BYTES = 16_384
THREADS = 16
"""More than one run needs: a release must find a free one while a quiesce waits."""
BACKLOG = 128
"""Cheroot's 5 makes a caller behind a burst wait a second for its next SYN."""
IDLE_TIMEOUT_S = 60
"""A connection is opened by check and used again by release: whatever the function does in between must fit."""

_REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    411: "Length Required",
    413: "Content Too Large",
    429: "Too Many Requests",
    500: "Internal Server Error",
}

_FAILURES = frozenset({0, 400, 401, 408, 411, 413})
"""What counts against an address; 0 is a handshake. A caller that only asks for a wrong path is lost, not hostile."""
_UNREAD = frozenset({408, 411, 413})
"""Statuses after which a part of the body may be left unread, so that the connection cannot be used again."""

log = logging.getLogger(__name__)

_JSON = "application/json"
Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], object]


class Keeper(Protocol):
    """What the server asks of the keeper."""

    def check(self, request: CheckRequest) -> CheckAnswer:
        """Say what a hold would cover."""

    def prepare(self, request: QuiesceRequest) -> QuiesceAnswer:
        """Do everything slow for a hold, and hold nothing yet."""

    def quiesce(self, request: QuiesceRequest) -> QuiesceAnswer:
        """Hold, or refuse and hold nothing."""

    def release(self, request: ReleaseRequest) -> ReleaseAnswer:
        """Let go."""

    def status(self) -> StatusAnswer:
        """Say what is held now."""


class App:
    """The WSGI application."""

    def __init__(self, keeper: Keeper, gate: Gate, *, tally: Tally | None = None, peers: Peers | None = None) -> None:
        """``tally`` is where the keeper counts its holds."""
        self.peers = peers or Peers()
        self._keeper = keeper
        self._gate = gate
        self._tally = tally or Tally()
        self._open: dict[str, tuple[str, Callable[[], bytes]]] = {
            "/healthz": ("application/json", lambda: b'{"ok":true}'),
            "/metrics": (metrics.CONTENT_TYPE, metrics.Metrics(keeper.status, self._tally).text),
        }
        self._routes: dict[str, tuple[str, Callable[[bytes], decode.Answer]]] = {
            "/v1/check": ("POST", lambda body: keeper.check(decode.check_request(body))),
            "/v1/prepare": ("POST", lambda body: self._hold(keeper.prepare, body)),
            "/v1/quiesce": ("POST", lambda body: self._hold(keeper.quiesce, body)),
            RELEASE_PATH: ("POST", lambda body: keeper.release(decode.release_request(body))),
            "/v1/status": ("GET", lambda _: keeper.status()),
        }

    @property
    def paths(self) -> tuple[str, ...]:
        """Every path that takes a signed request."""
        return tuple(self._routes)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        started_s = time.monotonic()
        status, code, type_, body = self._respond(environ)
        headers = [("Content-Type", type_), ("Content-Length", str(len(body)))]
        if status in _UNREAD:
            headers.append(("Connection", "close"))
        if status == 429:
            headers.append(("Retry-After", str(math.ceil(self.peers.shut_out_s(environ["REMOTE_ADDR"])))))
        start_response(f"{status} {_REASONS[status]}", headers)
        return _and_then(body, lambda: _log_request(environ, status, code, time.monotonic() - started_s))

    def note_refused(self, address: str, status: int, code: str) -> None:
        """Count a request that was refused for its form, and hold it against its address where it was a failure."""
        self._tally.request_refused(code)
        if status in _FAILURES:
            self.peers.failed(address)

    def _respond(self, environ: Environ) -> tuple[int, str, str, bytes]:
        try:
            return 200, "", *self._answer(environ)
        except RequestRefused as error:
            self.note_refused(environ["REMOTE_ADDR"], error.status, error.code)
            return error.status, error.code, _JSON, error_body(error.code, str(error))
        except Exception:  # whatever it is, the caller gets an answer and the log has the rest
            log.exception("a request failed", extra={"path": environ["REQUEST_URI"][:200]})
            self._tally.request_refused("internal")
            return 500, "internal", _JSON, error_body("internal", "something unexpected; the daemon's log has it")

    def _answer(self, environ: Environ) -> tuple[str, bytes]:
        # As it was sent and signed: PATH_INFO has percent signs decoded and the query cut off.
        path, method = environ["REQUEST_URI"], environ["REQUEST_METHOD"]
        if path in self._open:
            _insist_on_method(method, "GET")
            type_, text = self._open[path]
            return type_, text()
        if path not in self._routes:
            raise RequestRefused(404, "unknown_path", "no such path; see hooks/PROTOCOL.md")
        expected, answer = self._routes[path]
        _insist_on_method(method, expected)
        body = _read_body(environ)
        if path != RELEASE_PATH:
            self._insist_on_few_failures(environ["REMOTE_ADDR"])
        self._gate.admit(method, path, _signed(environ), body)
        return _JSON, decode.encode(answer(body))

    def _insist_on_few_failures(self, address: str) -> None:
        left_s = self.peers.shut_out_s(address)
        if left_s:
            message = f"too many requests from this address were refused; ask again in {math.ceil(left_s)} s"
            raise RequestRefused(429, "too_many_failures", message)

    def _hold(self, ask: Callable[[QuiesceRequest], QuiesceAnswer], body: bytes) -> QuiesceAnswer:
        answer = ask(decode.quiesce_request(body))
        if answer.refusal:
            self._tally.hold_refused(answer.refusal.code)
        return answer


class HookServer:
    """The listening daemon. Raises OSError when the address cannot be bound or a certificate cannot be read."""

    def __init__(self, listen: Listen, app: App, *, read_limit_s: float = READ_LIMIT_S) -> None:
        """``read_limit_s`` bounds the reading of one handshake, and of one request."""
        self._server = _Server((listen.host, listen.port), app, numthreads=THREADS, server_name="quiesced")
        self._server.request_queue_size = BACKLOG
        self._server.timeout = IDLE_TIMEOUT_S
        self._server.max_request_header_size = MAX_HEADER_BYTES
        self._server.keep_alive_conn_limit = 64
        self._server.shutdown_timeout = 2
        self._server.ssl_adapter = Tls(listen)
        self._server.ConnectionClass = Connection
        self._server.peers = app.peers
        self._server.read_limit_s = read_limit_s
        self._server.note_refused = app.note_refused
        self._server.prepare()

    @property
    def port(self) -> int:
        """The port that is bound; the configured one, unless that is 0."""
        return int(self._server.bind_addr[1])

    def serve(self) -> None:
        """Serve until ``stop`` is called from another thread."""
        self._server.serve()

    def stop(self) -> None:
        """Stop listening and end the workers, within a few seconds."""
        self._server.stop()


class _Server(wsgi.Server):
    """Cheroot's server, with its messages in our log instead of on standard error."""

    peers: Peers
    read_limit_s: float
    note_refused: Callable[[str, int, str], None]

    def process_conn(self, conn: Connection) -> None:
        """Give a connection to a worker once it has said something: silent callers take no worker from others."""
        if conn.awaited:
            super().process_conn(conn)
        else:
            conn.awaited = True
            self.put_conn(conn)

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
        log.log(level, "%s", msg, exc_info=traceback)


def _insist_on_method(method: str, expected: str) -> None:
    if method != expected:
        raise RequestRefused(405, "wrong_method", f"this path takes {expected} only")


def _read_body(environ: Environ) -> bytes:
    if environ["REQUEST_METHOD"] == "GET" and "CONTENT_LENGTH" not in environ:
        return b""
    length = environ.get("CONTENT_LENGTH") or ""
    if not length.isdigit() or "HTTP_TRANSFER_ENCODING" in environ:
        raise RequestRefused(411, "length_required", "send the body with a Content-Length, not in chunks")
    if int(length) > MAX_BODY_BYTES:
        raise RequestRefused(413, "too_large", f"a body may have {MAX_BODY_BYTES} bytes")
    try:
        body: bytes = environ["wsgi.input"].read(int(length))
    except socket.timeout as error:
        raise RequestRefused(408, "too_slow", "the body took too long to arrive") from error
    except OSError:
        body = b""
    if len(body) != int(length):
        raise RequestRefused(400, "bad_json", "the body ended early")
    return body


def _signed(environ: Environ) -> Signed:
    names = ("KEY", "TIMESTAMP", "NONCE", "SIGNATURE")
    return Signed(*(environ.get(f"HTTP_X_QUIESCE_{name}", "") for name in names))


def _and_then(body: bytes, log_it: Callable[[], None]) -> Iterator[bytes]:
    """Answer before anything is logged: a caller that has just been given its hold has writers waiting."""
    try:
        yield body
    finally:
        log_it()


def _log_request(environ: Environ, status: int, code: str, elapsed_s: float) -> None:
    facts = {
        "method": environ["REQUEST_METHOD"][:16],
        "path": environ["REQUEST_URI"][:200],
        "status": status,
        "code": code,
        "remote": environ["REMOTE_ADDR"],
        "elapsed_s": round(elapsed_s, 4),
    }
    log.info("request", extra=facts)
