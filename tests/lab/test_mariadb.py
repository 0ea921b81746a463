"""The lab's database server, and what a second one finds on a restored disk."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from quiesce_lab.blocks import LoopBlocks
from quiesce_lab.engines.mariadb import MariaDB, Options
from quiesce_lab.engines.mariadb_restore import moved, read_mariadb
from quiesce_lab.errors import LabError
from quiesce_lab.instances import Instance
from quiesce_lab.load import MARIADB, Load
from quiesce_lab.machine import Machine
from quiesce_lab.pool import Pool
from quiesce_lab.restore import restored_disks
from quiesce_lab.verifier import Restored, Verdict, Window, judge
from tests.lab.machines import insist_on_real_disks, new_machine

pytestmark = pytest.mark.lab
SMALL = Options(buffer_pool_mib=32, redo_log_mib=32)
SIZE_GIB = 10


@dataclass(frozen=True)
class Shop:
    """An instance with a database under load on one disk or four."""

    machine: Machine
    blocks: LoopBlocks
    instance: Instance
    elsewhere: Instance
    database: MariaDB
    load: Load
    mounts: dict[str, Path]

    def cut(self, name: str) -> Window:
        """Snapshot every disk, one after the other, with nothing held that the caller does not hold."""
        began = time.monotonic()
        for number in range(len(self.mounts)):
            self.blocks.snapshot(f"disk-{number}", f"{name}-{number}")
        return Window(began, began, time.monotonic())

    @contextlib.contextmanager
    def restored(self, name: str) -> Iterator[tuple[Path, Options]]:
        """The data directory of a set of snapshots on new disks, and the options for a server there."""
        snapshots = {path: f"{name}-{number}" for number, path in enumerate(self.mounts)}
        with restored_disks(self.blocks, self.elsewhere, snapshots, SIZE_GIB) as mounted:
            options = moved(self.database.options, {self.mounts[path]: mounted[path] for path in mounted})
            yield mounted["/data"] / "mysql", options

    def judge(self, name: str, window: Window) -> Verdict:
        """Restore a set of snapshots and judge it."""
        self.load.wait_until_acked(self.load.acked() + 200)
        with self.restored(name) as (datadir, options):
            found = read_mariadb(self.machine, datadir, self.elsewhere, options)
        return judge(self.load.writes, found, window)

    def hold_as_documented(self) -> contextlib.ExitStack:
        """FLUSH TABLES WITH READ LOCK in a session that is kept, then sync: let go by closing."""
        held = contextlib.ExitStack()
        cursor = held.enter_context(held.enter_context(self.database.connect()).cursor())
        cursor.execute("FLUSH TABLES WITH READ LOCK")
        os.sync()
        return held


@contextlib.contextmanager
def shop(options: Options, *, fs: str = "ext4", disks: int = 1) -> Iterator[Shop]:
    insist_on_real_disks()
    with new_machine() as machine:
        blocks, instance = LoopBlocks(Pool(machine)), Instance(machine, "ins-shop")
        elsewhere = Instance(machine, "ins-elsewhere")
        mounts = {}
        for number, path in enumerate(("/data", "/redo", "/binlog", "/undo")[:disks]):
            blocks.create(f"disk-{number}", SIZE_GIB)
            blocks.attach(f"disk-{number}", "ins-shop")
            instance.format(f"disk-{number}", fs)
            mounts[path] = instance.mount(f"disk-{number}", path)
        part = {path: point / "mysql" for path, point in mounts.items()}
        options = replace(options, redo_dir=part.get("/redo"), binlog_dir=part.get("/binlog"), undo_dir=part.get("/undo"))
        database = MariaDB(machine, part["/data"], run_dir=instance.run_dir / "mysqld", options=options)
        database.install()
        database.start()
        load = Load(machine, MARIADB, database.socket, machine.directory("ledgers") / "ledger.csv")
        load.start()
        load.wait_until_acked(500)
        yield Shop(machine, blocks, instance, elsewhere, database, load, mounts)
        load.stop()
        database.stop()


def test_a_strict_server_loses_nothing_without_any_hold_but_is_not_held() -> None:
    with shop(SMALL) as here:
        verdict = here.judge("snap", here.cut("snap"))
        assert verdict.intact, verdict
        assert verdict.rows > 400


@pytest.mark.parametrize("held", [pytest.param(False, id="nothing held"), pytest.param(True, id="as documented")])
def test_a_relaxed_server_loses_commits_with_and_without_the_documented_hold(held: bool) -> None:
    with shop(replace(SMALL, flush_log_at_trx_commit=0, sync_binlog=0)) as here:
        lost = []
        for number in range(4):  # a snapshot just after the log was flushed, as it is once a second, may lose nothing
            here.load.wait_until_acked(here.load.acked() + 500)
            with here.hold_as_documented() if held else contextlib.nullcontext():
                window = here.cut(f"snap{number}")
            verdict = here.judge(f"snap{number}", window)
            assert verdict.starts
            lost.append(verdict.lost)
        assert max(lost) > 0


@pytest.mark.parametrize("fs", ["ext4", "xfs"])
def test_a_strict_server_held_as_documented_is_restored_to_the_moment_of_the_hold(fs: str) -> None:
    with shop(SMALL, fs=fs) as here:
        with here.hold_as_documented():
            window = here.cut("snap")
        verdict = here.judge("snap", window)
        assert verdict.consistent, verdict


def test_four_disks_are_restored_with_every_part_in_its_place() -> None:
    with shop(SMALL, disks=4) as here:
        assert len(list((here.mounts["/undo"] / "mysql").glob("undo*"))) == 2
        assert (here.mounts["/redo"] / "mysql/ib_logfile0").exists()
        with here.hold_as_documented():
            here.load.wait_until_acked(1)
            window = here.cut("snap")
        with here.restored("snap") as (datadir, options):
            assert options.binlog_dir is not None
            found = read_mariadb(here.machine, datadir, here.elsewhere, options)
            index = (options.binlog_dir / "binlog.index").read_text()
        assert str(here.mounts["/binlog"]) not in index, "the second server stays away from the first one's files"
        verdict = judge(here.load.writes, found, window)
        assert (verdict.starts, verdict.lost) == (True, 0), verdict


def test_a_data_directory_that_cannot_be_recovered_is_a_verdict_with_the_servers_own_words() -> None:
    with shop(SMALL) as here:
        here.cut("snap")
        with here.restored("snap") as (datadir, options):
            (datadir / "ibdata1").write_bytes(b"\0" * 4096)
            found = read_mariadb(here.machine, datadir, here.elsewhere, options)
        assert found == Restored(starts=False, error_log=found.error_log)
        assert any("ERROR" in line for line in found.error_log), found.error_log


def test_a_killed_server_starts_again_with_all_it_acknowledged() -> None:
    with shop(SMALL) as here:
        here.database.kill()
        assert not here.database.process.running
        here.database.start()
        here.load.wait_until_acked(here.load.acked() + 100)
        here.load.stop()
        with here.database.connect() as session, session.cursor() as cursor:
            cursor.execute("SELECT writer, seq FROM lab.writes")
            rows = set(cursor.fetchall())
        acked = {write.key for write in here.load.writes if write.acked_at is not None}
        assert acked <= rows


def test_the_server_keeps_what_is_not_data_off_the_disk_and_off_the_network() -> None:
    with shop(SMALL) as here:
        with here.database.connect() as session, session.cursor() as cursor:
            cursor.execute("SELECT @@socket, @@pid_file, @@tmpdir, @@skip_networking, @@log_bin, @@gtid_strict_mode")
            socket, pid_file, tmpdir, offline, log_bin, strict = cursor.fetchone() or ()
        assert all(Path(path).is_relative_to(here.instance.run_dir) for path in (socket, pid_file, tmpdir))
        assert (offline, log_bin, strict) == (1, 1, 1)
        with pytest.raises(LabError, match="not been started"):
            _ = MariaDB(here.machine, Path("/x"), run_dir=Path("/x"), options=SMALL).process
