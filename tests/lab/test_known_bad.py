"""Procedures that are known to be wrong: the certificate withholds its level, and the verifier finds the damage."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from quiesce_lab.stage import Stage
from quiesce_lab.trial import Trial, by_function, run_trial
from tests.lab.situations import assert_writable

pytestmark = pytest.mark.lab
BAD_HOOK = str(Path(__file__).with_name("bad_hook.py"))
ATTEMPTS = 6


@contextmanager
def bad_hook(lab: Stage, kind: str) -> Iterator[None]:
    """Run the bad hook in the daemon's place."""
    lab.daemon.stop()
    bad = replace(lab.daemon, program=("-B", BAD_HOOK, kind))
    bad.start()
    try:
        yield
    finally:
        bad.process.kill()
        lab.daemon.start()


@contextmanager
def long_statement(lab: Stage, seconds: float) -> Iterator[None]:
    """Something that FLUSH TABLES WITH READ LOCK has to wait for: a statement that writes and takes its time."""
    with lab.host.database.connect() as session, session.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS lab.slow (n DOUBLE) ENGINE=InnoDB")
        statement = f"INSERT INTO lab.slow SELECT SLEEP({seconds:g})"
        thread = threading.Thread(target=cursor.execute, args=(statement,), daemon=True)
        thread.start()
        yield
        thread.join()


def caught(trial: Trial) -> bool:
    """Whether the verifier finds anything wrong with the restore or with the hold."""
    return not trial.verdict.consistent


@pytest.mark.parametrize("kind", ["session ends", "still waiting", "thaws early"])
def test_the_certificate_and_the_verifier_refuse(lab: Stage, kind: str) -> None:
    lab.host.set_durability(0)
    trials: list[Trial] = []
    with bad_hook(lab, kind):
        for _ in range(ATTEMPTS):
            with ExitStack() as around:
                if kind == "still waiting":
                    around.enter_context(long_statement(lab, 2.0))
                trials.append(run_trial(lab.host, by_function(lab.fire)))
            if caught(trials[-1]):
                break
    assert_writable(lab, within_s=5)
    assert all(trial.taken.said["level"] in ("crash", "filesystem") for trial in trials), trials[-1].taken.said
    assert trials[-1].taken.said["reasons"]
    assert caught(trials[-1]), trials[-1].verdict
