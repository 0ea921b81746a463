"""Asking a hook daemon: signed JSON over TLS (hooks/PROTOCOL.md). Implements ports.Agent."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec
import urllib3

from quiesce import holds
from quiesce.adapters.again import Again
from quiesce.budget import CHECK_ATTEMPTS, prepare_timeout_s, quiesce_timeout_s, release_window_s
from quiesce.errors import AgentError
from quiesce.model import Limits
from quiesce.settings import HookSettings
from quiesce.variables import Key

MAX_ANSWER_BYTES = 1_048_576
RELEASE_PAUSE_S, MOST_PAUSE_S = 0.02, 1.0
"""Before a release is asked again; twice as long each time, up to the most."""
_OK = 200

A = TypeVar("A", holds.CheckAnswer, holds.QuiesceAnswer, holds.ReleaseAnswer)


class _Error(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    code: str
    message: str


class _Refused(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the daemon answers to a request that it refuses for its form."""

    error: _Error


class HookClient:
    """The daemon of one instance; every method raises AgentError and nothing else. Not for two threads at a time.

    ``check`` opens a connection that ``quiesce`` and ``release`` use again; when it broke meanwhile, ``release`` opens
    another. It is urllib3's, which asks in half the time of requests, while writers wait; it reads nothing of the
    environment (proxies, ~/.netrc, other CAs), and its default is TCP_NODELAY, so nothing waits for an acknowledgement.
    """

    def __init__(self, address: str, settings: HookSettings, limits: Limits, now: Callable[[], float] = time.time) -> None:
        """Connect nowhere yet. ``now``: seconds since 1970 in UTC, for the signature alone."""
        self._base = f"https://{address}:{settings.port}"
        self._settings = settings
        self._limits = limits
        self._now = now
        self._pool = urllib3.HTTPSConnectionPool(
            address,
            settings.port,
            ca_certs=str(settings.ca),
            cert_reqs="CERT_REQUIRED",
            cert_file=_path(settings.client_certificate),
            key_file=_path(settings.client_key),
            retries=False,
        )

    def close(self) -> None:
        """Close the connection."""
        self._pool.close()

    def check(self, request: holds.CheckRequest) -> holds.CheckAnswer:
        """Ask what a hold would cover; asked once more when the answer was lost."""
        again = Again(attempts=CHECK_ATTEMPTS, wait_initial_s=0.2, wait_max_s=1.0, wait_jitter_s=0.2)
        timeout_s = self._settings.timeout_s
        return again.call(_may_ask_again, lambda: self._post("/v1/check", request, holds.CheckAnswer, timeout_s))

    def prepare(self, request: holds.QuiesceRequest) -> holds.QuiesceAnswer:
        """Have everything slow done, exactly once."""
        return self._post("/v1/prepare", request, holds.QuiesceAnswer, prepare_timeout_s(self._settings))

    def quiesce(self, request: holds.QuiesceRequest) -> holds.QuiesceAnswer:
        """Ask for the hold, exactly once."""
        timeout_s = quiesce_timeout_s(request.acquire_limit_s, self._settings)
        return self._post("/v1/quiesce", request, holds.QuiesceAnswer, timeout_s)

    def release(self, request: holds.ReleaseRequest) -> holds.ReleaseAnswer:
        """Let go; asked until it is answered, or until the hold's own limit has certainly passed.

        Not by ``Again``: writers wait, and it would load a library first.
        """
        ends_s, pause_s = time.monotonic() + release_window_s(self._limits), RELEASE_PAUSE_S
        while True:
            try:
                return self._post("/v1/release", request, holds.ReleaseAnswer, self._settings.timeout_s)
            except AgentError as error:
                left_s = ends_s - time.monotonic()
                if error.answered or left_s <= 0:
                    raise
            time.sleep(min(pause_s, left_s))
            pause_s = min(2 * pause_s, MOST_PAUSE_S)

    def _post(self, path: str, request: holds.Message, kind: type[A], timeout_s: float) -> A:
        body = msgspec.json.encode(request)
        nonce = secrets.token_urlsafe(24)
        headers = {
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
            **signature_headers(self._settings.key, "POST", path, body, timestamp=str(int(self._now())), nonce=nonce),
        }
        try:
            status, answer = self._send(path, headers, body, timeout_s)
        except (OSError, urllib3.exceptions.HTTPError) as error:  # the first in reading the PEM files
            raise AgentError(f"{self._base}{path} gave no answer: {error}", answered=False) from error
        if status != _OK:
            raise self._refused(path, status, answer)
        try:
            return msgspec.json.decode(answer, type=kind)
        except ValueError as error:  # msgspec's errors, and UnicodeDecodeError
            raise AgentError(
                f"{self._base}{path} answered what protocol 1 does not know ({error}); "
                "run releases of function and daemon that speak the same protocol",
                answered=False,
            ) from error

    def _send(self, path: str, headers: dict[str, str], body: bytes, timeout_s: float) -> tuple[int, bytes]:
        """Send once and read the answer. ``timeout_s`` bounds each wait for bytes; connecting has the settings' own."""
        response = self._pool.urlopen(
            "POST",
            path,
            body=body,
            headers=headers,
            timeout=urllib3.Timeout(connect=self._settings.timeout_s, read=timeout_s),
            redirect=False,
            preload_content=False,
        )
        answer = response.read(MAX_ANSWER_BYTES + 1)
        if len(answer) > MAX_ANSWER_BYTES:
            response.close()
            raise urllib3.exceptions.ResponseError(f"more than {MAX_ANSWER_BYTES} bytes")
        return response.status, answer

    def _refused(self, path: str, status: int, answer: bytes) -> AgentError:
        """Translate an answer other than 200. Only a 4xx in the daemon's own words says that nothing was changed."""
        try:
            error = msgspec.json.decode(answer, type=_Refused).error
        except ValueError:
            return AgentError(f"{self._base}{path} answered HTTP {status}, not as a hook does", answered=False)
        words = f"{error.code}: {error.message}"
        return AgentError(f"{self._base}{path} refused the request: {words}", answered=400 <= status < 500)


def signature_headers(key: Key, method: str, path: str, body: bytes, *, timestamp: str, nonce: str) -> dict[str, str]:
    """Sign a request as hooks/PROTOCOL.md says under *Who may ask*."""
    text = "\n".join((method, path, timestamp, nonce, hashlib.sha256(body).hexdigest()))
    return {
        "X-Quiesce-Key": key.key_id,
        "X-Quiesce-Timestamp": timestamp,
        "X-Quiesce-Nonce": nonce,
        "X-Quiesce-Signature": hmac.new(key.secret, text.encode(), hashlib.sha256).hexdigest(),
    }


def _path(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _may_ask_again(error: Exception) -> bool:
    return isinstance(error, AgentError) and not error.answered
