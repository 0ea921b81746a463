"""The guardian on real filesystems: whatever becomes of the daemon, writers go on by the limit."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.loopdisks import LoopDisks, loop_disks, needs_root
from tests.daemon.nested_disks import Nested
from tests.waiting import wait_until

pytestmark = [pytest.mark.lab, needs_root]
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopDisks]:
    with loop_disks(tmp_path_factory.mktemp("disks"), ("ext4", "xfs")) as made:
        yield made


class Daemon:
    """A daemon in a process of its own that holds some disks."""

    def __init__(
        self,
        root: Path,
        by_id_dir: Path,
        limit_s: float,
        disk_ids: list[str],
        *,
        program: str = "tests.daemon.holding_daemon",
        before_path: Path = ROOT,
    ) -> None:
        path = os.pathsep.join([str(before_path), str(ROOT / "hooks"), str(ROOT)])
        self.process = subprocess.Popen(
            [sys.executable, "-m", program, str(root), str(by_id_dir), str(limit_s), *disk_ids],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        )

    def say(self) -> list[str]:
        """Return what it says of its hold."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode().split()

    def holds(self) -> tuple[int, float]:
        """Return the guardian's pid, and when the limit is over on CLOCK_MONOTONIC."""
        said = self.say()
        assert said[0] == "held", said
        return int(said[1]), float(said[2])

    def send(self, number: signal.Signals) -> float:
        """Send a signal and return when."""
        sent_s = time.monotonic()
        self.process.send_signal(number)
        return sent_s


@contextlib.contextmanager
def daemon(root: Path, disks: LoopDisks, limit_s: float, *, before_path: Path = ROOT) -> Iterator[Daemon]:
    made = Daemon(root, disks.by_id_dir, limit_s, [disk.disk_id for disk in disks.disks], before_path=before_path)
    with made.process:
        try:
            yield made
        finally:
            made.process.kill()


class Writer:
    """Writes one file per filesystem and notes when each write came through."""

    def __init__(self, mount_points: list[Path]) -> None:
        self.done_s: list[float] = []
        self._threads = [threading.Thread(target=self._write, args=(point,), daemon=True) for point in mount_points]
        for thread in self._threads:
            thread.start()

    def last_s(self) -> float:
        """Wait for all writes and return when the last one came through."""
        for thread in self._threads:
            thread.join(10.0)
        assert len(self.done_s) == len(self._threads), "a filesystem is still frozen"
        return max(self.done_s)

    def _write(self, point: Path) -> None:
        (point / "written").write_text("x")
        self.done_s.append(time.monotonic())


def mount_points(disks: LoopDisks) -> list[Path]:
    return [disk.mount_point for disk in disks.disks]


def test_a_daemon_that_is_killed_lets_go_within_a_tenth_of_a_second(disks: LoopDisks, tmp_path: Path) -> None:
    with daemon(tmp_path, disks, 30.0) as holding:
        holding.holds()
        writer = Writer(mount_points(disks))
        killed_s = holding.send(signal.SIGKILL)
        assert writer.last_s() - killed_s < 0.1
    assert not any(disks.is_frozen(number) for number in range(2))


def test_a_daemon_that_hangs_lets_go_at_its_limit(disks: LoopDisks, tmp_path: Path) -> None:
    with daemon(tmp_path, disks, 0.6) as holding:
        _, ends_s = holding.holds()
        writer = Writer(mount_points(disks))
        holding.send(signal.SIGSTOP)
        assert -0.01 < writer.last_s() - ends_s < 0.05
        holding.send(signal.SIGKILL)


def test_a_hold_that_nobody_releases_ends_by_its_limit(disks: LoopDisks, tmp_path: Path) -> None:
    with daemon(tmp_path, disks, 0.5) as holding:
        _, ends_s = holding.holds()
        assert -0.1 < Writer(mount_points(disks)).last_s() - ends_s < 0.05


def test_a_daemon_whose_guardian_is_killed_lets_go_at_once(disks: LoopDisks, tmp_path: Path) -> None:
    with daemon(tmp_path, disks, 30.0) as holding:
        guardian_pid, _ = holding.holds()
        writer = Writer(mount_points(disks))
        killed_s = time.monotonic()
        os.kill(guardian_pid, signal.SIGKILL)
        assert writer.last_s() - killed_s < 0.2


def may_be_spared() -> bool:
    """Whether this machine lets root lower a process's OOM score: it needs CAP_SYS_RESOURCE, bit 24."""
    status = Path("/proc/self/status").read_text()
    return bool(int(status.split("CapEff:")[1].split()[0], 16) >> 24 & 1)


