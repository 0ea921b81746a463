"""One instance with its daemon on a clock that is moved by hand, and the truth about every hold.

The daemon's threads are its own; what happens is not left to them: every method returns when they are done with it.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Optional

from quiesced.keeper import Keeper
from quiesced.messages import QuiesceAnswer, QuiesceRequest
from tests.daemon.fakes import FakeInstance, quiesce
from tests.daemon.keeper_on_fakes import start
from tests.daemon.leases import Clock
from tests.waiting import wait_until

HOLD_S = 40.0
ACQUIRE_S = 4.0


class DaemonClock:
    """The clock as one daemon reads it: for a dead one it stands still, so that its threads never do anything again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._died_s: Optional[float] = None

    def __call__(self) -> float:
        return self._clock() if self._died_s is None else self._died_s

    def stop(self) -> None:
        self._died_s = self._clock()


class LeaseWorld:
    """The daemon, its guardian, two applications and two disks; daemons that died are kept to be buried."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock = Clock()
        self.instance = FakeInstance(root)
        self.instance.second.usual = self.instance.second.setting = "careful"
        self._start()
        self.dead: list[Keeper] = []
        self.pool = ThreadPoolExecutor(8)
        self.waiting: list[Future[QuiesceAnswer]] = []
        """Callers whose hold is being acquired."""

    def _start(self) -> None:
        self._own_clock = DaemonClock(self.clock)
        self.keeper = start(self.root, self.instance, clock=self._own_clock)

    def ask(self, lease_id: str, run_id: str, prior_holds: int) -> QuiesceAnswer:
        return self.keeper.quiesce(_request(lease_id, run_id, prior_holds))

    def prepare(self, lease_id: str, run_id: str, prior_holds: int) -> QuiesceAnswer:
        return self.keeper.prepare(_request(lease_id, run_id, prior_holds))

    def begin_to_ask(self, lease_id: str, run_id: str, prior_holds: int) -> Optional[QuiesceAnswer]:
        """Ask while an application does not grant its lock; return the answer when there is one without it."""
        if self.waiting:
            return self.ask(lease_id, run_id, prior_holds)
        before = self.instance.journal.entries.count("lock second")
        self.instance.second.waits_at_quiesce = threading.Event()
        asked = self.pool.submit(self.keeper.quiesce, _request(lease_id, run_id, prior_holds))
        wait_until(lambda: asked.done() or self.instance.journal.entries.count("lock second") > before)
        if asked.done():
            self.instance.second.waits_at_quiesce = None
            return asked.result()
        self.waiting.append(asked)
        return None

    def join(self, lease_id: str, run_id: str, prior_holds: int) -> None:
        """Ask once more for the hold that is being acquired."""
        self.waiting.append(self.pool.submit(self.keeper.quiesce, _request(lease_id, run_id, prior_holds)))

    def grant(self) -> list[QuiesceAnswer]:
        """The application grants its lock; return what everybody is told who waited."""
        assert self.instance.second.waits_at_quiesce
        self.instance.second.waits_at_quiesce.set()
        return self.answers()

    def answers(self) -> list[QuiesceAnswer]:
        answers = [asked.result(timeout=10) for asked in self.waiting]
        self.waiting = []
        self.instance.second.waits_at_quiesce = None
        return answers

    def pass_time(self, seconds: float) -> None:
        """Move the clock, and let the warden look at it."""
        self.clock.now_s += seconds
        if self.instance.is_guarded():  # by the daemon that lives: an earlier one must not be woken
            self.instance.guardian.nudge()

    def fire_guardian(self) -> None:
        """The guardian lets go at its deadline, and the daemon learns of it."""
        self._let_go_by_guardian()
        self.instance.guardian.why_lost = "the guardian let go at its deadline"

    def _let_go_by_guardian(self) -> None:
        """Thaw, and end the locks by their connections. Of settings the guardian knows nothing."""
        for name in self.instance.kernel.frozen:
            self.instance.kernel.by_hand(name, frozen=False)
        for application in self.instance.applications:
            application.locked = False
        self.instance.guardian.armed = False

    def die(self, *, with_guardian: bool) -> None:
        """Kill the daemon, and its guardian before it could do anything or not; another daemon starts."""
        self._own_clock.stop()
        if self.instance.is_guarded():
            if with_guardian:
                self.instance.guardian.armed = False
            else:
                self._let_go_by_guardian()
        self.keeper._instance.state.place.leave()  # the kernel forgets a process's locks with it
        self.dead.append(self.keeper)
        self._start()

    def stop(self) -> None:
        """Stop the daemon in order; another one starts."""
        self.keeper.close()
        self._start()

    def settle(self) -> None:
        wait_until(lambda: self.keeper.status().state == "idle")

    def bury(self) -> None:
        """End every thread."""
        if self.waiting:
            self.grant()
        for keeper in (*self.dead, self.keeper):
            keeper.close()
        self.pool.shutdown()


def _request(lease_id: str, run_id: str, prior_holds: int) -> QuiesceRequest:
    return quiesce(lease_id, run_id=run_id, prior_holds=prior_holds, acquire_limit_s=ACQUIRE_S, hold_limit_s=HOLD_S)
