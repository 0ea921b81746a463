"""What stands in the way of a hold of a PostgreSQL server: privileges, and what it is busy with."""

from __future__ import annotations

from collections.abc import Iterator

from quiesced.messages import Refusal
from quiesced.quiescers.postgres.session import Session

EMIT = "SELECT pg_logical_emit_message(true, 'quiesced', '')"
"""A transaction that writes WAL: the commit of one that merely has an id (txid_current) is not flushed
(RecordTransactionCommit in xact.c). Open to everybody by default."""


def missing_grants(session: Session, user: str, name: str) -> tuple[Refusal, ...]:
    """Name the GRANT for everything that the user may not do. Raises what LOST names."""
    if session.value("SELECT rolsuper FROM pg_roles WHERE rolname = current_user"):
        return ()
    return tuple(Refusal("application_unreachable", f"{name}: {text}") for text in _lacking(session, user))


def _lacking(session: Session, user: str) -> Iterator[str]:
    for role, why in (("pg_read_all_settings", "where its files are"), ("pg_read_all_stats", "what it is busy with")):
        if not _has_role(session, role):
            yield f"{user} may not see {why}; run GRANT pg_monitor TO {user}"
            break
    if session.version < 150000:
        yield f"only a superuser may checkpoint before version 15; run ALTER ROLE {user} SUPERUSER"
        return
    if not _has_role(session, "pg_checkpoint"):
        yield f"{user} may not checkpoint; run GRANT pg_checkpoint TO {user}"


def missing_backup_grants(session: Session, user: str, name: str) -> tuple[Refusal, ...]:
    """Name the GRANT for each function of the backup API that the user may not call. Raises what LOST names."""
    calls = ("pg_start_backup(text, boolean, boolean)", "pg_stop_backup(boolean, boolean)")
    if session.version >= 150000:
        calls = ("pg_backup_start(text, boolean)", "pg_backup_stop(boolean)")
    may = [(call, session.value("SELECT has_function_privilege(:call, 'EXECUTE')", call=call)) for call in calls]
    return tuple(
        Refusal("application_unreachable", f"{name}: run GRANT EXECUTE ON FUNCTION {call} TO {user} in {database}")
        for database in (session.value("SELECT current_database()"),)
        for call, allowed in may
        if not allowed
    )


def _has_role(session: Session, role: str) -> bool:
    return bool(session.value("SELECT pg_has_role(current_user, :role, 'USAGE')", role=role))


def obstacles(session: Session, name: str, mode: str) -> tuple[Refusal, ...]:
    """Look at everything that would keep a hold from being worth its level. Raises what LOST names."""
    if session.value("SELECT pg_is_in_recovery()"):
        text = f"{name}: is a standby, whose position moves by replay; take the snapshots on the primary"
        return (Refusal("blocked", text),)
    return (*_not_durable(session, name), *_busy(session, name), *_backup(session, name, mode))


def _not_durable(session: Session, name: str) -> Iterator[Refusal]:
    if session.value("SELECT current_setting('fsync')") != "on":
        yield Refusal("not_durable", f"{name}: fsync is off, so nothing is known to be on disk; set fsync = on")
    if session.value("SELECT current_setting('synchronous_commit')") == "off":
        text = "synchronous_commit is off, so commits are acknowledged before they are on disk; set it to local or more"
        yield Refusal("not_durable", f"{name}: {text}")
    for whom in session.rows(_SWITCHED_OFF):
        text = f"synchronous_commit is off for {whom[0]}; run ALTER {whom[0]} RESET synchronous_commit"
        yield Refusal("not_durable", f"{name}: {text}")


_SWITCHED_OFF = """
SELECT CASE WHEN s.setrole = 0 THEN format('DATABASE %I', d.datname)
            WHEN s.setdatabase = 0 THEN format('ROLE %I', r.rolname)
            ELSE format('ROLE %I IN DATABASE %I', r.rolname, d.datname) END
  FROM pg_db_role_setting s CROSS JOIN unnest(s.setconfig) AS c
  LEFT JOIN pg_database d ON d.oid = s.setdatabase LEFT JOIN pg_roles r ON r.oid = s.setrole
 WHERE split_part(c, '=', 1) = 'synchronous_commit'
   AND lower(split_part(c, '=', 2)) IN ('off', 'of', 'false', 'fals', 'fal', 'fa', 'f', 'no', 'n', '0')
 ORDER BY 1
"""


def _busy(session: Session, name: str) -> Iterator[Refusal]:
    """Another backup where it shows: pg_basebackup does; a call of pg_backup_start does not, since version 15."""
    for (pid,) in session.rows(
        "SELECT pid FROM pg_stat_progress_basebackup" if session.version >= 130000 else "SELECT 0 WHERE false"
    ):
        yield Refusal("blocked", f"{name}: a base backup is under way (process {pid}); wait for its end")
    if session.version < 150000 and session.value("SELECT pg_is_in_backup()"):
        yield Refusal("blocked", f"{name}: an exclusive backup is under way; run SELECT pg_stop_backup()")


def _backup(session: Session, name: str, mode: str) -> Iterator[Refusal]:
    if mode == "backup_api" and session.value("SELECT current_setting('wal_level')") == "minimal":
        yield Refusal("blocked", f"{name}: a backup needs more than wal_level = minimal; set wal_level = replica")
