"""Mount points, as the kernel lists them for this process."""

from __future__ import annotations

import re
import time
from pathlib import Path

from quiesce_lab.errors import LabError
from quiesce_lab.run import run

BUSY_LIMIT_S = 10.0
"""How long something that still has a file open (a guardian, a server that is ending) may take to go."""
_OCTAL = re.compile(r"\\([0-7]{3})")


def mount_points() -> frozenset[Path]:
    """Every mount point that this process sees (proc_pid_mountinfo(5), field 5)."""
    lines = Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines()
    return frozenset(Path(_OCTAL.sub(lambda code: chr(int(code[1], 8)), line.split(" ")[4])) for line in lines)


def unmount(mount_point: Path) -> None:
    """Unmount, waiting while it is busy. Not mounted is no error. Raises LabError when it stays busy."""
    give_up_at = time.monotonic() + BUSY_LIMIT_S
    while mount_point in mount_points():
        try:
            run("umount", mount_point)
        except LabError:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(0.1)
