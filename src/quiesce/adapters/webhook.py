"""A webhook: one signed POST of JSON to an ``https://`` address of the operator's own (docs/notifications.md).

The receiver knows by the signature who sent it: ``X-Quiesce-Signature`` is the lower-case hex of HMAC-SHA256 over the
timestamp (``X-Quiesce-Timestamp``, seconds since 1970), a newline and the body.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import requests

from quiesce.adapters.again import Again
from quiesce.errors import NotifyError

ATTEMPTS = 2
TIMEOUT_S = 3.0
"""For connecting, and for each wait for bytes of the answer."""
_TOO_MANY = 429

# At DEBUG, which SCF's Python runtime sets for the root logger, urllib3 logs each path, and a path may be a secret.
logging.getLogger("urllib3").setLevel(logging.WARNING)


def signature_headers(key: bytes, body: bytes, timestamp: str) -> dict[str, str]:
    """Sign a body as sent at ``timestamp`` (seconds since 1970)."""
    signature = hmac.new(key, f"{timestamp}\n".encode() + body, hashlib.sha256).hexdigest()
    return {"X-Quiesce-Timestamp": timestamp, "X-Quiesce-Signature": signature}


def post(url: str, key: bytes, ca: Path | None, body: bytes, now: Callable[[], float] = time.time) -> None:
    """Send a body, and once more when the receiver was not there or not well. Raises NotifyError, never with the URL.

    Redirects are not followed, the answer's body is not read, and the environment (proxies, .netrc) has no say.
    """
    again = Again(attempts=ATTEMPTS, wait_initial_s=0.3, wait_max_s=0.5, wait_jitter_s=0.2)
    again.call(_may_send_again, lambda: _post(url, key, ca, body, now))


def place(url: str) -> str:
    """Name an address without what is secret in it: paths and tokens are; of other schemes even the host may be one."""
    parts = urlsplit(url)
    return f"https://{parts.hostname}/…" if parts.scheme == "https" else f"{parts.scheme}://…"


def _post(url: str, key: bytes, ca: Path | None, body: bytes, now: Callable[[], float]) -> None:
    headers = {"Content-Type": "application/json", **signature_headers(key, body, str(int(now())))}
    with requests.Session() as session:
        session.trust_env = False
        try:
            # Streamed and left unread: an answer without an end keeps nobody.
            with session.post(
                url,
                data=body,
                headers=headers,
                timeout=TIMEOUT_S,
                verify=str(ca) if ca else True,
                allow_redirects=False,
                stream=True,
            ) as response:
                status = response.status_code
        except (OSError, ValueError) as error:  # requests' own errors are among them; their texts have the URL
            raise NotifyError(f"{place(url)} gave no answer ({type(error).__name__})", again=True) from None
    if not 200 <= status < 300:
        hint = "; redirects are not followed, give the address itself" if 300 <= status < 400 else ""
        raise NotifyError(f"{place(url)} answered HTTP {status}{hint}", again=status >= 500 or status == _TOO_MANY)


def _may_send_again(error: Exception) -> bool:
    return isinstance(error, NotifyError) and error.again
