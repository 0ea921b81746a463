"""Looking at a PostgreSQL server that is held: nobody is kept waiting for an answer that does not come."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from quiesced.quiescers.postgres.hold import LOOK_AGAIN_LIMIT_S, LOOK_LIMIT_S, PostgresHold
from quiesced.quiescers.postgres.session import STATEMENT_TIMEOUT_S, Row, Session
from quiesced.quiescers.postgres.wal import Wal

PID = 4711
NO_FILES = Wal(Path("/nonexistent"), 1 << 24, 8192)


class Answering:
    """A session that answers, or from some moment on waits for as long as it is told to."""

    pid, started, version, identity = PID, "now", 150018, "backend 4711 since now"

    def __init__(self) -> None:
        self.silent = False
        self.waited_s: list[float] = []

    def rows(self, statement: str, *, within_s: float = STATEMENT_TIMEOUT_S, **_: object) -> list[Row]:
        if self.silent:
            self.waited_s.append(within_s)
            raise TimeoutError("timed out")
        return [[PID, "0/2903620", "00000001"]] if "pg_current_wal_lsn" in statement else [["0/2903620", True]]

    def is_open(self) -> bool:
        return True

    def value(self, statement: str, *, within_s: float = STATEMENT_TIMEOUT_S, **values: object) -> object:
        return self.rows(statement, within_s=within_s, **values)[0][0]


def test_where_the_files_cannot_be_read_the_servers_word_stands_and_the_evidence_says_so() -> None:
    hold = PostgresHold("ledger", cast(Session, Answering()), mode=("freeze", ""), wal=NO_FILES)
    hold.begin(20.0)

    seen = hold.witness()

    assert (seen.position["wal_lsn"], seen.lock_shown) == ("0/2903620", True)
    assert "its files could not be read (No such file or directory)" in seen.lock_evidence


@pytest.mark.parametrize("when", ["first", "second"])
def test_a_server_that_falls_silent_is_looked_at_once_and_not_for_as_long_as_a_statement(when: str) -> None:
    session = Answering()
    hold = PostgresHold("ledger", cast(Session, session), mode=("freeze", ""), wal=NO_FILES)
    hold.begin(20.0)
    if when == "second":
        assert hold.witness().session_alive
    session.silent = True

    seen = hold.witness()

    assert (seen.session_alive, seen.lock_shown, seen.lock_evidence) == (False, False, "timed out")
    assert session.waited_s == [LOOK_LIMIT_S if when == "first" else LOOK_AGAIN_LIMIT_S]
    assert LOOK_AGAIN_LIMIT_S < LOOK_LIMIT_S < STATEMENT_TIMEOUT_S
