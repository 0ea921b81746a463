"""Every path that a real server writes is found on the disk that it lies on, and one outside of the set is named."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from quiesced.listing import lines
from quiesced.messages import Application, CheckAnswer
from quiesced.preview import preview
from quiesced.quiescers.base import Quiescer
from quiesced.quiescers.mysql.quiescer import MysqlQuiescer
from quiesced.quiescers.mysql.session import AUTO
from quiesced.quiescers.mysql.session import Options as MysqlOptions
from quiesced.quiescers.postgres.quiescer import PostgresQuiescer
from quiesced.quiescers.postgres.session import Options as PostgresOptions
from quiesced.quiescers.redis.quiescer import RedisQuiescer
from quiesced.quiescers.redis.session import Options as RedisOptions
from quiesced.survey import LinuxSurveyor
from tests.daemon import mariadb, postgres, redis_server
from tests.daemon.fakes import config
from tests.daemon.loopdisks import LoopDisks, loop_disks, needs_root
from tests.daemon.mariadb import needs_mariadb
from tests.daemon.postgres import needs_postgres
from tests.daemon.redis_server import needs_redis

pytestmark = [pytest.mark.lab, needs_root]
SET, OUTSIDE = "disk-0", "disk-1"


@pytest.fixture
def disks() -> Iterator[LoopDisks]:
    """Two disks, in a place that a server's own user can reach, and with a path short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="q-", dir="/var/tmp") as home:
        Path(home).chmod(0o755)
        with loop_disks(Path(home), ("ext4", "ext4"), size_mib=1024) as made:
            for disk in made.disks:
                disk.mount_point.chmod(0o777)
            yield made


def check(quiescer: Quiescer, disks: LoopDisks, tmp_path: Path) -> tuple[Application, CheckAnswer]:
    """What check says of a set of the first disk alone."""
    surveyor = LinuxSurveyor(config(tmp_path, by_id_dir=disks.by_id_dir))
    answer = preview([SET], [quiescer], surveyor, (), 0)
    (application,) = answer.applications
    return application, answer


def on(application: Application, disk_id: str, *, scratch: bool = False) -> set[str]:
    """Roles of the paths on a disk."""
    return {path.role for path in application.paths if path.disk_id == disk_id and path.scratch is scratch}


@needs_mariadb
@pytest.mark.parametrize(
    ("role", "option"),
    [
        ("innodb_log_group_home_dir", "--innodb-log-group-home-dir={}"),
        ("innodb_undo_directory", "--innodb-undo-directory={}"),
        ("log_bin_basename", "--log-bin={}/binlog"),
    ],
)
def test_what_mysql_keeps_on_another_disk_is_found(disks: LoopDisks, tmp_path: Path, role: str, option: str) -> None:
    datadir, elsewhere = disks.disks[0].mount_point / "data", disks.disks[1].mount_point / "other"
    elsewhere.mkdir()
    mariadb.install(datadir)
    if "log-group" in option:
        (elsewhere / "ib_logfile0").write_bytes((datadir / "ib_logfile0").read_bytes())
        (datadir / "ib_logfile0").unlink()
    with mariadb.running(datadir, "--server-id=1", option.format(elsewhere)) as server:
        quiescer = MysqlQuiescer("orders", MysqlOptions(server.socket, "root", "", 5.0, 5.0, mode=AUTO))
        application, answer = check(quiescer, disks, tmp_path)
    assert "datadir" in on(application, SET)
    assert role in on(application, OUTSIDE)
    assert application.mode == "lock"  # the backup stages want every path on the set
    assert str(elsewhere) in application.mode_reason
    assert any("NOT on a disk of this set" in line and str(elsewhere) in line for line in lines(answer))


