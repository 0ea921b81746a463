"""No secret leaves the daemon: not in an answer, a log line, a metric, or what its commands print."""

from __future__ import annotations

import http.client
import socket
from pathlib import Path

import pytest

from quiesced.auth import sign
from tests.daemon.hook_caller import KEY_ID, SECRET, connected
from tests.daemon.test_cli import Host, host

ROOT = Path(__file__).parents[2]
PASSWORD = "the password of the database account"
MESSAGES = ROOT / "hooks" / "messages"
CHECK, QUIESCE, RELEASE = ((MESSAGES / f"{name}-request.json").read_bytes() for name in ("check", "quiesce", "release"))
__all__ = ["host"]  # the fixture

Call = tuple[str, str, bytes, bytes]
"""Method, path, body, and the secret that it is signed with."""


@pytest.fixture
def with_password(host: Host) -> Host:
    """Give the host a database that is not there, so that connecting to it fails with all its circumstances."""
    password = host.directory / "orders.password"
    password.touch(mode=0o600)
    password.write_text(PASSWORD)
    table = f'name = "db"\nengine = "mysql"\nsocket = "/nowhere.sock"\nuser = "u"\npassword_file = "{password}"'
    host.config.write_text(f"{host.config.read_text()}\n[[application]]\n{table}\n")
    return host


def secrets(host: Host) -> list[str]:
    """Return every secret of the host; of the private key, each line by itself."""
    key = [line for line in (host.directory / "server.key").read_text().splitlines() if "KEY-----" not in line]
    assert key
    return [SECRET.decode(), PASSWORD, *key]


def session(host: Host) -> str:
    """Do everything that a caller can do right and wrong; return all that was answered."""
    calls = [
        *((method, path, body, SECRET) for method, path, body in _right()),
        ("POST", "/v1/check", CHECK, b"a secret that is wrong"),
        ("POST", "/v1/check", SECRET, SECRET),
        ("POST", "/v1/check", b'{"protocol": 1, "' + SECRET + b'": 1}', b"a secret that is wrong"),
        ("POST", "/v1/nowhere", CHECK, SECRET),
        ("PUT", "/v1/check", CHECK, SECRET),
    ]
    heard = [_ask(host, *call) for call in calls]
    with socket.create_connection(("127.0.0.1", host.port), 5) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
        heard.append(plain.recv(4096).decode(errors="replace"))
    return "\n".join(heard)


def _right() -> list[tuple[str, str, bytes]]:
    posts = [("POST", f"/v1/{name}", body) for name, body in (("check", CHECK), ("quiesce", QUIESCE), ("release", RELEASE))]
    return [*posts, ("GET", "/v1/status", b""), ("GET", "/healthz", b""), ("GET", "/metrics", b"")]


def _ask(host: Host, method: str, path: str, body: bytes, secret: bytes) -> str:
    with connected(host.port, host.site.context()) as connection:
        connection.request(method, path, body or None, sign(KEY_ID, secret, method, path, body).headers())
        answer: http.client.HTTPResponse = connection.getresponse()
        return f"{answer.status} {answer.headers} {answer.read().decode()}"


def test_no_secret_is_in_any_answer_log_line_or_metric(with_password: Host) -> None:
    host = with_password
    with host.daemon():
        heard = session(host)
        printed = [host.run(*argv) for argv in (("status",), ("check",), ("release", "lease-1"), ("heal",))]
    (host.directory / "hook.key").chmod(0o644)
    printed.append(host.run("check"))
    everything = "\n".join([heard, (host.directory / "log").read_text(), *(done.stdout + done.stderr for done in printed)])
    for shown in ("application_unreachable", "bad_signature", "bad_json", "quiesced_held", "chmod 0600"):
        assert shown in everything  # the session went where secrets could have been shown
    assert [secret for secret in secrets(host) if secret in everything] == []
