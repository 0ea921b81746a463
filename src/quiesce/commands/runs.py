"""``quiesce plan`` and ``quiesce run``: what a run would do, and a run from here, by the function's own procedure."""

from __future__ import annotations

import io
import json
import sys
import time
import uuid
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import click
import msgspec

from quiesce import policies
from quiesce.adapters.cvm import find_instances
from quiesce.adapters.disks import find_disks
from quiesce.adapters.estate import made_here
from quiesce.adapters.logs import JsonLog
from quiesce.adapters.scf import FunctionName
from quiesce.adapters.tencent import Cloud
from quiesce.adapters.warm import Pool
from quiesce.commands.connection import Given, connected, output_option, policies_option
from quiesce.commands.exits import Exit
from quiesce.commands.output import document, progress, show
from quiesce.commands.verdict import exit_status, shown
from quiesce.foresight import Forecast, foresee
from quiesce.model import TargetPlan
from quiesce.plan import Refusal, make_plans
from quiesce.ports import Agent
from quiesce.report import body_of
from quiesce.request import Request, Trigger, run_id
from quiesce.run import Run
from quiesce.sets import sets_of
from quiesce.settings import Settings, cloud_from_env
from quiesce.wiring import Wiring

EVERYTHING_HERE = 1000
"""A run from here holds all its targets itself: workers are the function's."""
TOLD = ("step", "outcome", "instance_id", "disk_id", "snapshot_id", "hook_steps", "reason")
COLUMNS = ("instance_id", "ready", "disks", "size_gib", "applications", "hold_ms", "longest_hold_ms", "cost", "obstacles")


@click.command()
@click.argument("policy")
@policies_option
@click.option("--ask/--no-ask", default=True, show_default=True, help="Ask each instance's hook what a hold would cover.")
@click.option("--price", type=click.FloatRange(0), default=None, help="Price of a GiB and month; snapshots cost no more.")
@output_option
@connected
def plan(policy: str, file: Path, ask: bool, price: float | None, output: str, given: Given) -> None:
    """Show what a run of POLICY would do, and do nothing.

    Instances in the order in which they are held, their disks, what stands in the way, and how long the newest holds took.
    Exit status: 0 it could begin, 1 something stands in the way.
    """
    chosen = policies.named(policies.load(file), policy)
    request = Request(policy, run_id(policy, uuid.uuid4().hex), Trigger.MANUAL, "")
    cloud = Cloud(cloud_from_env(given.env))
    instances = find_instances(cloud, chosen.targets)
    disks = find_disks(cloud, [one.instance_id for one in instances])
    plans, refusals = make_plans(request, chosen, instances, disks, datetime.now(timezone.utc))
    sets = sets_of(made_here(Pool(cloud, "cbs", "2017-03-12", time)))
    with ExitStack() as closing:
        agents = _agents(plans, file, given, closing) if ask else {}
        forecasts = foresee(plans, disks, sets, agents)
    rows = [*(_row(one, price) for one in forecasts), *(_refused(one) for one in refusals)]
    show("plan", rows, output, COLUMNS)
    sys.exit(Exit.NOT_WELL if refusals or any(one.ready is False for one in forecasts) else Exit.OK)


@click.command()
@click.argument("policy")
@policies_option
@click.option("--run-key", default="", help="Makes several calls one run. Without it each is its own.")
@click.option("--time-limit", "limit_s", type=click.FloatRange(1), default=900.0, show_default=True, help="In seconds.")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@connected
def run(policy: str, file: Path, run_key: str, limit_s: float, output: str, given: Given) -> None:
    """Run POLICY from here, by the very procedure of the function, with the function's own variables.

    Exit status: 0 the level asked for was reached, 3 it is weaker or not all, 20 a release could not be confirmed.
    """
    settings = msgspec.structs.replace(_settings(file, given), fleet_above=EVERYTHING_HERE)
    chosen = policies.named(policies.load(file), policy)
    request = Request(policy, run_id(policy, run_key or uuid.uuid4().hex), Trigger.MANUAL, "")
    log = JsonLog(Narrator(), common={}, hidden=settings.secrets)
    report = Run(request, chosen, settings, log, FunctionName.of({})).execute(ends_s=time.monotonic() + limit_s)
    body: dict[str, Any] = msgspec.to_builtins(body_of(report))
    click.echo(document("run", [body]) if output == "json" else shown(body))
    sys.exit(exit_status(body))


class Narrator:
    """A log that tells on standard error what happens, a line a step. Implements logs.Stream."""

    def write(self, text: str, /) -> None:
        """Tell one line of the log."""
        fields = json.loads(text)
        progress("  ".join(str(fields[key]) for key in TOLD if fields.get(key)))

    def flush(self) -> None:
        """Keep nothing back."""


def _agents(plans: tuple[TargetPlan, ...], file: Path, given: Given, closing: ExitStack) -> dict[str, Agent]:
    """Open the hooks. Raises SettingsError with what is missing for that."""
    settings = _settings(file, given)
    wiring = Wiring(settings, JsonLog(io.StringIO(), common={}, hidden=()))
    return {one.plan.instance_id: one.world.agent for one in closing.enter_context(wiring.targets(plans))}


def _settings(file: Path, given: Given) -> Settings:
    """Read the function's own variables; paths in them are from the working folder here."""
    return Settings.from_env({**given.env, "QUIESCE_POLICIES": str(file.absolute())}, Path.cwd())


def _row(one: Forecast, price: float | None) -> dict[str, Any]:
    return {
        "instance_id": one.plan.instance_id,
        "ready": {True: "yes", False: "no", None: "not asked"}[one.ready],
        "disks": " ".join(one.plan.disks),
        "size_gib": one.size_gib,
        "applications": one.applications,
        "names": [intent.name for intent in one.plan.intents],
        "sets": one.sets,
        "hold_ms": one.hold_ms,
        "longest_hold_ms": one.longest_hold_ms,
        "hold_limit_ms": round(one.plan.limits.hold_limit_s * 1000),
        "cost": None if price is None else round(price * one.size_gib, 2),
        "obstacles": one.obstacles,
    }


def _refused(refusal: Refusal) -> dict[str, Any]:
    return {"instance_id": refusal.subject, "ready": "no", "obstacles": refusal.reason}
