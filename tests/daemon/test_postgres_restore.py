"""A backup that was begun and ended around a copy is restored from its attachments and the archived WAL."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from quiesced.quiescers.base import Scene
from quiesced.quiescers.postgres.quiescer import PostgresQuiescer
from quiesced.quiescers.postgres.session import Options
from tests.daemon import postgres
from tests.daemon.postgres import Server, needs_postgres
from tests.daemon.postgres_shop import budget
from tests.waiting import again_and_again, wait_until

pytestmark = [pytest.mark.lab, needs_postgres]
NOTHING_COVERED = Scene(covers=lambda _path: False)


@pytest.fixture
def base() -> Iterator[Path]:
    """A directory that the server's user can reach."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)


@contextmanager
def writing(server: Server) -> Iterator[None]:
    """Insert rows until the end."""
    insert = "INSERT INTO orders (item) VALUES ('during')"
    with closing(server.connect()) as session, again_and_again(lambda: session.run(insert)):
        yield


def copied(source: Path, target: Path) -> Path:
    """Copy file by file while they are written to, which is no snapshot at one moment: what the label is for."""
    shutil.copytree(source, target, symlinks=True)
    for path in (target, *target.rglob("*")):
        if not path.is_symlink():
            shutil.chown(path, "postgres", "postgres")
    return target


def test_a_copy_that_was_not_made_at_one_moment_is_restored_by_label_map_and_archive(base: Path) -> None:
    archive, space = postgres.own(base / "archive"), postgres.own(base / "space")
    archiving = ("archive_mode=on", f"archive_command=cp %p {archive}/%f")
    datadir = postgres.install(base / "cluster")
    with postgres.running(datadir, run_dir=base / "run", settings=archiving) as server:
        server.ask(f"CREATE TABLESPACE far LOCATION '{space}'")
        server.ask("CREATE TABLE orders (id SERIAL PRIMARY KEY, item TEXT) TABLESPACE far")
        server.ask("INSERT INTO orders (item) SELECT 'before' FROM generate_series(1, 1000)")
        quiescer = PostgresQuiescer("ledger", Options(server.socket_dir, "postgres"))
        assert quiescer.check(NOTHING_COVERED).mode == "backup_api"
        hold = quiescer.prepare(budget(), NOTHING_COVERED, lambda _leftover: None)
        with writing(server):
            hold.quiesce(budget())
            copy, far = copied(datadir, base / "copy"), copied(space, base / "far")
            hold.release()
            after = "SELECT count(*) FROM orders WHERE item = 'before'"
            assert server.value(after) == 1000
        segment = str(server.value("SELECT pg_walfile_name(pg_switch_wal())"))
        wait_until((archive / segment).exists, timeout_s=20)
    attached = dict(hold.attachments())
    assert set(attached) == {"backup_label", "tablespace_map", "backup_stop_lsn"}
    (copy / "postmaster.pid").unlink()
    (copy / "backup_label").write_text(attached["backup_label"])
    (copy / "tablespace_map").write_text(attached["tablespace_map"].replace(str(space), str(far)))
    (copy / "recovery.signal").touch()
    for name in ("backup_label", "tablespace_map", "recovery.signal"):
        shutil.chown(copy / name, "postgres", "postgres")
    recovery = (f"restore_command=cp {archive}/%f %p", "recovery_target=immediate", "recovery_target_action=promote")
    with postgres.running(copy, run_dir=base / "again", settings=recovery) as restored:
        wait_until(lambda: restored.value("SELECT pg_is_in_recovery()") is False, timeout_s=20)
        stop_lsn = attached["backup_stop_lsn"].strip()
        assert restored.value(f"SELECT pg_current_wal_lsn() >= '{stop_lsn}'::pg_lsn") is True
        assert restored.value("SELECT count(*) FROM orders WHERE item = 'before'") == 1000
        assert restored.value("SELECT count(*) FROM orders WHERE item = 'during'") > 0
        where = "SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname = 'far'"
        assert restored.value(where) == str(far)
