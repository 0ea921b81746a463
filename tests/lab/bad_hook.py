"""A hook that answers *held* without evidence, in one of the ways known from published recipes.

Run as ``python bad_hook.py KIND serve --config FILE``. It is quiesced with its own checks taken out and one hold replaced;
its witnesses stay honest, because the point is whether the certificate reads them.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

HOOKS = Path(__file__).resolve().parents[2] / "hooks"
sys.path.insert(0, str(HOOKS))

from quiesced import cli, freeze, instance_hold, keeper, witness  # noqa: E402 - the path comes first
from quiesced.messages import Witness  # noqa: E402
from quiesced.quiescers.base import Budget  # noqa: E402
from quiesced.quiescers.mysql import quiescer  # noqa: E402
from quiesced.quiescers.mysql.hold import MysqlHold  # noqa: E402
from quiesced.quiescers.mysql.session import Session  # noqa: E402


class SessionEnds(MysqlHold):
    """FTWRL in a session that ends before the snapshot: ``mysql -e 'FLUSH TABLES WITH READ LOCK'``."""

    def quiesce(self, budget: Budget) -> None:
        super().quiesce(budget)
        self.parts.lock.close()


class StillWaiting(MysqlHold):
    """FTWRL from a client in the background, and *held* before it was granted."""

    def quiesce(self, budget: Budget) -> None:
        background = Session(self._options, read_timeout_s=30)
        threading.Thread(target=background.run, args=("FLUSH TABLES WITH READ LOCK",), daemon=True).start()

    def _look_at_lock(self) -> tuple[bool, str]:
        query = "SELECT COUNT(*) FROM information_schema.processlist WHERE state LIKE 'Waiting for%%' AND info LIKE %s"
        waiting = self.parts.control.value(query, "FLUSH TABLES WITH READ LOCK%")
        return not waiting, "the process list has the lock request as waiting" if waiting else "no request waits"

    def release(self) -> None:
        control = self.parts.control
        listed = control.rows("SELECT id FROM information_schema.processlist WHERE info LIKE 'FLUSH TABLES WITH%'")
        for (session_id,) in listed:
            control.run(f"KILL CONNECTION {session_id}")
        super().release()


class LetsGoEarly(instance_hold.InstanceHold):
    """Thaws, and lets the database go, while the call to the cloud is under way."""

    def acquire(self) -> Witness:
        seen = super().acquire()
        threading.Timer(0.05, self.let_go).start()
        return seen


def main(kind: str, arguments: list[str]) -> int:
    """Take the checks out, put the bad hold in, and serve."""
    replaced: list[tuple[object, str, object]] = [
        (instance_hold, "refusal_of", lambda _witness: None),
        (witness, "gap_between", lambda _first, _second: ""),
        {
            "session ends": (quiescer, "MysqlHold", SessionEnds),
            "still waiting": (quiescer, "MysqlHold", StillWaiting),
            "thaws early": (keeper, "InstanceHold", LetsGoEarly),
        }[kind],
    ]
    if kind != "thaws early":
        # As the recipes have it: the lock alone, no freeze, and the redo log left where it is.
        replaced += [
            (freeze.LinuxIoctls, "freeze", lambda _ioctls, _fd: None),
            (quiescer.MysqlQuiescer, "_flush", lambda _quiescer, _hold, _budget: None),
        ]
    for module, name, bad in replaced:
        setattr(module, name, bad)
    return cli.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
