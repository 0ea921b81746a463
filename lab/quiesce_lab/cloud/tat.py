"""TAT: commands that run on instances, and what is kept of them: the command's text as it came, and its output.

Nothing is hidden here that the platform shows: whoever may call DescribeInvocations reads every command (SDK, Invocation).
"""

from __future__ import annotations

import base64
import binascii
import re
import threading
from typing import Any

from quiesce_lab.cloud import filters
from quiesce_lab.cloud.admin_model import AutomationAgent, Invocation, Task
from quiesce_lab.cloud.context import Answer, Context
from quiesce_lab.cloud.errors import ApiError
from quiesce_lab.cloud.times import utc_z
from quiesce_lab.ports import Shell

MAX_CONTENT = 64 * 1024
"""Of ``Content`` in base64 (SDK, RunCommandRequest.Content)."""
MAX_INSTANCES = 200
MAX_OUTPUT_BYTES = 24 * 1024
"""SDK, TaskResult.Output."""
_NAME = re.compile(r"[\w.-]{1,60}")
_AGENT_RULES = filters.Rules(
    ids="InstanceIds", names=frozenset(["agent-status", "environment", "instance-id"]), max_filters=10, max_values=5
)
_INVOCATION_RULES = filters.Rules(
    ids="InvocationIds", names=frozenset(["invocation-id", "command-id"]), max_filters=10, max_values=5
)
_TASK_RULES = filters.Rules(
    ids="InvocationTaskIds",
    names=frozenset(["invocation-task-id", "invocation-id", "instance-id", "command-id"]),
    max_filters=10,
    max_values=5,
)


def describe_automation_agent_status(context: Context) -> Answer:
    """List instances on which the agent was ever seen; others are left out without a word."""
    selected = filters.select(context.body, _AGENT_RULES)
    with context.world.lock:
        fitting = [one for one in context.estate.agents.values() if filters.fits(selected, _agent_properties(one))]
        views = [
            {
                "InstanceId": one.instance_id,
                "Version": "1.0.0",
                "LastHeartbeatTime": utc_z(one.seen_s),
                "AgentStatus": "Online" if one.online else "Offline",
                "Environment": one.environment,
                "SupportFeatures": ["RUN_COMMAND"],
            }
            for one in filters.page(fitting, context.body)
        ]
    return {"TotalCount": len(fitting), "AutomationAgentSet": views}


def run_command(context: Context) -> Answer:
    """Begin a command on every instance, or on none."""
    script = _checked(context.body)
    with context.world.lock:
        agents = [_agent(context, instance_id) for instance_id in context.body["InstanceIds"]]
        invocation = _kept(context, len(context.estate.invocations) + 1)
        invocation.tasks = [
            Task(f"invt-{invocation.invocation_id[4:]}{place:03}", one.instance_id) for place, one in enumerate(agents)
        ]
        context.estate.invocations[invocation.invocation_id] = invocation
    for agent, task in zip(agents, invocation.tasks, strict=True):
        threading.Thread(target=_run, args=(context, invocation, task, agent.shell, script), daemon=True).start()
    return {"CommandId": invocation.command_id, "InvocationId": invocation.invocation_id}


def describe_invocations(context: Context) -> Answer:
    """List commands that were run, with their text."""
    selected = filters.select(context.body, _INVOCATION_RULES)
    with context.world.lock:
        fitting = [one for one in context.estate.invocations.values() if filters.fits(selected, _properties(one))]
        views = [_invocation_view(one) for one in filters.page(fitting, context.body)]
    return {"TotalCount": len(fitting), "InvocationSet": views}


def describe_invocation_tasks(context: Context) -> Answer:
    """List what became of commands, instance by instance; the output only when HideOutput is false."""
    selected = filters.select(context.body, _TASK_RULES)
    hidden = context.body.get("HideOutput", True)
    with context.world.lock:
        fitting = [
            (invocation, task)
            for invocation in context.estate.invocations.values()
            for task in invocation.tasks
            if filters.fits(selected, {**_properties(invocation), **_task_properties(task)})
        ]
        views = [_task_view(*one, hidden=hidden) for one in filters.page(fitting, context.body)]
    return {"TotalCount": len(fitting), "InvocationTaskSet": views}


def _checked(body: dict[str, Any]) -> bytes:
    if len(body["Content"]) > MAX_CONTENT:
        raise ApiError("InvalidParameterValue.TooLong", f"`Content` is longer than {MAX_CONTENT} characters of base64.")
    if len(body["InstanceIds"]) > MAX_INSTANCES:
        raise ApiError("InvalidParameterValue.LimitExceeded", f"`InstanceIds` takes at most {MAX_INSTANCES}.")
    if not _NAME.fullmatch(body.get("CommandName", "command")) or len(body.get("CommandName", "").encode()) > 60:
        raise ApiError("InvalidParameterValue.InvalidCommandName", "`CommandName` is at most 60 bytes.")
    if not 1 <= body.get("Timeout", 60) <= 86400:
        raise ApiError("InvalidParameterValue.Range", "`Timeout` is from 1 to 86400 seconds.")
    if body.get("CommandType", "SHELL") != "SHELL":
        raise ApiError("InvalidParameterValue.AgentUnsupportedCommandType", "The lab's instances run SHELL only.")
    try:
        return base64.b64decode(body["Content"], validate=True)
    except binascii.Error as error:
        raise ApiError("InvalidParameterValue.CommandContentInvalid", "`Content` is not base64.") from error


