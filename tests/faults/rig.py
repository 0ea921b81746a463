"""One lab for many cases: the stage with the faulty daemon and function in place, and everything that sets a fault."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from quiesce_lab.cloud import faults
from quiesce_lab.cloud.faults import Fault
from quiesce_lab.daemon import Daemon
from quiesce_lab.deployment import HOOK_PORT
from quiesce_lab.scf import Function, Invocation
from quiesce_lab.stage import Stage, stage
from quiesced import caller, config
from quiesced.caller import DaemonSilentError
from quiesced.quiescers import registry
from tests.faults.steps import Side
from tests.faults.table import Case, Kind
from tests.faults.wire import Wire

HERE = Path(__file__).resolve().parent
ACQUIRE_LIMIT_S, HOLD_LIMIT_S, API_TIMEOUT_S, HOOK_TIMEOUT_S = 0.5, 2.5, 0.8, 0.8
GROUP_API_TIMEOUT_S = 0.5
"""Two calls may follow one another in a hold that begins with a group."""
PROMISED_S = ACQUIRE_LIMIT_S + HOLD_LIMIT_S
"""Longest that a writer may wait because of a hold, whatever happens."""
MARGIN_S = 1.0
"""What a small shared machine may add to that."""
DYING_LIMIT_S = 20.0
RATE = 300.0
"""Rows a second: a call of 0.1 s that nobody holds still for is seen to have commits in it."""
CREATE_LATENCY_S, SNAPSHOT_SECONDS = 0.1, 0.2
SECONDS = {Kind.SLOW: 0.2, Kind.TOO_SLOW: 0.8}

CLOUD_FAULTS: Mapping[Kind, Fault] = {
    Kind.THROTTLED: faults.throttled(),
    Kind.REFUSED: faults.refuse("UnsupportedOperation"),
    Kind.HTTP_500: faults.http_500(),
    Kind.HANG: faults.hang(1.0),
    Kind.SLOW: faults.slow(0.3),
    Kind.TOO_SLOW: faults.slow(1.2),
    Kind.LOST_RESPONSE: faults.lost_response(),
    Kind.ERROR_AFTER_SUCCESS: faults.error_after_success(),
    Kind.NOT_JSON: faults.not_json(),
    Kind.NULL_SNAPSHOT_ID: faults.null_snapshot_id(),
    Kind.STUCK_AT: faults.stuck_at(40),
    Kind.VANISHED: faults.vanished(),
}


@dataclass
class Rig:
    """Everything that one worker needs. Only one case at a time."""

    stage: Stage
    wire: Wire
    signal_name: str
    control: Path
    gate: Path
    fired_at: float | None = None
    grouped: bool = False
    _case: Case | None = None
    _number: int = 0
    _helpers: list[threading.Thread] = field(default_factory=list)

    @property
    def daemon(self) -> Daemon:
        """The faulty daemon."""
        return self.stage.daemon

    def function(self, **more: str) -> Function:
        """The function, through the wire, with more variables."""
        environment = {**self.stage.function.environment, "QUIESCE_HOOK_PORT": str(self.wire.port), **more}
        return replace(self.stage.function, environment=environment)

    def arm(self, case: Case) -> Mapping[str, str]:
        """Set a case's fault; returns the variables that the function needs for it."""
        self._number += 1
        self._case, self.fired_at = case, None
        fault = {
            "id": str(self._number),
            "side": case.step.side.value,
            "step": case.step.name,
            "nth": case.step.nth,
            "moment": case.moment.value,
            "kind": case.kind.value,
            "seconds": SECONDS.get(case.kind, 0.0),
            "signal": self.signal_name,
        }
        if case.step.side is Side.CLOUD:
            once = case.step.name in ("CreateSnapshot", "CreateSnapshotGroup")
            self.stage.site.cloud.faults.set(case.step.name, CLOUD_FAULTS[case.kind], times=1 if once else None)
        elif case.step.side is Side.FUNCTION:
            return {"FAULT": json.dumps(fault)}
        else:
            draft = self.control.with_suffix(".new")
            draft.write_text(json.dumps(fault))
            draft.replace(self.control)
        if case.step.name == "/v1/status":
            self._help(self._ask_status_in_the_hold)
        return {}

    def disarm(self) -> None:
        """End the fault; the daemon runs afterwards. Raises LabError when it does not start."""
        self.control.unlink(missing_ok=True)
        self.stage.site.cloud.faults.clear()
        self.gate.touch()
        self.wire.mend()
        for helper in self._helpers:
            helper.join()
        self._helpers.clear()
        process = self.daemon.process
        if process.running:
            os.kill(process.pid, signal.SIGCONT)
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(process.pid, resource.RLIMIT_NOFILE, resource.getrlimit(resource.RLIMIT_NOFILE))
        else:
            process.wait(DYING_LIMIT_S)
            self.daemon.start()

    def second_delivery(self, event: object) -> Invocation:
        """Start a delivery that waits for the moment of the fault."""
        self.gate.unlink(missing_ok=True)
        return self.function(GATE=str(self.gate)).start(event)

    def idle_within(self, timeout_s: float) -> str:
        """Wait until the daemon says that it holds nothing; returns what it said last when it does not."""
        give_up_at = time.monotonic() + timeout_s
        while (said := self._status()) != "idle":
            if time.monotonic() > give_up_at:
                return said
            time.sleep(0.02)
        return ""

    def forget_snapshots(self) -> None:
        """Delete every snapshot, so that neither the quota nor one that is stuck stands in the next case's way."""
        site = self.stage.site
        estate = site.cloud.world.estate()
        while any(disk.snapshot_underway for disk in estate.disks.values()):
            time.sleep(0.02)
        with site.cloud.world.lock:
            gone = list(estate.snapshots)
            estate.snapshots.clear()
        for snapshot_id in gone:
            site.blocks.delete_snapshot(snapshot_id)

    def serve_signals(self, listener: socket.socket) -> None:
        """Do the matrix's part of a fault when its moment has come."""
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.recv(64)
                self.fired_at = time.monotonic()
                self._act()
                connection.sendall(b"k")

    def _act(self) -> None:
        case = self._case
        assert case is not None
        if case.kind is Kind.SECOND_DELIVERY:
            self.gate.touch()
        elif case.kind is Kind.CUT:
            self.wire.silence()
        elif case.kind is Kind.RESET and case.step.side is Side.WIRE:
            self.wire.reset()
        elif case.kind is Kind.RESTART:
            self.daemon.process.terminate()
            self._help(self._start_again)

    def _start_again(self) -> None:
        self.daemon.process.wait(DYING_LIMIT_S)
        self.daemon.start()

    def _help(self, do: Callable[[], None]) -> None:
        helper = threading.Thread(target=do, daemon=True)
        self._helpers.append(helper)
        helper.start()

    def _status(self, port: int = HOOK_PORT) -> str:
        read = config.load(self.daemon.config, registry.problems)
        reached = replace(read, listen=replace(read.listen, port=port))
        try:
            return str(caller.ask(reached, "GET", "/v1/status", {})["state"])
        except DaemonSilentError as error:
            return str(error)

    def _ask_status_in_the_hold(self) -> None:
        """Look at the daemon through the wire once its CreateSnapshot has arrived, as an operator might."""
        record = self.stage.site.cloud.record
        before, give_up_at = len(record.of("CreateSnapshot")), time.monotonic() + 10
        while len(record.of("CreateSnapshot")) == before and time.monotonic() < give_up_at:
            time.sleep(0.005)
        self._status(self.wire.port)


