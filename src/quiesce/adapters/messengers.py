"""WeCom, Feishu, DingTalk, Slack, mail and others, through apprise.

It is imported when something is to be sent there, which is after every release: it takes a tenth of a second and 15 MB.
"""

from __future__ import annotations

import logging

from quiesce.adapters.webhook import place
from quiesce.errors import NotifyError


def send(url: str, title: str, text: str) -> None:
    """Send a message to an address of apprise's. Raises NotifyError, never with the address."""
    try:
        import apprise  # noqa: PLC0415 - see above
    except ImportError:
        raise NotifyError(f"{place(url)}: apprise is not in this package (docs/notifications.md)") from None
    # It logs addresses and answers.
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    sender = apprise.Apprise()
    if not sender.add(url):
        raise NotifyError(f"{place(url)}: apprise does not know such an address; its documentation has each service's form")
    if not sender.notify(title=title, body=text, body_format=apprise.NotifyFormat.TEXT):
        raise NotifyError(f"{place(url)}: the service did not take it, or did not answer")
