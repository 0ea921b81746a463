"""Comparing a deployment as a whole with what there is, and taking its steps one by one.

A step that fails ends it. What was done stays, and the next run begins with what is left: nothing is remembered between
two runs but what the cloud itself says.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from quiesce.adapters.tencent import Api, Cloud, Nothing
from quiesce.deployment import function, role, triggers
from quiesce.deployment.archive import Code
from quiesce.deployment.spec import Deployment
from quiesce.deployment.steps import CAM, SCF, Step
from quiesce.errors import CloudError

POLL_S = 1.0
SETTLE_S = 300.0
UPLOAD_TIMEOUT_S = 60.0
_BUSY = ("Creating", "Updating", "Publishing")


class Clock(Protocol):
    """What waiting needs of a clock."""

    def monotonic(self) -> float:
        """Seconds."""

    def sleep(self, seconds: float, /) -> None:
        """Wait."""


@dataclass(frozen=True)
class Comparison:
    """Every step that is left, and remarks on what stays although the deployment file does not have it."""

    steps: tuple[Step, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Order:
    """What is to be deployed. ``env`` is the operator's own environment."""

    spec: Deployment
    code: Code
    policy: dict[str, Any]
    env: Mapping[str, str]
    secrets_allowed: bool
    remove_others: bool


class Deployer:
    """Deploys to one account and region. Not for two threads at a time."""

    def __init__(self, cloud: Cloud, clock: Clock = time) -> None:
        self._apis: dict[tuple[str, str], Api] = {service: cloud.api(*service) for service in (SCF, CAM)}
        self._clock = clock

    def compare(self, order: Order, *, wait: bool) -> Comparison:
        """Compare what is there with what is wanted. ``wait``: let a change that is underway finish first.

        Raises CloudError and DeploymentError; nothing is changed.
        """
        scf, spec = self._apis[SCF], order.spec
        found = function.find(scf, spec)
        if found and wait and found.status in _BUSY:
            found = self._settled(spec)
        there = found.variables if found else {}
        variables = function.variables(spec, order.env, there, allowed=order.secrets_allowed)
        roles = role.compare(self._apis[CAM], spec, order.policy)
        functions = function.compare(scf, function.Wanted(spec, order.code, variables), found)
        fired = triggers.compare(scf, spec, exists=found is not None, remove_others=order.remove_others)
        remarks = [f"the role {spec.role} also has the policy {name}" for name in roles.others]
        remarks += [f"{name} is not in the deployment file; --remove-triggers removes it" for name in fired.others]
        return Comparison((*roles.steps, *functions, *fired.steps), tuple(remarks))

    def carry_out(self, order: Order, compared: Comparison, report: Callable[[int, Step], None]) -> None:
        """Take every step; ``report`` is told each before it is taken, with its number. Raises CloudError."""
        for number, step in enumerate(compared.steps, start=1):
            report(number, step)
            api, params = self._apis[step.service], dict(step.params)
            if step.describes:
                params["Description"] = function.description(order.code, function.kept_sha256(api, order.spec))
            api.once(step.action, params, Nothing, timeout_s=UPLOAD_TIMEOUT_S)
            if step.settles:
                self._settled(order.spec)

    def _settled(self, spec: Deployment) -> function.Found:
        """Wait until the function takes changes again; raises CloudError when it does not get there."""
        ends_s = self._clock.monotonic() + SETTLE_S
        while True:
            found = function.find(self._apis[SCF], spec)
            if found and found.status == "Active":
                return found
            if found is None or found.status not in _BUSY:
                state = f"{found.status}: {found.status_desc}" if found else "not there"
                raise CloudError(f"the function {spec.function} is {state}", code="FunctionStatus", ambiguous=False)
            if self._clock.monotonic() > ends_s:
                raise CloudError(
                    f"the function {spec.function} is still {found.status} after {SETTLE_S:g} s",
                    code="FunctionStatus",
                    ambiguous=True,
                )
            self._clock.sleep(POLL_S)
