"""How the server itself shows that the global read lock is in force, asked from another session.

MySQL and MariaDB list metadata locks in performance_schema when the instrument is on (MySQL: by default; MariaDB: not).
MariaDB has a plugin for it as well. Where neither is there, an empty XA transaction is asked to prepare: that takes the
commit lock that FLUSH TABLES WITH READ LOCK denies, is refused at once (error 1205) while the lock is *granted*, goes
through while it is only waited for, needs no privilege, writes nothing to any log, and is rolled back (measured on
MariaDB 10.11; BACKUP STAGE START, in contrast, is compatible with that lock and shows nothing).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from quiesced.quiescers.mysql_session import LOST, Flavor, Session

LOCK_WAIT_TIMEOUT = 1205
_INSTRUMENT = (
    "SELECT COUNT(*) FROM performance_schema.setup_instruments WHERE name = 'wait/lock/metadata/sql/mdl' AND enabled = 'YES'"
)
_PLUGIN = (
    "SELECT COUNT(*) FROM information_schema.plugins WHERE plugin_name = 'METADATA_LOCK_INFO' AND plugin_status = 'ACTIVE'"
)


class LockView(Protocol):
    """One way in which a server shows the lock."""

    @property
    def evidence(self) -> str:
        """What is true when ``shows`` is, in words."""

    def shows(self, control: Session, lock_session_id: int) -> bool:
        """Ask whether the lock is in force. Raises what LOST names."""


@dataclass(frozen=True)
class ListedLock:
    """The server lists the lock as granted to the session: ``query`` counts ``expected`` rows."""

    query: str
    expected: int
    evidence: str

    def shows(self, control: Session, lock_session_id: int) -> bool:
        """See LockView."""
        return bool(control.value(self.query, lock_session_id) == self.expected)


class RefusedCommit:
    """A second session is refused the commit lock."""

    evidence = "a second session was refused the commit lock (XA PREPARE, error 1205)"

    def shows(self, control: Session, lock_session_id: int) -> bool:
        """See LockView. That it is this session's lock follows from its being idle and the guard before it."""
        return commit_is_refused(control)


_OWNED = (
    "SELECT COUNT(DISTINCT l.object_type) FROM performance_schema.metadata_locks l "
    "JOIN performance_schema.threads t ON t.thread_id = l.owner_thread_id "
    "WHERE t.processlist_id = %s AND l.lock_status = 'GRANTED' AND "
)
MYSQL_VIEW = ListedLock(
    _OWNED + "l.object_type IN ('GLOBAL', 'COMMIT') AND l.lock_type = 'SHARED'",
    2,
    "performance_schema.metadata_locks lists GLOBAL and COMMIT as granted to the session",
)
_MARIADB_VIEWS: tuple[tuple[str, ListedLock], ...] = (
    (
        _INSTRUMENT,
        ListedLock(
            _OWNED + "l.object_type = 'BACKUP' AND l.lock_type = 'BACKUP_FTWRL2'",
            1,
            "performance_schema.metadata_locks lists BACKUP_FTWRL2 as granted to the session",
        ),
    ),
    (
        _PLUGIN,
        ListedLock(
            "SELECT COUNT(*) FROM information_schema.metadata_lock_info "
            "WHERE thread_id = %s AND lock_mode = 'MDL_BACKUP_FTWRL2'",
            1,
            "information_schema.metadata_lock_info lists MDL_BACKUP_FTWRL2 for the session",
        ),
    ),
)


def choose_view(control: Session, flavor: Flavor) -> LockView:
    """Choose how this server will show the lock."""
    if not flavor.mariadb:
        return MYSQL_VIEW
    for available, view in _MARIADB_VIEWS:
        if _usable(control, available, view):
            return view
    return RefusedCommit()


def _usable(control: Session, available: str, view: ListedLock) -> bool:
    try:
        return bool(control.value(available)) and not view.shows(control, control.id)
    except LOST:
        return False  # not compiled in, or no SELECT there: the next way is as good


def mysql_lists_locks(control: Session) -> bool:
    """Say whether a MySQL server lists metadata locks, and lets this user read them."""
    try:
        return bool(control.value(_INSTRUMENT)) and not MYSQL_VIEW.shows(control, control.id)
    except LOST:
        return False


def fail_at_once(control: Session, flavor: Flavor) -> None:
    """Make the control session wait for no lock: 0 s on MariaDB, 1 s on MySQL, whose smallest value it is."""
    control.run(f"SET SESSION lock_wait_timeout = {0 if flavor.mariadb else 1}")


def commit_is_refused(control: Session) -> bool:
    """Ask a MariaDB server whether a commit would have to wait. Needs ``fail_at_once``. Raises what LOST names."""
    xid = f"'quiesced-{control.id}'"
    control.run(f"XA START {xid}")
    control.run(f"XA END {xid}")
    if not _goes_through(control, f"XA PREPARE {xid}"):
        return True
    if not _goes_through(control, f"XA ROLLBACK {xid}"):
        # A lock was granted in between. A prepared transaction outlives its session, so wait for the rollback.
        control.run("SET SESSION lock_wait_timeout = 4")
        control.run(f"XA ROLLBACK {xid}")
        control.run("SET SESSION lock_wait_timeout = 0")
    return False


def backup_is_refused(control: Session) -> bool:
    """Ask a MariaDB server whether another backup is under way. Needs ``fail_at_once``. Raises what LOST names.

    BACKUP STAGE START waits only for other BACKUP STAGEs and blocks nothing but them.
    """
    if not _goes_through(control, "BACKUP STAGE START"):
        return True
    control.run("BACKUP STAGE END")
    return False


def _goes_through(control: Session, statement: str) -> bool:
    """Run a statement; False when a lock stands in its way."""
    try:
        control.run(statement)
    except LOST as error:
        if error.args and error.args[0] == LOCK_WAIT_TIMEOUT:
            return False
        raise
    return True
