"""Running many cases: workers as processes of their own, each with its own lab, and the sum of what they found."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quiesce_lab.errors import LabError
from quiesce_lab.machine import default_state_dir
from tests.faults.case import (
    DUPLICATED,
    MISLABELLED,
    NEXT_RUN_FAILED,
    NOT_FIRED,
    STATE_CHANGED,
    STUCK,
    Result,
    Told,
    run_case,
)
from tests.faults.outside import state_of
from tests.faults.rig import Rig, rig
from tests.faults.steps import every_step, recorded
from tests.faults.table import Case, cases

LABS_REFUSED = 3
"""How often a lab may fail to come up."""
PROMISES = (STUCK, MISLABELLED, DUPLICATED, STATE_CHANGED, NEXT_RUN_FAILED, NOT_FIRED)


@dataclass
class Findings:
    """What some cases showed."""

    cases: int = 0
    levels: Counter[str] = field(default_factory=Counter)
    failures: list[dict[str, str]] = field(default_factory=list)

    def add(self, result: Result) -> None:
        """Count one case."""
        self.cases += 1
        self.levels[result.told[0].level or "nothing" if result.told else "nothing"] += 1
        self.failures += [{"case": str(result.case), "promise": what, "what": how} for what, how in result.problems]

    def join(self, other: dict[str, Any]) -> None:
        """Add what a worker wrote."""
        self.cases += other["cases"]
        self.levels.update(other["levels"])
        self.failures += other["failures"]

    def as_json(self, seconds: float) -> dict[str, Any]:
        """Every promise with the number of cases that broke it; ``levels`` are those that the faulted runs claimed."""
        broken = {promise: len({f["case"] for f in self.failures if f["promise"] == promise}) for promise in PROMISES}
        return {
            "cases": self.cases,
            **broken,
            "seconds": round(seconds, 1),
            "levels": dict(self.levels),
            "failures": self.failures,
        }


def chosen(only: str) -> tuple[Case, ...]:
    """Every case whose name has this text in it."""
    return tuple(case for case in cases(every_step()) if only in str(case))


def run_cases(wanted: Sequence[Case], number: int) -> Iterator[Result]:
    """Run cases one after the other in labs of this worker's own: first those of one disk, then those of a group."""
    for grouped in (False, True):
        yield from _run_alike([case for case in wanted if case.step.grouped is grouped], number, grouped=grouped)


def _run_alike(waiting: list[Case], number: int, *, grouped: bool) -> Iterator[Result]:
    """Run cases that need the same kind of lab; a lab that fails is given up for a new one."""
    refused = 0
    while waiting:
        state_dir = default_state_dir().with_name(f"{default_state_dir().name}-faults-{number}")
        try:
            around = ExitStack()
            made = around.enter_context(rig(state_dir, f"127.77.0.{20 + number}", grouped=grouped))
        except LabError:
            refused += 1  # a server that cannot be set up on this machine now says nothing about any case
            if refused == LABS_REFUSED:
                raise
            continue
        with around:
            yield from _in_one_lab(made, waiting)


def _in_one_lab(made: Rig, waiting: list[Case]) -> Iterator[Result]:
    made.stage.host.set_durability(2)
    before = state_of(made.stage.host)
    insist_on_the_recorded_run(made)
    while waiting:
        case = waiting.pop(0)
        try:
            result = run_case(made, case, before)
        except LabError as error:
            result = Result(case, [(NEXT_RUN_FAILED, f"the lab could not go on: {error}")])
        yield result
        if result.problems:  # what it left behind is no fault of the next case
            return


def insist_on_the_recorded_run(made: Rig) -> None:
    """Insist that a faultless run goes through what the table was made for. Raises LabError when it does not."""
    told = made.function().invoke(made.stage.event())
    actions = {call.action for call in made.stage.site.cloud.record.calls}
    steps = [part.partition("=")[0] for step in told.steps for part in step.get("hook_steps", "").split()]
    wanted = recorded()
    called = set(wanted["group_actions" if made.grouped else "actions"])
    if (actions, steps) != (called, wanted["hook_steps"]) or Told.by(told).level != "application":
        raise LabError(
            f"a faultless run called {sorted(actions)} and went through {steps}: change recorded.json and table.py"
        )
    made.forget_snapshots()


def work(number: int, of: int, only: str, output: Path) -> None:
    """Run every ``of``-th case, beginning with ``number``, and write what they showed after each of them."""
    findings, began_s = Findings(), time.monotonic()
    for result in run_cases(chosen(only)[number::of], number):
        findings.add(result)
        output.write_text(json.dumps(findings.as_json(time.monotonic() - began_s)))
        verdict = "; ".join(f"{what}: {how}" for what, how in result.problems) or "ok"
        print(f"{result.seconds:5.1f} s  {result.case}: {result.levels}: {verdict}", flush=True)


def run_all(workers: int, only: str, output: Path) -> int:
    """Run the matrix and write its result; returns 0 when every promise was kept in every case."""
    began_s, folder, wanted = time.monotonic(), output.parent, len(chosen(only))
    folder.mkdir(parents=True, exist_ok=True)
    parts = [folder / f"faults-{number}.json" for number in range(min(workers, wanted))]
    processes = [subprocess.Popen(_command(number, len(parts), only, part)) for number, part in enumerate(parts)]
    statuses = [process.wait() for process in processes]
    findings = Findings()
    for part in parts:
        if part.exists():
            findings.join(json.loads(part.read_text()))
            part.unlink()
    summary = findings.as_json(time.monotonic() - began_s)
    output.write_text(json.dumps(summary, indent=2) + "\n")
    print(json.dumps({key: value for key, value in summary.items() if key != "failures"}))
    return 1 if findings.failures or any(statuses) or findings.cases != wanted else 0


def _command(number: int, of: int, only: str, part: Path) -> list[str]:
    """Command of one worker."""
    return [sys.executable, "-m", "tests.faults", "--only", only, "--part", f"{number}/{of}", "--output", str(part)]
