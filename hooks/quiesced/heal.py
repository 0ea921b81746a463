"""Letting go of what an earlier daemon left behind when it died in the middle of a hold."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from quiesced import expedite
from quiesced.errors import Refused
from quiesced.freeze import Ioctls, thaw_if_frozen
from quiesced.quiescers.base import Quiescer
from quiesced.state import FrozenMount, Held, Leftover
from quiesced.survey import Surveyor

log = logging.getLogger(__name__)


def heal(held: Held, quiescers: Sequence[Quiescer], surveyor: Surveyor, ioctls: Ioctls, expedite_path: Path) -> None:
    """Thaw every filesystem first, then undo what applications had changed. Stops at nothing; logs what failed."""
    for mount in held.mounts:
        _thaw(mount, surveyor, ioctls)
    if held.expedited:
        expedite.restore(expedite_path)
    for leftover in reversed(held.leftovers):
        _undo(leftover, quiescers)
    log.warning("let go of what an earlier daemon left behind", extra={"lease_id": held.lease_id})


def _thaw(mount: FrozenMount, surveyor: Surveyor, ioctls: Ioctls) -> None:
    """Thaw a filesystem by its device number; its mount may have moved, or be seen from another namespace now."""
    target = surveyor.find(mount.device)
    if target is None:
        log.error("cannot thaw: not mounted any more; mount it and run fsfreeze -u", extra={"mount": mount.mount_point})
        return
    try:
        fd = surveyor.open(target)
    except Refused as error:
        log.error("cannot thaw: cannot open", extra={"mount": mount.mount_point, "reason": str(error)})
        return
    try:
        failure = thaw_if_frozen(ioctls, fd)
    finally:
        os.close(fd)
    if failure:
        log.error("cannot thaw", extra={"mount": mount.mount_point, "reason": str(failure)})


def _undo(leftover: Leftover, quiescers: Sequence[Quiescer]) -> None:
    meant = [quiescer for quiescer in quiescers if (quiescer.engine, quiescer.name) == (leftover.engine, leftover.name)]
    if not meant:
        log.error("an application that was held is no longer configured", extra={"application": leftover.name})
    for quiescer in meant:
        try:
            quiescer.heal(leftover.content)
        except Exception:  # one application's failure must not strand the others
            log.exception("an application could not be healed", extra={"application": leftover.name})
