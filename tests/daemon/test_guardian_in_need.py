"""The guardian when something else is wrong as well: a stuck freeze, a stopped daemon, no memory, a clock that jumps."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.loopdisks import LoopDisks, loop_disks, needs_root
from tests.daemon.mariadb import Server, needs_mariadb
from tests.daemon.mysql_holds import INSERT, in_background, writable
from tests.daemon.nested_disks import Nested
from tests.daemon.test_guardian_on_disks import (
    BEHIND_A_WRITE_OUT,
    ROOT,
    Daemon,
    Writer,
    daemon,
    is_waiting,
    mount_points,
)
from tests.waiting import wait_until

pytestmark = [pytest.mark.lab, needs_root]
MEMORY = Path("/sys/fs/cgroup/memory")


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopDisks]:
    with loop_disks(tmp_path_factory.mktemp("disks"), ("ext4", "xfs")) as made:
        yield made


@contextlib.contextmanager
def one_of_three_is_stuck(nested: Nested, disks: LoopDisks, root: Path, limit_s: float) -> Iterator[Daemon]:
    """Run a daemon that has frozen two disks and is stuck in the freeze of a third, which lies on a frozen disk."""
    by_id = root / "three"
    by_id.mkdir()
    for disk in disks.disks:
        (by_id / f"virtio-{disk.disk_id}").symlink_to(disk.device)
    (by_id / "virtio-disk-stuck").symlink_to(nested.disk.device)
    ids = [*(disk.disk_id for disk in disks.disks), "disk-stuck"]
    made = Daemon(root, by_id, limit_s, ids, program="tests.daemon.stuck_daemon")
    with made.process, contextlib.ExitStack() as undo:
        undo.callback(made.process.kill)
        undo.callback(made.send, signal.SIGCONT)
        undo.callback(nested.thaw_below)
        assert made.say()[0] == "freezing"
        (nested.disk.mount_point / "dirty").write_bytes(os.urandom(1 << 20))
        nested.freeze_below()
        assert made.process.stdin
        made.process.stdin.write(b"\n")
        made.process.stdin.flush()
        tasks = Path(f"/proc/{made.process.pid}/task")
        wait_until(lambda: any(is_waiting(task, BEHIND_A_WRITE_OUT) for task in tasks.iterdir()))
        yield made


@pytest.mark.parametrize("number", [None, signal.SIGSTOP, signal.SIGKILL], ids=["well", "hung", "killed"])
def test_a_freeze_that_is_stuck_keeps_no_other_filesystem_frozen(
    nested: Nested, disks: LoopDisks, tmp_path: Path, number: signal.Signals | None
) -> None:
    """Azure #1868: the timer sits in the process that is stuck in the kernel, and the mounts before it stay frozen."""
    with one_of_three_is_stuck(nested, disks, tmp_path, 1.0) as made:
        if number:
            made.send(number)
        stuck = Writer([nested.disk.mount_point])
        Writer(mount_points(disks)).last_s()
        assert not stuck.done_s, "the third disk was never stuck"
        thawed_s = nested.thaw_below()
        assert stuck.last_s() - thawed_s < 0.5


HOLDS_THE_LOCK = """
import sys, time
from pathlib import Path
from quiesced.keeper import Keeper
from quiesced.quiescers.mysql.quiescer import MysqlQuiescer
from quiesced.quiescers.mysql.session import Options
from tests.daemon.fakes import config, quiesce
options = Options(Path(sys.argv[2]), "quiesced", "a password", long_statement_s=5.0, idle_transaction_s=5.0)
keeper = Keeper(config(Path(sys.argv[1])), [MysqlQuiescer("orders", options)])
answer = keeper.quiesce(quiesce(disks=(), hold_limit_s=float(sys.argv[3])))
sys.stdout.write(f"held {answer.refusal}\\n")
sys.stdout.flush()
sys.stdin.read()
"""


@needs_mariadb
def test_a_daemon_that_hangs_with_the_read_lock_loses_it_at_its_limit(server: Server, tmp_path: Path) -> None:
    """The guardian shuts the socket down; the server's own wait_timeout would need at least two seconds more."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS_THE_LOCK, str(tmp_path), str(server.socket), "1.0"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "hooks"), str(ROOT)])},
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"held None\n"
            process.send_signal(signal.SIGSTOP)
            with in_background(server, INSERT) as over:
                assert not over.wait(0.2), "nothing was locked"
                assert over.wait(1.6), "the guardian did not free the lock"
            assert writable(server)
        finally:
            process.kill()


@contextlib.contextmanager
def memory_group(name: str) -> Iterator[Path]:
    """A control group of processes whose memory can be limited (cgroup v1)."""
    group = MEMORY / name
    group.mkdir()
    try:
        yield group
    finally:
        wait_until(lambda: not (group / "cgroup.procs").read_text())
        group.rmdir()


@pytest.mark.skipif(not (MEMORY / "memory.limit_in_bytes").exists(), reason="needs the memory controller of cgroup v1")
def test_without_memory_the_daemon_dies_first_and_the_guardian_still_thaws(disks: LoopDisks, tmp_path: Path) -> None:
    with memory_group(f"quiesced-{os.getpid()}") as group, daemon(tmp_path, disks, 30.0) as holding:
        guardian_pid, _ = holding.holds()
        for pid in (guardian_pid, holding.process.pid):
            (group / "cgroup.procs").write_text(str(pid))
        (group / "memory.limit_in_bytes").write_text(str(64 << 20))
        daemon_score, guardian_score = (
            int(Path(f"/proc/{pid}/oom_score").read_text()) for pid in (holding.process.pid, guardian_pid)
        )
        assert guardian_score <= daemon_score
        writer = Writer(mount_points(disks))
        assert holding.process.stdin
        holding.process.stdin.write(b"eat\n")
        holding.process.stdin.flush()
        writer.last_s()
        assert holding.process.wait(5) == -signal.SIGKILL
    assert not any(disks.is_frozen(number) for number in range(2))


JUMPS = """
import itertools, pathlib, time
pathlib.Path(__file__).with_name("jumped").touch()
real = time.time
jumps = itertools.cycle((3600.0, -3600.0))
time.time = lambda: real() + next(jumps)
time.time_ns = lambda: int(time.time() * 1e9)
"""


def test_a_clock_that_jumps_by_an_hour_moves_no_limit(disks: LoopDisks, tmp_path: Path) -> None:
    """The wall clock of the daemon goes an hour forth and back at every look; limits count on CLOCK_MONOTONIC."""
    (tmp_path / "sitecustomize.py").write_text(JUMPS)
    with daemon(tmp_path, disks, 0.6, before_path=tmp_path) as holding:
        _, ends_s = holding.holds()
        writer = Writer(mount_points(disks))
        assert -0.2 < writer.last_s() - ends_s < 0.5
        assert holding.process.poll() is None
    assert (tmp_path / "jumped").exists()


@pytest.mark.parametrize("part", ["guardian", "guardian_client", "keeper", "lease", "instance_hold", "freeze", "state"])
def test_no_code_of_a_hold_reads_the_wall_clock(part: str) -> None:
    code = (ROOT / f"hooks/quiesced/{part}.py").read_text()
    assert not re.search(r"\btime\.time(_ns)?\b|datetime|CLOCK_REALTIME|gmtime|localtime|from time import", code)
