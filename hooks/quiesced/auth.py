"""Who may ask: signatures, clock and nonces of hooks/PROTOCOL.md. The command line signs with the same code."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Callable

from quiesced.errors import RequestRefused

WINDOW_S = 300
"""Furthest that a timestamp may be from this clock."""
MAX_NONCES = 20_000
"""Nonces remembered at a time: 33 signed requests a second for the whole time, far above what one run needs."""
RELEASE_PATH = "/v1/release"
"""A release may be asked any number of times: it is admitted even when no more nonces can be remembered."""
_NONCE = re.compile(r"[A-Za-z0-9_-]{16,64}")
_TIMESTAMP = re.compile(r"[0-9]{1,12}")


@dataclass(frozen=True)
class Signed:
    """The four headers of a signed request, as they came."""

    key_id: str
    timestamp: str
    nonce: str
    signature: str = field(repr=False)

    def headers(self) -> dict[str, str]:
        """The same as HTTP headers."""
        return {
            "X-Quiesce-Key": self.key_id,
            "X-Quiesce-Timestamp": self.timestamp,
            "X-Quiesce-Nonce": self.nonce,
            "X-Quiesce-Signature": self.signature,
        }


def signature(secret: bytes, method: str, path: str, body: bytes, *, timestamp: str, nonce: str) -> str:
    """Return the signature of a request, as lower-case hex."""
    text = "\n".join((method, path, timestamp, nonce, hashlib.sha256(body).hexdigest()))
    return hmac.new(secret, text.encode("utf-8"), hashlib.sha256).hexdigest()


def sign(key_id: str, secret: bytes, method: str, path: str, body: bytes) -> Signed:
    """Sign a request of our own, now and with a fresh nonce."""
    timestamp, nonce = str(int(time.time())), secrets.token_urlsafe(24)
    return Signed(key_id, timestamp, nonce, signature(secret, method, path, body, timestamp=timestamp, nonce=nonce))


class Gate:
    """Lets signed requests in, each once. Safe to call from several threads."""

    def __init__(
        self,
        keys: Mapping[str, bytes],
        *,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        max_nonces: int = MAX_NONCES,
    ) -> None:
        """``now`` is seconds since 1970 in UTC; ``monotonic`` counts how long nonces are remembered."""
        self._keys = dict(keys)
        self._now = now
        self._nonces = _Nonces(monotonic, max_nonces)

    def admit(self, method: str, path: str, signed: Signed, body: bytes) -> None:
        """Let one request in, or raise RequestRefused (401).

        The signature comes before the nonce, so that only holders of a key can fill the memory for nonces.
        """
        secret = self._keys.get(signed.key_id)
        if secret is None:
            raise _refused("unknown_key", "X-Quiesce-Key names no key of this daemon; see [keys] in its configuration")
        self._insist_on_form(signed)
        expected = signature(secret, method, path, body, timestamp=signed.timestamp, nonce=signed.nonce)
        if not hmac.compare_digest(expected.encode(), signed.signature.encode("utf-8", "replace")):
            raise _refused("bad_signature", "the signature is not that of this request with this key")
        ahead_s = int(signed.timestamp) - self._now()
        if abs(ahead_s) > WINDOW_S:
            raise _refused("clock_skew", f"the timestamp is {ahead_s:+.0f} s from this clock; set both clocks by NTP")
        self._nonces.use(signed.key_id + " " + signed.nonce, repeatable=path == RELEASE_PATH)

    def _insist_on_form(self, signed: Signed) -> None:
        if not _TIMESTAMP.fullmatch(signed.timestamp):
            raise _refused("bad_signature", "X-Quiesce-Timestamp must be seconds since 1970 as an integer")
        if not _NONCE.fullmatch(signed.nonce):
            raise _refused("bad_signature", f"X-Quiesce-Nonce must match {_NONCE.pattern}")


class _Nonces:
    """Nonces seen in the last two windows: a timestamp may be one window ahead, and stays good for one more."""

    def __init__(self, monotonic: Callable[[], float], limit: int) -> None:
        self._monotonic = monotonic
        self._limit = limit
        self._lock = threading.Lock()
        self._forget_at_s: OrderedDict[str, float] = OrderedDict()

    def use(self, nonce: str, *, repeatable: bool) -> None:
        """Note a nonce, or raise RequestRefused. Full memory refuses, because forgetting would let replays in.

        ``repeatable``: a replay does no harm, so a full memory lets the request in without noting it.
        """
        with self._lock:
            self._forget()
            if nonce in self._forget_at_s:
                raise _refused("replayed", "this nonce was used before; sign every request afresh")
            if len(self._forget_at_s) >= self._limit:
                if repeatable:
                    return
                raise _refused("replayed", "too many requests to tell replays from new ones; ask again in a few minutes")
            self._forget_at_s[nonce] = self._monotonic() + 2 * WINDOW_S + 1

    def _forget(self) -> None:
        now_s = self._monotonic()
        while self._forget_at_s:
            nonce, forget_at_s = next(iter(self._forget_at_s.items()))
            if forget_at_s > now_s:
                return
            del self._forget_at_s[nonce]


def _refused(code: str, message: str) -> RequestRefused:
    return RequestRefused(401, code, message)