def test_the_guardian_is_locked_in_memory_and_spared_by_the_oom_killer(disks: LoopDisks, tmp_path: Path) -> None:
    with daemon(tmp_path, disks, 30.0) as holding:
        guardian_pid, _ = holding.holds()
        status = Path(f"/proc/{guardian_pid}/status").read_text()
        locked_kib, size_kib = (int(status.split(f"{field}:")[1].split()[0]) for field in ("VmLck", "VmRSS"))
        assert locked_kib >= size_kib > 0
        assert Path(f"/proc/{guardian_pid}/oom_score_adj").read_text() == ("-900\n" if may_be_spared() else "0\n")


STUCK = """
import os, sys, time
from quiesced.freeze import LinuxIoctls
from quiesced.guardian_client import Guarded, GuardianProcess
fd = os.open(sys.argv[1], os.O_RDONLY)
guardian = GuardianProcess(Guarded((fd,), (), -1), time.monotonic() + float(sys.argv[2]), lambda: None)
sys.stdout.write("armed\\n")
sys.stdout.flush()
sys.stdin.readline()
LinuxIoctls().freeze(fd)
sys.stdin.readline()
"""


BEHIND_A_WRITE_OUT = "wait_writeback"
BEHIND_A_WRITER = "freeze_super"


def is_waiting(task: Path, where: str) -> bool:
    """Whether a task waits in a function of the kernel, and not only for RCU, which passes by itself."""
    stack = (task / "stack").read_text()
    return where in stack and "synchronize_rcu" not in stack


class StuckWriter:
    """A write that is inside the kernel while the lower disk is frozen: a freeze has to wait for it."""

    def __init__(self, nested: Nested) -> None:
        path = nested.disk.mount_point / "synchronous"
        path.write_bytes(b"x")
        os.sync()
        self._fd = os.open(path, os.O_WRONLY | os.O_DSYNC)
        self._thread = threading.Thread(target=os.write, args=(self._fd, b"y"))

    def start(self) -> None:
        self._thread.start()
        wait_until(lambda: is_waiting(Path(f"/proc/self/task/{self._thread.native_id}"), "ext4_sync_file"))

    def close(self) -> None:
        if self._thread.native_id is not None:
            self._thread.join()
        os.close(self._fd)


@contextlib.contextmanager
def stuck_in_a_freeze(nested: Nested, limit_s: float, waits_in: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a daemon that is stuck in FIFREEZE, in uninterruptible sleep, in a function of the kernel."""
    process = subprocess.Popen(
        [sys.executable, "-c", STUCK, str(nested.disk.mount_point), str(limit_s)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT / "hooks")},
    )
    with process, contextlib.ExitStack() as stack:
        assert process.stdin and process.stdout
        assert process.stdout.readline() == b"armed\n"
        writer = StuckWriter(nested)
        stack.callback(writer.close)
        stack.callback(nested.thaw_below)
        stack.callback(process.kill)
        (nested.disk.mount_point / "dirty").write_bytes(os.urandom(1 << 20))
        nested.freeze_below()
        if waits_in == BEHIND_A_WRITER:
            writer.start()
        process.stdin.write(b"\n")
        process.stdin.flush()
        wait_until(lambda: is_waiting(Path(f"/proc/{process.pid}"), waits_in))
        yield process


EITHER_WAY = pytest.mark.parametrize(
    "waits_in",
    [
        pytest.param(BEHIND_A_WRITE_OUT, id="behind a write-out"),  # FITHAW waits for it
        pytest.param(BEHIND_A_WRITER, id="behind a writer"),  # FITHAW fails with EINVAL and has to be repeated
    ],
)


@EITHER_WAY
def test_a_freeze_that_completes_after_the_limit_is_thawed_at_once(nested: Nested, waits_in: str) -> None:
    with stuck_in_a_freeze(nested, 1.0, waits_in):
        writer = Writer([nested.disk.mount_point])
        with pytest.raises(AssertionError):
            wait_until(lambda: writer.done_s, 1.2)  # the limit is over, and the kernel still has the freeze
        thawed_s = nested.thaw_below()
        assert writer.last_s() - thawed_s < 0.5


@EITHER_WAY
def test_a_daemon_killed_inside_a_stuck_freeze_leaves_nothing_frozen(nested: Nested, waits_in: str) -> None:
    with stuck_in_a_freeze(nested, 60.0, waits_in) as process:
        writer = Writer([nested.disk.mount_point])
        process.kill()
        thawed_s = nested.thaw_below()
        assert writer.last_s() - thawed_s < 0.5
