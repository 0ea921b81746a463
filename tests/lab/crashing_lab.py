"""A lab that is about to be killed: ``python -m tests.lab.crashing_lab STATE_DIR`` prints its process ids and waits.

It has a cloud, a pool, a disk that is mounted and frozen, a process that hangs in a write to it, and a process with a child.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
from pathlib import Path

from quiesce_lab.instances import Instance
from quiesce_lab.machine import Machine
from quiesce_lab.processes import Command
from quiesce_lab.site import Site
from tests.waiting import wait_until

FIFREEZE = 0xC0045877


def build(machine: Machine, site: Site) -> dict[str, int]:
    """Make everything that a lab can leave behind; returns the process ids."""
    instance = Instance(machine, "ins-crash")
    site.blocks.create("disk-a", 10)
    site.blocks.attach("disk-a", "ins-crash")
    instance.format("disk-a", "ext4")
    data = instance.mount("disk-a", "/data")
    log = machine.directory("logs") / "log"
    parent = machine.start(Command("parent", ["/bin/sh", "-c", "sleep 1000 & echo $! ; wait"], log))
    child = int(wait_until(lambda: log.read_text().strip()))
    fd = os.open(data, os.O_RDONLY)
    fcntl.ioctl(fd, FIFREEZE, 0)
    os.close(fd)
    writer = machine.start(Command("writer", ["/bin/sh", "-c", f"echo x > {data}/x"], log))
    wait_until(lambda: Path(f"/proc/{writer.pid}/stat").read_text().rpartition(")")[2].split()[0] == "D")
    return {"parent": parent.pid, "child": child, "writer": writer.pid}


def main() -> None:
    """Build, tell, wait to be killed."""
    machine = Machine(Path(sys.argv[1]))
    with Site(machine) as site:
        sys.stdout.write(json.dumps({**build(machine, site), "reaper": machine._reaper.pid}) + "\n")
        sys.stdout.flush()
        signal.pause()


if __name__ == "__main__":
    main()
