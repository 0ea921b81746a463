"""Delivering a message to everybody that the settings name, in a bounded time. Nothing here changes a run."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Mapping
from datetime import datetime, timezone

from quiesce.adapters import messengers, webhook
from quiesce.adapters.logs import JsonLog
from quiesce.errors import NotifyError
from quiesce.notifying import Message
from quiesce.settings import NotifySettings

LIMIT_S = 10.0
"""How long all deliveries together may take. Two attempts, each with a slow connection, fit in."""
_LEAST_S = 0.5


def deliver(
    message: Message | None, settings: NotifySettings, log: JsonLog, ids: Mapping[str, object], limit_s: float = LIMIT_S
) -> None:
    """Send a message, if there is one, and write a line for each address that did not get it. Raises nothing.

    ``limit_s``: seconds that there are; at most LIMIT_S are used.
    """
    if message is None or not settings.urls:
        return
    if limit_s < _LEAST_S:
        log.step({"step": "notify", "outcome": "trouble", **ids, "reason": "there was no time left to send anything"})
        return
    for reason in _all_sent(message, settings, min(limit_s, LIMIT_S)):
        log.step({"step": "notify", "outcome": "trouble" if reason else "sent", **ids, "reason": reason})


def _all_sent(message: Message, settings: NotifySettings, limit_s: float) -> list[str]:
    """Send to all at the same time; returns for each address, in order, what went wrong, or an empty text."""
    reasons = {url: f"{webhook.place(url)} had not answered after {limit_s:g} s" for url in settings.urls}
    body = _body(message)

    def send(url: str) -> None:
        reasons[url] = _sent(url, message, settings, body)

    # Daemons: one that hangs beyond the limit keeps neither this invocation nor the process.
    threads = [threading.Thread(target=send, args=(url,), name="notify", daemon=True) for url in reasons]
    for thread in threads:
        thread.start()
    ends_s = time.monotonic() + limit_s
    for thread in threads:
        thread.join(max(0.0, ends_s - time.monotonic()))
    return list(reasons.values())


def _sent(url: str, message: Message, settings: NotifySettings, body: bytes) -> str:
    try:
        if url.startswith("https://"):
            webhook.post(url, settings.key or b"", settings.ca, body)
        else:
            messengers.send(url, message.title, message.text)
    except NotifyError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - apprise has 180 plugins, and no failure of one may end a thread unseen
        return f"{webhook.place(url)}: {type(error).__name__}"
    return ""


def _body(message: Message) -> bytes:
    """Write what a webhook is sent; ``id`` is the same in both attempts."""
    at = datetime.now(timezone.utc).isoformat(timespec="seconds")
    head = {"version": 1, "id": uuid.uuid4().hex, "at": at, "title": message.title, "text": message.text}
    return json.dumps({**head, **message.facts}, ensure_ascii=False).encode()
