"""Asking the daemon of this very host, over its own port and with a key of its own configuration."""

from __future__ import annotations

import http.client
import json
import ssl
from typing import Any

from quiesced import auth
from quiesced.config import Config
from quiesced.errors import QuiescedError
from quiesced.words import _

TIMEOUT_S = 30.0


class DaemonSilentError(QuiescedError):
    """The daemon of this host gave no usable answer; the message says why."""


def ask(config: Config, method: str, path: str, message: dict[str, object]) -> dict[str, Any]:
    """Send one signed request and return the answer. Raises DaemonSilentError."""
    body = json.dumps(message).encode() if message else b""
    key_id, secret = next(iter(config.keys.items()))
    headers = {**auth.sign(key_id, secret, method, path, body).headers(), "Content-Type": "application/json"}
    connection = http.client.HTTPSConnection(
        config.listen.host, config.listen.port, timeout=TIMEOUT_S, context=_context(config)
    )
    try:
        connection.connect()
        _insist_on_our_certificate(connection.sock, config)
        connection.request(method, path, body, headers)
        answer = json.loads(connection.getresponse().read())
    except (OSError, ValueError, http.client.HTTPException) as error:
        listen = config.listen
        words = _("no daemon answers at {host}:{port}: {error}", host=listen.host, port=listen.port, error=error)
        raise DaemonSilentError(words) from error
    finally:
        connection.close()
    if "error" in answer:
        raise DaemonSilentError(f"{answer['error']['code']}: {answer['error']['message']}")
    return dict(answer)


def _context(config: Config) -> ssl.SSLContext:
    """No authority vouches for the certificate here: it is compared with the one in the configuration."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if config.listen.client_ca:
        context.load_cert_chain(str(config.listen.certificate), str(config.listen.private_key))
    return context


def _insist_on_our_certificate(connected: Any, config: Config) -> None:
    first = config.listen.certificate.read_text(encoding="ascii").partition("-----END CERTIFICATE-----")
    ours = ssl.PEM_cert_to_DER_cert("".join(first[:2]))
    if connected.getpeercert(binary_form=True) != ours:
        words = _("who answers does not have the configured certificate; restart quiesced after changing it")
        raise DaemonSilentError(words)
