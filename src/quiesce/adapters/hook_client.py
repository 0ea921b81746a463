"""Asking a hook daemon: signed JSON over TLS (hooks/PROTOCOL.md). Implements ports.Agent."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from typing import TypeVar

import msgspec
import requests
import stamina

from quiesce import holds
from quiesce.budget import CHECK_ATTEMPTS, prepare_timeout_s, quiesce_timeout_s, release_window_s
from quiesce.errors import AgentError
from quiesce.model import Limits
from quiesce.settings import HookSettings
from quiesce.variables import Key

MAX_ANSWER_BYTES = 1_048_576

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
    another. TCP_NODELAY is urllib3's default, so no request waits for an acknowledgement.
    """

    def __init__(self, address: str, settings: HookSettings, limits: Limits, now: Callable[[], float] = time.time) -> None:
        """Connect nowhere yet. ``now``: seconds since 1970 in UTC, for the signature alone."""
        self._base = f"https://{address}:{settings.port}"
        self._settings = settings
        self._limits = limits
        self._now = now
        self._session = requests.Session()
        # With it, REQUESTS_CA_BUNDLE would replace the CA, and ~/.netrc and proxies would have their say.
        self._session.trust_env = False

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def check(self, request: holds.CheckRequest) -> holds.CheckAnswer:
        """Ask what a hold would cover; asked once more when the answer was lost."""
        caller = stamina.RetryingCaller(attempts=CHECK_ATTEMPTS, wait_initial=0.2, wait_max=1.0, wait_jitter=0.2)
        return caller.on(_may_ask_again)(self._post, "/v1/check", request, holds.CheckAnswer, self._settings.timeout_s)

    def prepare(self, request: holds.QuiesceRequest) -> holds.QuiesceAnswer:
        """Have everything slow done, exactly once."""
        return self._post("/v1/prepare", request, holds.QuiesceAnswer, prepare_timeout_s(self._settings))

    def quiesce(self, request: holds.QuiesceRequest) -> holds.QuiesceAnswer:
        """Ask for the hold, exactly once."""
        timeout_s = quiesce_timeout_s(request.acquire_limit_s, self._settings)
        return self._post("/v1/quiesce", request, holds.QuiesceAnswer, timeout_s)

    def release(self, request: holds.ReleaseRequest) -> holds.ReleaseAnswer:
        """Let go; asked until it is answered, or until the hold's own limit has certainly passed."""
        caller = stamina.RetryingCaller(
            attempts=None,
            timeout=release_window_s(self._limits),
            wait_initial=0.05,
            wait_max=1.0,
            wait_jitter=0.05,
        )
        return caller.on(_may_ask_again)(self._post, "/v1/release", request, holds.ReleaseAnswer, self._settings.timeout_s)

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
        except OSError as error:  # requests' own errors are among them, and those of reading the PEM files
            raise AgentError(f"{self._base}{path} gave no answer: {error}", answered=False) from error
        if status != requests.codes.ok:
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
        with self._session.post(
            self._base + path,
            data=body,
            headers=headers,
            timeout=(self._settings.timeout_s, timeout_s),
            # Per call: a session's own verify loses to the environment.
            verify=str(self._settings.ca),
            cert=_client_certificate(self._settings),
            allow_redirects=False,
            stream=True,
        ) as response:
            answer = b""
            for chunk in response.iter_content(65_536):
                answer += chunk
                if len(answer) > MAX_ANSWER_BYTES:
                    raise requests.exceptions.ContentDecodingError(f"more than {MAX_ANSWER_BYTES} bytes")
            return response.status_code, answer

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


def _client_certificate(settings: HookSettings) -> str | tuple[str, str] | None:
    """Return the caller's own certificate in the words of requests: a file with both, or two files."""
    if settings.client_certificate is None:
        return None
    certificate = str(settings.client_certificate)
    return (certificate, str(settings.client_key)) if settings.client_key else certificate


def _may_ask_again(error: Exception) -> bool:
    return isinstance(error, AgentError) and not error.answered
