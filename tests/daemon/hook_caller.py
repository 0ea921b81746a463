"""A small caller of the hook: raw TLS and HTTP/1.1 with the standard library, signed or not."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

import trustme

from quiesced.auth import Gate, sign
from quiesced.config import Listen
from quiesced.connection import READ_LIMIT_S
from quiesced.peers import Peers
from quiesced.server import App, HookServer, Keeper
from quiesced.tally import Tally

KEY_ID, SECRET = "k1", b"a secret that the tests share"
KEYS = {KEY_ID: SECRET}


@dataclass
class Site:
    """A certificate authority with one server certificate for 127.0.0.1."""

    directory: Path
    authority: trustme.CA = field(default_factory=trustme.CA)

    def listen(self, client_ca: Path | None = None) -> Listen:
        """Write the files of a listening daemon; the port is any free one."""
        issued = self.authority.issue_cert("127.0.0.1")
        certificate, private_key = self.directory / "server.pem", self.directory / "server.key"
        certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        private_key.touch(mode=0o600)
        issued.private_key_pem.write_to_path(str(private_key))
        return Listen("127.0.0.1", 0, certificate, private_key, client_ca)

    def context(self) -> ssl.SSLContext:
        """TLS settings of a caller that trusts this authority and has no certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.authority.configure_trust(context)
        return context


@contextmanager
def serving(
    keeper: Keeper,
    listen: Listen,
    *,
    keys: Mapping[str, bytes] = KEYS,
    tally: Optional[Tally] = None,
    peers: Optional[Peers] = None,
    read_limit_s: float = READ_LIMIT_S,
) -> Iterator[int]:
    """Serve until the block ends; gives the port."""
    server = HookServer(listen, App(keeper, Gate(keys), tally=tally, peers=peers), read_limit_s=read_limit_s)
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server.port
    finally:
        server.stop()
        thread.join(10)


@contextmanager
def connected(port: int, context: ssl.SSLContext) -> Iterator[http.client.HTTPSConnection]:
    """One keep-alive connection."""
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=20)
    connection.connect()
    # As the function's client does it; what is under test is the server's side.
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        yield connection
    finally:
        connection.close()


def ask(
    connection: http.client.HTTPSConnection, method: str, path: str, body: bytes = b"", *, signed: bool = True
) -> tuple[int, Any]:
    """Send one request and return status and answer."""
    headers = {"Content-Length": str(len(body))} if body else {}
    if signed:
        headers.update(sign(KEY_ID, SECRET, method, path, body).headers())
    connection.request(method, path, body or None, headers)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())