def _agent(context: Context, instance_id: str) -> AutomationAgent:
    instance = context.estate.instances.get(instance_id)
    if instance is None:
        raise ApiError("ResourceNotFound.InstanceNotFound", f"There is no instance `{instance_id}`.")
    if instance.state != "RUNNING":
        raise ApiError("ResourceUnavailable.InstanceStateNotRunning", f"The instance `{instance_id}` is not RUNNING.")
    agent = context.estate.agents.get(instance_id)
    if agent is None:
        raise ApiError("ResourceUnavailable.AgentNotInstalled", f"The instance `{instance_id}` has no agent.")
    if not agent.online:
        raise ApiError("ResourceUnavailable.AgentStatusNotOnline", f"The agent of `{instance_id}` is not online.")
    return agent


def _kept(context: Context, number: int) -> Invocation:
    body = context.body
    return Invocation(
        invocation_id=f"inv-{number:08}",
        command_id=f"cmd-{number:08}",
        name=body.get("CommandName", ""),
        content=body["Content"],
        user=body.get("Username", "root"),
        directory=body.get("WorkingDirectory", "/root"),
        timeout_s=body.get("Timeout", 60),
        created_s=context.now_s(),
    )


def _run(context: Context, invocation: Invocation, task: Task, shell: Shell, script: bytes) -> None:
    with context.world.lock:
        task.status, task.began_s = "RUNNING", context.now_s()
    exit_code, output = shell(script, directory=invocation.directory, timeout_s=invocation.timeout_s)
    with context.world.lock:
        task.exit_code, task.output, task.ended_s = exit_code or 0, output, context.now_s()
        task.status = "TIMEOUT" if exit_code is None else "FAILED" if exit_code else "SUCCESS"


def _agent_properties(agent: AutomationAgent) -> dict[str, tuple[str, ...]]:
    state = "Online" if agent.online else "Offline"
    here = (agent.instance_id,)
    return {"": here, "instance-id": here, "agent-status": (state,), "environment": (agent.environment,)}


def _properties(invocation: Invocation) -> dict[str, tuple[str, ...]]:
    here = (invocation.invocation_id,)
    return {"": here, "invocation-id": here, "command-id": (invocation.command_id,)}


def _task_properties(task: Task) -> dict[str, tuple[str, ...]]:
    here = (task.task_id,)
    return {"": here, "invocation-task-id": here, "instance-id": (task.instance_id,)}


def _invocation_view(invocation: Invocation) -> Answer:
    states = {task.status for task in invocation.tasks}
    running = states & {"PENDING", "RUNNING"}
    return {
        "InvocationId": invocation.invocation_id,
        "CommandId": invocation.command_id,
        "CommandName": invocation.name,
        "InvocationStatus": "RUNNING" if running else "SUCCESS" if states == {"SUCCESS"} else "PARTIAL_FAILED",
        "InvocationTaskBasicInfoSet": [
            {"InvocationTaskId": task.task_id, "TaskStatus": task.status, "InstanceId": task.instance_id}
            for task in invocation.tasks
        ],
        "CreatedTime": utc_z(invocation.created_s),
        "CommandContent": invocation.content,
        "CommandType": "SHELL",
        "Timeout": invocation.timeout_s,
        "WorkingDirectory": invocation.directory,
        "Username": invocation.user,
        "InstanceKind": "CVM",
        "InvocationSource": "USER",
        "Parameters": "",
        "DefaultParameters": "",
    }


def _task_view(invocation: Invocation, task: Task, *, hidden: bool) -> Answer:
    shown = b"" if hidden else task.output[:MAX_OUTPUT_BYTES]
    return {
        "InvocationId": invocation.invocation_id,
        "InvocationTaskId": task.task_id,
        "CommandId": invocation.command_id,
        "CommandName": invocation.name,
        "InstanceId": task.instance_id,
        "TaskStatus": task.status,
        "TaskResult": {
            "ExitCode": task.exit_code,
            "Output": base64.b64encode(shown).decode(),
            "Dropped": max(0, len(task.output) - MAX_OUTPUT_BYTES),
            "ExecStartTime": utc_z(task.began_s) if task.began_s else None,
            "ExecEndTime": utc_z(task.ended_s) if task.ended_s else None,
            "OutputUrl": "",
            "OutputUploadCOSErrorInfo": "",
        },
        "CommandDocument": {
            "Content": invocation.content,
            "CommandType": "SHELL",
            "Timeout": invocation.timeout_s,
            "WorkingDirectory": invocation.directory,
            "Username": invocation.user,
        },
        "CreatedTime": utc_z(invocation.created_s),
        "ErrorInfo": "",
        "InvocationSource": "USER",
    }
