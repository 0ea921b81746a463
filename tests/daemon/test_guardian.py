"""The guardian process with connections to end and nothing to thaw: needs neither root nor disks."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import zipapp
from collections.abc import Iterator
from pathlib import Path

import pytest

from quiesced.errors import Refused
from quiesced.guardian_client import Guarded, GuardianProcess
from tests.waiting import wait_until

HOOKS = Path(__file__).parent.parent.parent / "hooks"
FAR_S = 60.0
DAEMON = """
import os, socket, sys, time
sys.path.insert(0, sys.argv[1])
from quiesced.guardian_client import Guarded, GuardianProcess
connection = socket.socket(fileno=int(sys.argv[2]))
guardian = GuardianProcess(Guarded((), (connection.fileno(),), -1), time.monotonic() + 60, lambda: None)
print(guardian.pid, flush=True)
sys.stdin.read()
"""


class Connection:
    """A database connection seen from both ends."""

    def __init__(self) -> None:
        self.ours, self.server = socket.socketpair()

    def is_ended(self) -> bool:
        """Whether the server sees the end of the session, which is when it gives up the session's locks."""
        self.server.setblocking(False)
        try:
            return self.server.recv(1) == b""
        except BlockingIOError:
            return False


@pytest.fixture
def connection() -> Iterator[Connection]:
    made = Connection()
    yield made
    made.ours.close()
    made.server.close()


def guard(connection: Connection, deadline_in_s: float = FAR_S, knob: int = -1) -> GuardianProcess:
    guarded = Guarded((), (connection.ours.fileno(),), knob)
    return GuardianProcess(guarded, time.monotonic() + deadline_in_s, lambda: None)


def is_running(pid: int) -> bool:
    """Whether a process exists and has not ended (a zombie has)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_disarmed_guardian_leaves_without_touching_anything(connection: Connection) -> None:
    guardian = guard(connection)
    guardian.disarm()
    assert not is_running(guardian.pid)
    assert not connection.is_ended()
    assert guardian.lost() == ""


def test_the_deadline_ends_the_connections_and_is_reported(connection: Connection) -> None:
    guardian = guard(connection, 0.1)
    wait_until(connection.is_ended, 1.0)
    wait_until(guardian.lost)
    assert "deadline" in guardian.lost()
    assert is_running(guardian.pid), "it stays until the daemon answers: a stuck freeze may still complete"
    guardian.disarm()


def test_a_deadline_comes_forward_but_never_goes_back(connection: Connection) -> None:
    guardian = guard(connection)
    asked_s = time.monotonic()
    guardian.bring_forward(asked_s + 0.15)
    guardian.bring_forward(asked_s + FAR_S)
    wait_until(connection.is_ended, 1.0)
    assert 0.14 < time.monotonic() - asked_s < 0.4
    guardian.disarm()


def test_a_new_deadline_after_the_old_one_has_passed_does_not_end_the_watch(connection: Connection) -> None:
    guardian = guard(connection, 0.05)
    wait_until(guardian.lost)
    guardian.bring_forward(time.monotonic() + FAR_S)
    guardian.bring_forward(time.monotonic() + FAR_S)
    with pytest.raises(AssertionError):
        wait_until(lambda: not is_running(guardian.pid), 0.2)
    guardian.disarm()


def test_a_guardian_that_is_killed_is_noticed(connection: Connection) -> None:
    told: list[bool] = []
    guarded = Guarded((), (connection.ours.fileno(),), -1)
    guardian = GuardianProcess(guarded, time.monotonic() + FAR_S, lambda: told.append(True))
    os.kill(guardian.pid, signal.SIGKILL)
    wait_until(lambda: told)
    assert "died" in guardian.lost()
    guardian.disarm()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda number: str(number.name))
def test_a_service_stop_does_not_end_the_guardian(connection: Connection, number: signal.Signals) -> None:
    guardian = guard(connection, 0.3)
    os.kill(guardian.pid, number)
    wait_until(connection.is_ended, 1.0)
    assert is_running(guardian.pid)
    guardian.disarm()


def test_the_guardian_is_in_a_session_of_its_own_and_has_only_what_it_guards(connection: Connection, tmp_path: Path) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    os.set_inheritable(listening.fileno(), True)
    guardian = guard(connection)
    opened = [str(entry.readlink()) for entry in Path(f"/proc/{guardian.pid}/fd").iterdir()]
    assert f"socket:[{os.fstat(connection.ours.fileno()).st_ino}]" in opened
    assert f"socket:[{os.fstat(listening.fileno()).st_ino}]" not in opened
    assert os.getsid(guardian.pid) == guardian.pid
    assert Path(f"/proc/{guardian.pid}/cwd").readlink() == Path("/")
    guardian.disarm()
    listening.close()


def test_the_kernel_setting_is_put_back_when_it_lets_go(connection: Connection, tmp_path: Path) -> None:
    knob = tmp_path / "knob"
    knob.write_text("1\n")
    fd = os.open(knob, os.O_RDWR)
    guardian = guard(connection, 0.05, knob=fd)
    wait_until(lambda: knob.read_text() == "0\n", 1.0)
    guardian.disarm()
    os.close(fd)


def test_a_guardian_that_cannot_arm_is_refused_and_leaves_no_process() -> None:
    with pytest.raises(Refused) as refused, Path("/dev/null").open("rb") as no_socket:
        GuardianProcess(Guarded((), (no_socket.fileno(),), -1), time.monotonic() + FAR_S, lambda: None)
    assert refused.value.code == "guardian_failed"
    assert "socket" in str(refused.value)


@pytest.fixture(params=["unpacked", "zipapp"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Where the daemon's code lies."""
    if request.param == "unpacked":
        return HOOKS
    target = tmp_path / "quiesced.pyz"
    zipapp.create_archive(HOOKS, target, main="quiesced.guardian:main", compressed=True)
    return target


def test_the_death_of_the_daemon_ends_the_connections_and_then_the_guardian(
    connection: Connection, home: Path, tmp_path: Path
) -> None:
    fd = connection.ours.fileno()
    daemon = subprocess.Popen(
        [sys.executable, "-c", DAEMON, str(home), str(fd)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=[fd],
        cwd=tmp_path,
    )
    with daemon:
        assert daemon.stdout is not None
        guardian_pid = int(daemon.stdout.readline())
        assert not connection.is_ended()
        daemon.kill()
        wait_until(connection.is_ended, 1.0)
    wait_until(lambda: not is_running(guardian_pid), 1.0)
