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

from quiesced import cli, instance_hold, keeper, witness  # noqa: E402 - the path comes first
from quiesced.messages import Witness  # noqa: E402
from quiesced.quiescers import mysql  # noqa: E402
from quiesced.quiescers.base import Budget  # noqa: E402
from quiesced.quiescers.mysql_hold import MysqlHold  # noqa: E402


class SessionEnds(MysqlHold):
    """FTWRL in a session that ends before the snapshot: ``mysql -e 'FLUSH TABLES WITH READ LOCK'``."""

    def quiesce(self, budget: Budget) -> None:
        super().quiesce(budget)
        self._parts.lock.close()


class StillWaiting(MysqlHold):
    """FTWRL in the background, and *held* before it was granted."""

    def quiesce(self, budget: Budget) -> None:
        threading.Thread(target=self._parts.lock.run, args=("FLUSH TABLES WITH READ LOCK",), daemon=True).start()


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
            "session ends": (mysql, "MysqlHold", SessionEnds),
            "still waiting": (mysql, "MysqlHold", StillWaiting),
            "thaws early": (keeper, "InstanceHold", LetsGoEarly),
        }[kind],
    ]
    for module, name, bad in replaced:
        setattr(module, name, bad)
    return cli.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
