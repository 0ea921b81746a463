"""Undoing what a hold changed on a server besides its lock: one setting, and SQL threads that it stopped."""

from __future__ import annotations

import logging
from typing import Optional

from quiesced.quiescers.mysql import redo, replica
from quiesced.quiescers.mysql.session import LOST, Options, Session

SETTING = "flush_log_at_trx_commit"
"""Key of a leftover: the setting's value before the hold."""
STOPPED = "stopped_channels"
"""Key of a leftover: names of the channels whose SQL threads the hold stopped."""

log = logging.getLogger(__name__)


def undo(options: Options, control: Session, leftover: dict[str, object], name: str) -> None:
    """Put everything back over this session, or over a new one when it is gone. Never raises."""
    if leftover.get(SETTING) in (None, 1) and not leftover.get(STOPPED):
        return
    try:
        put_back(control, leftover)
        return
    except LOST as error:
        log.warning("the control session was gone", extra={"application": name, "reason": str(error)})
    again: Optional[Session] = None
    try:
        again = Session(options)
        put_back(again, leftover)
    except LOST as error:
        facts = {"application": name, "leftover": str(leftover), "reason": str(error)}
        log.error("not everything could be put back; do it by hand", extra=facts)
    finally:
        if again:
            again.close()


def put_back(control: Session, leftover: dict[str, object]) -> None:
    """Put the setting back and start the SQL threads. Any number of times. Raises what LOST names."""
    prior, stopped = leftover.get(SETTING), leftover.get(STOPPED)
    redo.restore(control, prior if isinstance(prior, int) else None)
    if isinstance(stopped, list) and stopped:
        replica.start(control, control.flavor(), [str(channel) for channel in stopped])
