"""``quiesce doctor``: is everything ready for a run, and if not, what to do."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path

import click

from quiesce import diagnosis, policies
from quiesce.adapters.cvm import find_instances
from quiesce.adapters.disks import find_disks
from quiesce.adapters.estate import made_here
from quiesce.adapters.logs import JsonLog
from quiesce.adapters.tencent import Cloud
from quiesce.adapters.warm import Pool
from quiesce.commands.connection import Given, connected, output_option, policies_option
from quiesce.commands.exits import Exit
from quiesce.commands.output import show
from quiesce.diagnosis import Finding, State
from quiesce.errors import CloudError, PolicyError, SettingsError
from quiesce.foresight import foresee
from quiesce.plan import make_plans
from quiesce.policies import Policy
from quiesce.ports import Agent
from quiesce.request import Request, Trigger, run_id
from quiesce.sets import sets_of
from quiesce.settings import Settings, cloud_from_env
from quiesce.wiring import Wiring
from quiesce.words import _

COLUMNS = ("question", "state", "what", "todo")


@click.command()
@policies_option
@click.option("--try-writes", is_flag=True, help="Ask for rights to write, too, by calls about things that cannot exist.")
@output_option
@connected
def doctor(file: Path, try_writes: bool, output: str, given: Given) -> None:
    """Find out whether a run could begin: key, region, clock, rights, policies, instances and their hooks.

    Changes nothing. Exit status: 0 nothing failed, 1 something did.
    """
    findings = list(_findings(file, given, try_writes=try_writes))
    rows = [{"question": one.question, "state": one.state.value, "what": one.what, "todo": one.todo} for one in findings]
    show("doctor", rows, output, COLUMNS)
    sys.exit(Exit.NOT_WELL if any(one.state is State.FAILED for one in findings) else Exit.OK)


def _findings(file: Path, given: Given, *, try_writes: bool) -> Iterator[Finding]:
    yield from diagnosis.of_key(given.found)
    if not given.found.region:
        return
    settings = cloud_from_env(given.env)
    cloud = Cloud(settings)
    yield diagnosis.of_clock(cloud.api("cbs", "2017-03-12").host, str(settings.ca) if settings.ca else None)
    rights = list(diagnosis.of_rights(cloud))
    yield from rights
    if try_writes:
        yield from diagnosis.of_writes(cloud)
    try:
        known = policies.load(file)
    except PolicyError as error:
        yield Finding("policies", State.FAILED, str(error), _("`quiesce policy check` names every problem"))
        return
    yield Finding("policies", State.OK, f"{', '.join(sorted(known))} in {file}")
    if all(one.state is State.OK for one in rights):
        yield from _of_policies(file, given, known, cloud)


def _of_policies(file: Path, given: Given, known: Mapping[str, Policy], cloud: Cloud) -> Iterator[Finding]:
    settings: Settings | None = None
    try:
        settings = Settings.from_env({**given.env, "QUIESCE_POLICIES": str(file.absolute())}, Path.cwd())
        yield Finding("variables", State.OK, _("the function's own are set here: hooks can be asked"))
    except SettingsError as error:
        yield Finding("variables", State.WARNING, str(error), _("set them to have the hooks asked from here"))
    for name, policy in known.items():
        try:
            yield from _of_policy(name, policy, cloud, settings)
        except CloudError as error:
            yield Finding(name, State.FAILED, str(error), _("see the message"))


def _of_policy(name: str, policy: Policy, cloud: Cloud, settings: Settings | None) -> Iterator[Finding]:
    request = Request(name, run_id(name, "doctor"), Trigger.MANUAL, "")
    instances = find_instances(cloud, policy.targets)
    disks = find_disks(cloud, [one.instance_id for one in instances])
    plans, refusals = make_plans(request, policy, instances, disks, datetime.now(timezone.utc))
    sets = sets_of(made_here(Pool(cloud, "cbs", "2017-03-12", time)))
    agents: dict[str, Agent] = {}
    with ExitStack() as closing:
        if settings:
            wiring = Wiring(settings, JsonLog(io.StringIO(), common={}, hidden=()))
            agents = {one.plan.instance_id: one.world.agent for one in closing.enter_context(wiring.targets(plans))}
        forecasts = foresee(plans, disks, sets, agents)
    yield from diagnosis.of_targets(name, forecasts, refusals)