@contextlib.contextmanager
def rig(state_dir: Path, address: str, *, grouped: bool = False) -> Iterator[Rig]:
    """Bring a stage up, put the faulty programs in place, and let writers write; ``grouped``: two disks and a group."""
    limits = {"acquire_limit_s": str(ACQUIRE_LIMIT_S), "hold_limit_s": str(HOLD_LIMIT_S)}
    limits |= {"snapshot_group": "true"} if grouped else {}
    api_timeout_s = GROUP_API_TIMEOUT_S if grouped else API_TIMEOUT_S
    timeouts = {"QUIESCE_API_TIMEOUT_S": str(api_timeout_s), "QUIESCE_HOOK_TIMEOUT_S": str(HOOK_TIMEOUT_S)}
    with contextlib.ExitStack() as around:
        here = around.enter_context(
            stage(state_dir, disks=2 if grouped else 1, address=address, variables=timeouts, policy=limits)
        )
        here.site.cloud.settings.latency_s |= dict.fromkeys(("CreateSnapshot", "CreateSnapshotGroup"), CREATE_LATENCY_S)
        here.site.cloud.settings.snapshot_seconds = SNAPSHOT_SECONDS
        folder = here.site.machine.directory("faults")
        for name, place in (("faulty_index.py", "index.py"), ("inject.py", "inject.py")):
            shutil.copy(HERE / name, here.function.code_dir / place)
        here.daemon.stop()
        here.daemon.program = ("-B", str(HERE / "faulty_hook.py"), str(folder / "fault.json"))
        here.daemon.start()
        wire = Wire(address, HOOK_PORT)
        around.callback(wire.close)
        listener = socket.socket(socket.AF_UNIX)
        around.callback(listener.close)
        # A close alone leaves the name taken for as long as the thread waits in accept(2).
        around.callback(listener.shutdown, socket.SHUT_RDWR)
        made = Rig(here, wire, f"quiesce-faults-{os.getpid()}-{address}", folder / "fault.json", folder / "gate")
        made.grouped = grouped
        listener.bind("\0" + made.signal_name)
        listener.listen(16)
        threading.Thread(target=made.serve_signals, args=(listener,), daemon=True).start()
        here.host.load.start(RATE)
        here.host.load.wait_until_acked(100)
        yield made


def stops_the_function(case: Case) -> bool:
    """Whether the function hangs until somebody ends it."""
    return case.step.side is Side.FUNCTION and case.kind is Kind.HANG


def report_target(value: Any) -> Mapping[str, Any] | None:
    """Read the only target of a run's report; None when the run gave none."""
    targets = value.get("targets") if isinstance(value, dict) else None
    return targets[0] if targets else None
