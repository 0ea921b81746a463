"""What the lab asks of an application on a host: to run, to be written to, to be held by hand, and to be read again."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from quiesce_lab.instances import Instance
from quiesce_lab.load import Load
from quiesce_lab.verifier import Restored


class Application(Protocol):
    """One application on the disks of a host. Methods raise LabError."""

    name: str
    """Its name in the daemon's configuration."""
    load: Load
    """Its writers, which are not started with it."""

    @property
    def version(self) -> str:
        """What runs here, in words."""

    def start(self) -> None:
        """Install and start it."""

    def stop(self) -> None:
        """Stop it in order."""

    def daemon_table(self) -> str:
        """Write its ``[[application]]`` table for the daemon."""

    def relax(self) -> None:
        """Set what servers have that trade a second of commits for speed, as many in production do."""

    def held_by_hand(self) -> AbstractContextManager[None]:
        """Hold it as its manual has people do it by hand; nothing for one whose manual has nothing."""

    def restored(self, places: Mapping[Path, Path], here: Instance) -> Restored:
        """Read it again on restored disks; ``places`` maps each mount point of the host to the restored one."""
