"""Nothing stays behind: after an orderly end, after a crash, with frozen filesystems, and never more than is the lab's."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quiesce_lab import cleanup, kernel, mounts
from quiesce_lab.errors import LabError
from quiesce_lab.instances import Instance
from quiesce_lab.journal import Entry, Journal, LoopEntry, MountEntry, ProcessEntry, TreeEntry
from quiesce_lab.kernel import ProcessId
from quiesce_lab.machine import Machine
from quiesce_lab.processes import Command, python_env
from quiesce_lab.site import Site
from tests.lab import crashing_lab
from tests.lab.machines import insist_on_real_disks, new_machine, new_state_dir
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]


def running(pid: int) -> bool:
    try:
        return ProcessId.of(pid).alive
    except OSError:
        return False


def loops_below(directory: Path) -> list[str]:
    files = Path("/sys/block").glob("loop*/loop/backing_file")
    return [text for file in files if (text := file.read_text().strip()).startswith(f"{directory}/")]


def assert_nothing_is_left(state_dir: Path, pids: dict[str, int]) -> None:
    assert not [point for point in mounts.mount_points() if point.is_relative_to(state_dir)]
    assert loops_below(state_dir) == []
    assert [name for name, pid in pids.items() if running(pid)] == []


def lab_process(state_dir: Path) -> subprocess.Popen[bytes]:
    """A lab in a process of its own."""
    command = [sys.executable, "-m", "tests.lab.crashing_lab", str(state_dir)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, env=python_env(ROOT))


def pids_of(lab: subprocess.Popen[bytes]) -> dict[str, int]:
    """What it started, once it is complete."""
    assert lab.stdout is not None
    pids: dict[str, int] = json.loads(lab.stdout.readline())
    assert all(running(pid) for pid in pids.values())
    return pids


@contextlib.contextmanager
def crashed_lab(state_dir: Path, *, with_reaper: bool) -> Iterator[dict[str, int]]:
    """A lab that is killed in the middle, with or without the process that cleans up after it."""
    with lab_process(state_dir) as lab:
        pids = pids_of(lab)
        reaper = pids.pop("reaper")
        if with_reaper:
            os.kill(reaper, signal.SIGKILL)
        lab.kill()
    yield pids


@pytest.mark.lab
def test_an_orderly_end_thaws_unmounts_detaches_and_ends_everything() -> None:
    insist_on_real_disks()
    with new_state_dir() as state_dir:
        with Machine(state_dir) as machine, Site(machine) as site:
            pids = crashing_lab.build(machine, site)
        assert_nothing_is_left(state_dir, pids)


@pytest.mark.lab
def test_a_killed_lab_leaves_nothing() -> None:
    insist_on_real_disks()
    with new_state_dir() as state_dir, crashed_lab(state_dir, with_reaper=False) as pids:
        wait_until(lambda: not state_dir.exists(), timeout_s=20)
        assert_nothing_is_left(state_dir, pids)


@pytest.mark.lab
def test_down_cleans_up_when_the_reaper_was_killed_too_and_may_be_called_again() -> None:
    insist_on_real_disks()
    with new_state_dir() as state_dir, crashed_lab(state_dir, with_reaper=True) as pids:
        assert loops_below(state_dir), "there is something to undo"
        cleanup.down(state_dir)
        assert_nothing_is_left(state_dir, pids)
        cleanup.down(state_dir)
        cleanup.sweep(state_dir)
        assert not state_dir.exists()
        cleanup.sweep(state_dir)


@pytest.mark.lab
def test_the_next_lab_undoes_what_a_dead_one_left() -> None:
    insist_on_real_disks()
    with new_state_dir() as state_dir, crashed_lab(state_dir, with_reaper=True) as pids, Machine(state_dir) as machine:
        assert_nothing_is_left(state_dir, pids)
        with Site(machine) as site:
            assert site.cloud.port, "the dead one's socket is not in the way"


@pytest.mark.lab
def test_a_new_lab_waits_until_the_reaper_of_a_dead_one_has_finished() -> None:
    insist_on_real_disks()
    with new_state_dir() as state_dir, lab_process(state_dir) as first:
        reaper = pids_of(first)["reaper"]
        os.kill(reaper, signal.SIGSTOP)
        first.kill()
        with lab_process(state_dir) as second:
            assert second.stdout is not None
            early, _, _ = select.select([second.stdout], [], [], 1.0)
            assert not early, "a reaper that comes late would undo what the new lab has done"
            os.kill(reaper, signal.SIGCONT)
            pids = pids_of(second)
            wait_until(lambda: not running(reaper))
            assert all(running(pid) for pid in pids.values())
            second.kill()
        wait_until(lambda: not state_dir.exists(), timeout_s=20)


@pytest.mark.lab
def test_a_reaper_that_removes_the_directory_just_as_a_new_lab_wants_it_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    insist_on_real_disks()
    with new_state_dir() as state_dir:
        take_away = iter([True, True])
        make = Path.mkdir

        def make_and_lose(path: Path, *args: Any, **options: Any) -> None:
            make(path, *args, **options)
            if path == state_dir and next(take_away, False):
                path.rmdir()

        monkeypatch.setattr(Path, "mkdir", make_and_lose)
        with Machine(state_dir) as machine:
            assert machine.state_dir.is_dir()


@pytest.mark.lab
def test_nothing_is_removed_through_a_mount_that_is_not_the_labs() -> None:
    insist_on_real_disks()
    with new_machine() as machine:
        point = machine.directory("ours", "not ours")
        subprocess.run(["mount", "-t", "tmpfs", "none", point], check=True)
        (point / "precious").touch()
        with pytest.raises(LabError, match="still mounted"):
            cleanup.down(machine.state_dir)
        assert (point / "precious").exists()
        subprocess.run(["umount", point], check=True)


@pytest.mark.lab
def test_what_cannot_be_undone_is_named_and_kept_for_the_next_time() -> None:
    insist_on_real_disks()
    with new_machine() as machine:
        run_dir = Instance(machine, "ins-busy").run_dir
        (run_dir / "kept").write_text("kept")
        fd = os.open(run_dir / "kept", os.O_RDONLY)  # keeps it busy
        try:
            with pytest.raises(LabError, match="busy"):
                cleanup.down(machine.state_dir)
            assert (run_dir / "kept").read_text() == "kept", "nothing is removed through a mount that is still there"
            assert MountEntry(str(run_dir)) in machine.journal.read()
        finally:
            os.close(fd)
        cleanup.down(machine.state_dir)
        assert not run_dir.exists()


def test_a_process_that_only_has_the_number_of_one_of_ours_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "100"], start_new_session=True) as stranger:
        started = ProcessId.of(stranger.pid).started
        Journal(tmp_path).write(ProcessEntry(stranger.pid, started - 1, "an earlier process with this number"))
        cleanup.down(tmp_path)
        assert stranger.poll() is None
        Journal(tmp_path).write(ProcessEntry(stranger.pid, started, "this one"))
        cleanup.down(tmp_path)
        assert stranger.wait(5) == -signal.SIGKILL


def test_children_of_a_process_that_is_gone_are_ended() -> None:
    with new_machine() as machine:
        log = machine.directory("logs") / "log"
        machine.start(Command("parent", ["/bin/sh", "-c", "sleep 1000 & echo $!"], log)).wait(5)
        child = int(log.read_text())
        assert running(child)
        cleanup.down(machine.state_dir)
        assert not running(child)


def test_a_file_that_is_not_in_the_journal_stays() -> None:
    with new_state_dir() as state_dir:
        state_dir.mkdir()
        (state_dir / "not ours").write_text("precious")
        with Machine(state_dir) as machine:
            (machine.directory("ours") / "file").touch()
            machine.file("ours too").touch()
        assert [path.name for path in state_dir.iterdir()] == ["not ours"]
        (state_dir / "not ours").unlink()
        state_dir.rmdir()


def test_everything_is_in_the_journal_before_it_is_done(tmp_path: Path) -> None:
    with new_machine() as machine:
        missing = machine.state_dir / "missing.img"
        with pytest.raises(LabError):
            machine.attach(missing)
        with pytest.raises(LabError):
            machine.mount(machine.state_dir / "point", "-t", "no-such-filesystem", "none")
        log = machine.directory("logs") / "log"
        process = machine.start(Command("cat", ["/bin/cat", machine.journal.path], log))
        assert process.wait(5) == 0
        assert f'"pid": {process.pid}' in log.read_text(), "the process can read its own entry"
        assert LoopEntry(str(missing)) in machine.journal.read()
        assert MountEntry(str(machine.state_dir / "point")) in machine.journal.read()
        (machine.state_dir / "point").rmdir()


def test_the_lab_mounts_nowhere_else(tmp_path: Path) -> None:
    with new_machine() as machine, pytest.raises(LabError, match="outside"):
        machine.mount(tmp_path, "-t", "tmpfs", "none")


@pytest.mark.parametrize(
    "entry",
    [ProcessEntry(1, 2, "a name"), MountEntry("/a b"), LoopEntry("/i.img"), TreeEntry("/tree")],
    ids=lambda entry: type(entry).__name__,
)
def test_the_journal_gives_back_what_was_written_but_for_a_torn_last_line(tmp_path: Path, entry: Entry) -> None:
    journal = Journal(tmp_path)
    assert journal.read() == ()
    journal.write(entry)
    with journal.path.open("a") as file:
        file.write('{"kind": "tree", "path": "/never/done')
    assert journal.read() == (entry,)


def test_one_lab_at_a_time_owns_a_state_directory() -> None:
    with new_machine() as machine:
        other = [
            sys.executable,
            "-c",
            f"from quiesce_lab.machine import Machine; from pathlib import Path; Machine(Path({str(machine.state_dir)!r}))",
        ]
        with subprocess.Popen(other, env=python_env(), stderr=subprocess.PIPE, text=True) as second:
            _, said = second.communicate(timeout=60)
        assert second.returncode == 1
        assert f"another lab (pid {os.getpid()}) owns" in said


def test_thawing_what_is_not_frozen_says_so(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("thawing needs root")
    assert kernel.thaw(tmp_path) is False
