"""Running commands on instances through TAT: sent, then asked after until every one has ended."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from quiesce.adapters.tencent import Answer, Cloud, Page, pages
from quiesce.deployment.carry_out import Clock
from quiesce.errors import CloudError

MAX_INSTANCES = 200
IDS_PER_CALL = 100
POLL_S = 2.0
SEND_EVERY_S = 1 / 15
"""TAT takes 20 calls of an API in a second, which others may make, too."""
GRACE_S = 60.0
"""Beyond a command's own time limit: for the way there and back."""
_THROTTLED_S = 1.0
_ENDED = ("SUCCESS", "FAILED", "TIMEOUT", "TASK_TIMEOUT", "DELIVER_FAILED", "START_FAILED", "CANCELLED", "TERMINATED")


@dataclass(frozen=True)
class Job:
    """One script for some instances."""

    name: str
    script: str
    instance_ids: tuple[str, ...]
    timeout_s: int = 120


@dataclass(frozen=True)
class Result:
    """What became of a job on one instance; ``status`` is TAT's word, ``REFUSED``, or ``UNKNOWN`` when time ran out."""

    job: Job
    instance_id: str
    status: str
    output: str = ""
    detail: str = ""

    @property
    def well(self) -> bool:
        """Whether the script ran and ended with 0."""
        return self.status == "SUCCESS"

    @property
    def why(self) -> str:
        """Why it is not well, in a line: the last that was printed."""
        last = self.output.strip().splitlines()[-1:] or [self.detail]
        return f"{self.job.name}: {self.status}: {last[0]}".rstrip(": ")


class _Agent(Answer, frozen=True):
    instance_id: str
    agent_status: str | None = None
    environment: str | None = None


class _Agents(Page, frozen=True):
    automation_agent_set: tuple[_Agent, ...] | None = None


class _Begun(Answer, frozen=True):
    invocation_id: str


class _TaskResult(Answer, frozen=True):
    exit_code: int | None = None
    output: str | None = None


class _Task(Answer, frozen=True):
    instance_id: str
    task_status: str
    task_result: _TaskResult | None = None
    error_info: str | None = None


class _Tasks(Page, frozen=True):
    invocation_task_set: tuple[_Task, ...] | None = None


class Tat:
    """TAT of one account and region; every method raises CloudError. ``report`` is told how many of how many ended."""

    def __init__(self, cloud: Cloud, report: Callable[[str, int, int], None], clock: Clock = time) -> None:
        self._api = cloud.api("tat", "2020-10-28")
        self._report = report
        self._clock = clock

    def hindrances(self, instance_ids: Sequence[str]) -> dict[str, str]:
        """Say of each instance that cannot be sent a command why that is."""
        agents: dict[str, _Agent] = {}
        for start in range(0, len(instance_ids), IDS_PER_CALL):
            params = {"InstanceIds": list(instance_ids[start : start + IDS_PER_CALL])}
            for page in pages(self._api, "DescribeAutomationAgentStatus", params, _Agents):
                agents.update((one.instance_id, one) for one in page.automation_agent_set or ())
        found = {instance_id: _hindrance(agents.get(instance_id)) for instance_id in instance_ids}
        return {instance_id: why for instance_id, why in found.items() if why}

    def run(self, title: str, jobs: Iterable[Job]) -> list[Result]:
        """Run jobs side by side and wait until all have ended, or their time is over."""
        begun: dict[str, Job] = {}
        results: list[Result] = []
        for job in (part for whole in jobs for part in _parts(whole)):
            self._send(job, begun, results)
        total = len(results) + sum(len(job.instance_ids) for job in begun.values())
        self._wait(title, begun, results, total)
        return results

    def _send(self, job: Job, begun: dict[str, Job], results: list[Result]) -> None:
        """Begin a job. One instance that is refused takes the others of a call with it, so they are sent one by one then."""
        self._clock.sleep(SEND_EVERY_S)
        try:
            begun[self._run_command(job)] = job
        except CloudError as error:
            refused_one = error.code.startswith(("ResourceUnavailable", "ResourceNotFound"))
            if refused_one and len(job.instance_ids) > 1:
                for instance_id in job.instance_ids:
                    self._send(Job(job.name, job.script, (instance_id,), job.timeout_s), begun, results)
            elif refused_one:
                results.append(Result(job, job.instance_ids[0], "REFUSED", detail=str(error)))
            else:
                raise

    def _run_command(self, job: Job) -> str:
        """Send a command once; again only when it was refused for there being too many, which is before it is taken."""
        params = {
            "CommandName": job.name,
            "CommandType": "SHELL",
            "Content": base64.b64encode(job.script.encode()).decode(),
            "InstanceIds": list(job.instance_ids),
            "Timeout": job.timeout_s,
        }
        while True:
            try:
                return self._api.once("RunCommand", params, _Begun).invocation_id
            except CloudError as error:
                if not error.code.startswith("RequestLimitExceeded"):
                    raise
                self._clock.sleep(_THROTTLED_S)

    def _wait(self, title: str, begun: dict[str, Job], results: list[Result], total: int) -> None:
        longest_s = max((job.timeout_s for job in begun.values()), default=0) + GRACE_S
        ends_s = self._clock.monotonic() + longest_s
        waiting = dict(begun)
        while waiting:
            for invocation_id, job in list(waiting.items()):
                tasks = self._tasks(invocation_id)
                if len(tasks) == len(job.instance_ids) and all(task.task_status in _ENDED for task in tasks):
                    results += [_result(job, task) for task in tasks]
                    del waiting[invocation_id]
                    self._report(title, len(results), total)
            if waiting and self._clock.monotonic() > ends_s:
                results += [Result(job, one, "UNKNOWN") for job in waiting.values() for one in job.instance_ids]
                return
            if waiting:
                self._clock.sleep(POLL_S)

    def _tasks(self, invocation_id: str) -> list[_Task]:
        params = {"Filters": [{"Name": "invocation-id", "Values": [invocation_id]}], "HideOutput": False}
        self._clock.sleep(SEND_EVERY_S)
        found = pages(self._api, "DescribeInvocationTasks", params, _Tasks)
        return [task for page in found for task in page.invocation_task_set or ()]


def _parts(job: Job) -> Iterable[Job]:
    for start in range(0, len(job.instance_ids), MAX_INSTANCES):
        yield Job(job.name, job.script, job.instance_ids[start : start + MAX_INSTANCES], job.timeout_s)


def _hindrance(agent: _Agent | None) -> str:
    if agent is None:
        return "TAT's agent was never seen on it"
    if agent.agent_status != "Online":
        return f"TAT's agent is {agent.agent_status or 'of unknown state'}"
    return "" if agent.environment == "Linux" else f"{agent.environment}: quiesced runs on Linux"


def _result(job: Job, task: _Task) -> Result:
    answer = task.task_result or _TaskResult()
    try:
        output = base64.b64decode(answer.output or "", validate=True).decode(errors="replace")
    except binascii.Error:
        output = ""
    return Result(job, task.instance_id, task.task_status, output, task.error_info or "")
