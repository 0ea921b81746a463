"""One process at a time may hold on a machine: the service, a rehearsal, or whoever restarts the service."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from quiesced.keeper import Keeper
from quiesced.place import Place
from tests.daemon.fakes import FakeInstance, quiesce, release
from tests.daemon.keeper_on_fakes import refused_with
from tests.daemon.test_cli import Host, host

__all__ = ["host"]  # the fixture


@pytest.fixture
def other(tmp_path: Path) -> Place:
    """The place as another process sees it, for the keeper of the fakes."""
    return Place(tmp_path / "state")


def test_nothing_is_held_while_another_process_has_the_place(keeper: Keeper, instance: FakeInstance, other: Place) -> None:
    assert other.take()
    assert refused_with(keeper.quiesce(quiesce())) == "busy"
    assert instance.holds_nothing() and not instance.guardians
    other.leave()
    assert keeper.quiesce(quiesce("lease-2", run_id="run-2")).state == "held"


def test_the_place_is_taken_from_the_preparation_to_the_release(keeper: Keeper, other: Place) -> None:
    keeper.prepare(quiesce())
    assert not other.take()
    keeper.quiesce(quiesce())
    assert not other.take()
    keeper.release(release())
    assert other.take()


def test_a_hold_that_was_refused_gives_the_place_back(keeper: Keeper, instance: FakeInstance, other: Place) -> None:
    instance.kernel.refuses["disk-1"] = 5
    assert refused_with(keeper.quiesce(quiesce())) == "freeze_failed"
    assert other.take()


def test_the_kernel_frees_the_place_of_a_process_that_was_killed(tmp_path: Path) -> None:
    hooks = Path(__file__).parents[2] / "hooks"
    code = (
        f"import sys; sys.path.insert(0, {str(hooks)!r}); from pathlib import Path; from quiesced.place import Place; "
        f"place = Place(Path({str(tmp_path)!r})); print(place.take(), flush=True); sys.stdin.read()"
    )
    argv = [sys.executable, "-I", "-S", "-c", code]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stdout.readline() == b"True\n"
        place = Place(tmp_path)
        assert not place.take()
        process.kill()
        process.wait()
        assert place.take()
        place.leave()


def test_a_command_runs_when_nothing_is_held_and_its_exit_status_is_told(host: Host) -> None:
    take = f"from pathlib import Path; from quiesced.place import Place; exit(Place(Path('{host.directory}/run')).take())"
    assert host.run("when-idle", "--", sys.executable, "-c", take).returncode == 0  # the place is not to be had
    assert host.run("when-idle", "sh", "-c", "exit 7").returncode == 7


def test_a_command_is_not_run_while_something_is_held_all_the_time(host: Host) -> None:
    place = Place(host.directory / "run")
    assert place.take()
    done = host.run("when-idle", "--wait-s", "0.1", "touch", str(host.directory / "ran"))
    place.leave()
    assert (done.returncode, (host.directory / "ran").exists()) == (1, False)
    assert "nothing was run" in done.stderr


def test_a_command_waits_for_the_end_of_a_hold(host: Host) -> None:
    place = Place(host.directory / "run")
    assert place.take()
    left_s: list[float] = []

    def leave() -> None:
        left_s.append(time.time())
        place.leave()

    threading.Timer(0.5, leave).start()
    assert host.run("when-idle", "touch", str(host.directory / "ran")).returncode == 0
    assert (host.directory / "ran").stat().st_mtime >= left_s[0] - 0.01  # file times come in ticks of the kernel


@pytest.mark.parametrize("arguments", [(), ("--",)])
def test_no_command_at_all_is_wrong_usage(host: Host, arguments: tuple[str, ...]) -> None:
    assert host.run("when-idle", *arguments).returncode == 2