@needs_mariadb
def test_a_datadir_outside_a_tmpdir_and_a_linked_tablespace_are_found(disks: LoopDisks, tmp_path: Path) -> None:
    datadir, elsewhere = disks.disks[0].mount_point / "data", disks.disks[1].mount_point / "other"
    elsewhere.mkdir(mode=0o777)
    mariadb.install(datadir)
    with mariadb.running(datadir, "--server-id=1", f"--innodb-tmpdir={elsewhere}") as server:
        server.ask("CREATE DATABASE shop")
        server.ask(f"CREATE TABLE shop.far (id INT PRIMARY KEY) ENGINE=InnoDB DATA DIRECTORY='{elsewhere}'")
        quiescer = MysqlQuiescer("orders", MysqlOptions(server.socket, "root", "", 5.0, 5.0))
        application, _ = check(quiescer, disks, tmp_path)
        turned_round = preview([OUTSIDE], [quiescer], LinuxSurveyor(config(tmp_path, by_id_dir=disks.by_id_dir)), (), 0)
    assert on(application, OUTSIDE) == {"tablespace"}
    assert on(application, OUTSIDE, scratch=True) == {"innodb_tmpdir"}
    assert any("datadir" in line and "NOT on a disk" in line for line in lines(turned_round))


@needs_postgres
def test_what_postgres_keeps_on_another_disk_is_found(disks: LoopDisks, tmp_path: Path) -> None:
    home, elsewhere = disks.disks[0].mount_point / "pg", disks.disks[1].mount_point
    datadir = postgres.install(home, waldir=postgres.own(elsewhere / "wal") / "pg_wal")
    run_dir = disks.disks[0].mount_point / "run"
    with postgres.running(datadir, run_dir=run_dir) as server:
        spaces = postgres.own(elsewhere / "spaces")
        server.ask(f"CREATE TABLESPACE far LOCATION '{spaces}'")
        application, _ = check(PostgresQuiescer("ledger", PostgresOptions(run_dir, "postgres")), disks, tmp_path)
    found = {path.path: path.disk_id for path in application.paths if not path.scratch}
    assert found[str(datadir)] == SET
    assert found[str(elsewhere / "wal" / "pg_wal")] == OUTSIDE
    assert found[str(spaces)] == OUTSIDE
    assert application.mode == "backup_api"


@needs_redis
def test_what_redis_keeps_on_another_disk_is_found(disks: LoopDisks, tmp_path: Path) -> None:
    home, elsewhere = disks.disks[0].mount_point / "redis", disks.disks[1].mount_point / "aof"
    with redis_server.running(home, "--appendonly", "yes", "--save", ""):
        pass  # it makes its files by renaming, which takes one filesystem: they are moved afterwards
    shutil.copytree(home / "appendonlydir", elsewhere)
    shutil.rmtree(home / "appendonlydir")
    (home / "appendonlydir").symlink_to(elsewhere)
    with ExitStack() as servers:
        linked = servers.enter_context(redis_server.running(home, "--appendonly", "yes", "--save", ""))
        quiescer = RedisQuiescer("cache", RedisOptions(linked.socket, None, None))
        application, _ = check(quiescer, disks, tmp_path)
        assert (on(application, SET), on(application, OUTSIDE)) == ({"dir", "dbfilename"}, {"appenddirname"})
        other = servers.enter_context(redis_server.running(disks.disks[1].mount_point / "second", "--save", ""))
        moved, answer = check(RedisQuiescer("cache", RedisOptions(other.socket, None, None)), disks, tmp_path)
    assert on(moved, OUTSIDE) == {"dir", "dbfilename"}
    assert sum("NOT on a disk of this set" in line for line in lines(answer)) == 2


def test_a_path_is_shown_with_its_mount_and_its_device(disks: LoopDisks, tmp_path: Path) -> None:
    surveyor = LinuxSurveyor(config(tmp_path, by_id_dir=disks.by_id_dir))
    place = surveyor.place_of(disks.disks[0].mount_point / "not/yet")
    assert (place.disk_id, place.mount_point) == (SET, str(disks.disks[0].mount_point))
    assert place.device is not None
    assert place.device.startswith("loop")
