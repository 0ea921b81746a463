"""The lab's SCF, CAM and TAT refuse what the platform refuses, and answer in its shapes."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quiesce.deployment.role import TRUST
from tests.lab.cloud_world import ALLOWED_EVERY_S, Lab, running_lab
from tests.lab.shells import DirectoryShell
from tests.waiting import wait_until

TRIGGER = {"FunctionName": "quiesce", "TriggerName": "nightly", "Type": "timer", "TriggerDesc": "0 0 3 * * * *"}
SECOND_URL = {**TRIGGER, "TriggerName": "url", "Type": "http", "TriggerDesc": '{"AuthType":"CAM","NetConfig":{}}'}


def code(name: str = "index.py") -> str:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as opened:
        opened.writestr(name, "")
    return base64.b64encode(stream.getvalue()).decode()


FUNCTION: dict[str, Any] = {
    "FunctionName": "quiesce",
    "Code": {"ZipFile": code()},
    "Handler": "index.main_handler",
    "Runtime": "Python3.10",
    "Role": "function",
}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with running_lab(tmp_path) as lab:
        lab.cloud.settings.function_seconds = 0.0
        lab.call("cam", "CreateRole", {"RoleName": "function", "PolicyDocument": json.dumps(TRUST)})
        yield lab


def with_function(lab: Lab, **changes: object) -> None:
    lab.call("scf", "CreateFunction", {**FUNCTION, **changes})


@pytest.mark.parametrize(
    ("change", "code_"),
    [
        ({"FunctionName": "1st"}, "InvalidParameterValue.FunctionName"),
        ({"Namespace": "other"}, "ResourceNotFound.Namespace"),
        ({"Runtime": "Python3.11"}, "InvalidParameterValue.Runtime"),
        ({"Role": "nobody"}, "ResourceNotFound.Role"),
        ({"Handler": "app.main"}, "InvalidParameterValue.Handler"),
        ({"Code": {"ZipFile": "no base64"}}, "InvalidParameterValue.ZipFileBase64BinasciiError"),
        ({"Code": {"ZipFile": "bm8gemlw"}}, "InvalidParameterValue.ZipFile"),
        ({"MemorySize": 200}, "InvalidParameterValue.MemorySize"),
        ({"Timeout": 901}, "LimitExceeded.Timeout"),
        ({"InitTimeout": 2}, "LimitExceeded.InitTimeout"),
        ({"Description": "with a - in it"}, "InvalidParameterValue.Description"),
        ({"VpcConfig": {"VpcId": "vpc-1"}}, "InvalidParameterValue.Vpc"),
        ({"ClsTopicId": "t"}, "InvalidParameterValue.Cls"),
        ({"Environment": {"Variables": [{"Key": "A", "Value": ""}]}}, "InvalidParameterValue.Environment"),
        ({"Environment": {"Variables": [{"Key": "SCF_A", "Value": "x"}]}}, "InvalidParameterValue.EnvironmentSystemProtect"),
        (
            {"Environment": {"Variables": [{"Key": "A", "Value": "x" * 4096}]}},
            "InvalidParameterValue.EnvironmentExceededLimit",
        ),
        ({"Layers": []}, "UnsupportedOperation"),
        ({"Kolor": "red"}, "UnknownParameter"),
    ],
)
def test_a_function_that_scf_would_refuse_is_refused_and_not_made(lab: Lab, change: dict[str, Any], code_: str) -> None:
    assert lab.error_of("scf", "CreateFunction", {**FUNCTION, **change}) == code_
    assert lab.error_of("scf", "GetFunction", {"FunctionName": "quiesce"}) == "ResourceNotFound.FunctionName"


def test_a_role_that_scf_may_not_take_on_is_refused(lab: Lab) -> None:
    trust = json.dumps(TRUST).replace("scf.qcloud.com", "cvm.qcloud.com")
    lab.call("cam", "CreateRole", {"RoleName": "others", "PolicyDocument": trust})
    assert lab.error_of("scf", "CreateFunction", {**FUNCTION, "Role": "others"}) == "FailedOperation.CallRoleFailed"


def test_while_a_change_is_underway_there_is_no_other(lab: Lab) -> None:
    lab.cloud.settings.function_seconds = 1000
    with_function(lab)
    update = {"FunctionName": "quiesce", "Timeout": 10}
    assert lab.call("scf", "GetFunction", {"FunctionName": "quiesce"})["Status"] == "Creating"
    refused = "FailedOperation.UpdateFunctionConfiguration"
    assert lab.error_of("scf", "UpdateFunctionConfiguration", update) == refused
    assert lab.error_of("scf", "UpdateFunctionCode", {"FunctionName": "quiesce"}) == "FailedOperation.UpdateFunctionCode"
    assert lab.error_of("scf", "CreateTrigger", TRIGGER) == "FailedOperation.CreateTrigger"
    lab.cloud.world.estate().deployed["quiesce"].active_from_s = 0.0
    assert lab.error_of("scf", "UpdateFunctionConfiguration", update) == ""


def test_what_a_request_leaves_out_stays_as_it_is(lab: Lab) -> None:
    with_function(lab, MemorySize=256, Description="first")
    lab.call("scf", "UpdateFunctionConfiguration", {"FunctionName": "quiesce", "Description": "second"})
    shown = lab.call("scf", "GetFunction", {"FunctionName": "quiesce"})
    assert (shown["MemorySize"], shown["Description"]) == (256, "second")
    assert lab.error_of("scf", "CreateFunction", FUNCTION) == "ResourceInUse.FunctionName"


def test_a_timer_is_read_in_another_shape_than_it_was_written(lab: Lab) -> None:
    with_function(lab)
    lab.call("scf", "CreateTrigger", {**TRIGGER, "Enable": "OPEN", "CustomArgument": "nightly"})
    (shown,) = lab.call("scf", "ListTriggers", {"FunctionName": "quiesce"})["Triggers"]
    assert (shown["Enable"], json.loads(shown["TriggerDesc"])) == (1, {"cron": "0 0 3 * * * *"})
    assert (shown["Qualifier"], shown["CustomArgument"]) == ("$LATEST", "nightly")


def test_a_timer_without_enable_is_made_switched_off(lab: Lab) -> None:
    with_function(lab)
    lab.call("scf", "CreateTrigger", TRIGGER)
    assert lab.call("scf", "ListTriggers", {"FunctionName": "quiesce"})["Triggers"][0]["Enable"] == 0
    lab.call(
        "scf", "UpdateTriggerStatus", {**{key: TRIGGER[key] for key in TRIGGER if key != "TriggerDesc"}, "Enable": "OPEN"}
    )
    assert lab.call("scf", "ListTriggers", {"FunctionName": "quiesce"})["Triggers"][0]["Enable"] == 1


@pytest.mark.parametrize(
    ("change", "code_"),
    [
        ({"TriggerDesc": "0 3 * * *"}, "InvalidParameterValue.TriggerDesc"),
        ({"TriggerDesc": '{"cron": '}, "InvalidParameterValue.TriggerDesc"),
        ({"TriggerName": "1st"}, "InvalidParameterValue.TriggerName"),
        ({"Enable": "TRUE"}, "InvalidParameterValue.Enable"),
        ({"Type": "apigw"}, "InvalidParameterValue.Type"),
        ({"CustomArgument": "x" * 4097}, "InvalidParameterValue.CustomArgument"),
        ({"FunctionName": "other"}, "ResourceNotFound.FunctionName"),
    ],
)
def test_a_trigger_that_scf_would_refuse_is_refused(lab: Lab, change: dict[str, str], code_: str) -> None:
    with_function(lab)
    assert lab.error_of("scf", "CreateTrigger", {**TRIGGER, **change}) == code_


def test_a_version_has_one_url_and_a_function_ten_timers_and_a_trigger_is_found_by_its_version(lab: Lab) -> None:
    with_function(lab)
    for number in range(10):
        lab.call("scf", "CreateTrigger", {**TRIGGER, "TriggerName": f"t{number}"})
    assert lab.error_of("scf", "CreateTrigger", {**TRIGGER, "TriggerName": "t10"}) == "LimitExceeded.Trigger"
    assert lab.error_of("scf", "CreateTrigger", {**SECOND_URL, "TriggerName": "t1"}) == "ResourceInUse.TriggerName"
    lab.call("scf", "CreateTrigger", SECOND_URL)
    assert lab.error_of("scf", "CreateTrigger", {**SECOND_URL, "TriggerName": "url2"}) == "ResourceInUse.Trigger"
    gone = {"FunctionName": "quiesce", "TriggerName": "t1", "Type": "timer"}
    assert lab.error_of("scf", "DeleteTrigger", {**gone, "Qualifier": "$DEFAULT"}) == "ResourceNotFound.Trigger"
    assert lab.error_of("scf", "DeleteTrigger", gone) == ""


@pytest.mark.parametrize(
    ("config", "code_"),
    [
        ({"RetryConfig": [{"RetryNum": 3}], "MsgTTL": 3600}, "LimitExceeded.RetryNum"),
        ({"RetryConfig": [{"RetryNum": 1}], "MsgTTL": 99999}, "LimitExceeded.MsgTTL"),
    ],
)
def test_retries_have_their_limits(lab: Lab, config: dict[str, Any], code_: str) -> None:
    with_function(lab)
    params = {"FunctionName": "quiesce", "AsyncTriggerConfig": config}
    assert lab.error_of("scf", "UpdateFunctionEventInvokeConfig", params) == code_


def test_roles_and_policies_are_the_accounts_and_not_a_regions(lab: Lab) -> None:
    elsewhere = lab.client("cam", region="ap-shanghai")
    info = elsewhere.call_json("GetRole", {"RoleName": "function"})["Response"]["RoleInfo"]
    assert json.loads(info["PolicyDocument"]) == TRUST
    assert lab.error_of("cam", "GetRole", {"RoleName": "nobody"}) == "InvalidParameter.RoleNotExist"


@pytest.mark.parametrize(
    ("action", "params", "code_"),
    [
        ("CreateRole", {"RoleName": "function", "PolicyDocument": json.dumps(TRUST)}, "InvalidParameter.RoleNameInUse"),
        ("CreateRole", {"RoleName": "a b", "PolicyDocument": json.dumps(TRUST)}, "InvalidParameter.RoleNameError"),
        ("CreateRole", {"RoleName": "r", "PolicyDocument": "{"}, "InvalidParameter.PolicyDocumentError"),
        (
            "CreateRole",
            {"RoleName": "r", "PolicyDocument": json.dumps(TRUST).replace("scf.qcloud.com", "no.such")},
            "InvalidParameter.PrincipalServiceNotExist",
        ),
        ("CreatePolicy", {"PolicyName": "p", "PolicyDocument": json.dumps(TRUST)}, "InvalidParameter.PolicyDocumentError"),
        ("UpdatePolicy", {"PolicyName": "p", "PolicyDocument": "{}"}, "InvalidParameter.PolicyIdNotExist"),
        ("GetPolicy", {"PolicyId": 1}, "ResourceNotFound.PolicyIdNotFound"),
        ("AttachRolePolicy", {"AttachRoleName": "function", "PolicyName": "p"}, "InvalidParameter.PolicyIdNotExist"),
        ("ListAttachedRolePolicies", {"RoleName": "function", "Page": 0, "Rp": 20}, "InvalidParameter.ParamError"),
    ],
)
def test_cam_refuses_what_does_not_fit(lab: Lab, action: str, params: dict[str, Any], code_: str) -> None:
    assert lab.error_of("cam", action, params) == code_


def encoded(script: str) -> str:
    return base64.b64encode(script.encode()).decode()


def tasks(lab: Lab, **params: object) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = lab.call("tat", "DescribeInvocationTasks", params)["InvocationTaskSet"]
    return found


def ended(lab: Lab) -> bool:
    return all(one["TaskStatus"] not in ("PENDING", "RUNNING") for one in tasks(lab))


def test_a_command_runs_on_the_instance_and_its_output_is_shown_on_request_only(lab: Lab, tmp_path: Path) -> None:
    lab.cloud.world.add_automation_agent("ins-a", DirectoryShell(tmp_path / "ins-a"))
    script = "echo here; pwd >&2; exit 3"
    lab.call("tat", "RunCommand", {"Content": encoded(script), "InstanceIds": ["ins-a"]})
    wait_until(lambda: ended(lab), every_s=ALLOWED_EVERY_S)
    assert tasks(lab)[0]["TaskResult"]["Output"] == ""
    (shown,) = tasks(lab, HideOutput=False)
    assert (shown["TaskStatus"], shown["TaskResult"]["ExitCode"]) == ("FAILED", 3)
    output = base64.b64decode(shown["TaskResult"]["Output"]).decode()
    assert output == f"here\n{tmp_path}/ins-a/root\n"
    (kept,) = lab.call("tat", "DescribeInvocations")["InvocationSet"]
    assert base64.b64decode(kept["CommandContent"]).decode() == script


def test_a_long_output_is_cut_and_a_long_command_stopped(lab: Lab, tmp_path: Path) -> None:
    lab.cloud.world.add_automation_agent("ins-a", DirectoryShell(tmp_path / "ins-a"))
    for script in ("head -c 30000 /dev/zero", "sleep 60"):
        lab.call("tat", "RunCommand", {"Content": encoded(script), "InstanceIds": ["ins-a"], "Timeout": 1})
    wait_until(lambda: ended(lab), every_s=ALLOWED_EVERY_S)
    cut, stopped = tasks(lab, HideOutput=False)
    assert (len(base64.b64decode(cut["TaskResult"]["Output"])), cut["TaskResult"]["Dropped"]) == (
        24 * 1024,
        30000 - 24 * 1024,
    )
    assert stopped["TaskStatus"] == "TIMEOUT"


@pytest.mark.parametrize(
    ("change", "code_"),
    [
        ({"InstanceIds": ["ins-none"]}, "ResourceNotFound.InstanceNotFound"),
        ({"InstanceIds": ["ins-a", "ins-off"]}, "ResourceUnavailable.AgentStatusNotOnline"),
        ({"InstanceIds": ["ins-bare"]}, "ResourceUnavailable.AgentNotInstalled"),
        ({"InstanceIds": ["ins-still"]}, "ResourceUnavailable.InstanceStateNotRunning"),
        ({"Content": "no base64"}, "InvalidParameterValue.CommandContentInvalid"),
        ({"Content": "A" * 65540}, "InvalidParameterValue.TooLong"),
        ({"CommandName": "x" * 61}, "InvalidParameterValue.InvalidCommandName"),
        ({"Timeout": 0}, "InvalidParameterValue.Range"),
        ({"CommandType": "BAT"}, "InvalidParameterValue.AgentUnsupportedCommandType"),
        ({"EnableParameter": True}, "UnsupportedOperation"),
    ],
)
def test_a_command_that_tat_would_refuse_runs_nowhere(lab: Lab, tmp_path: Path, change: dict[str, Any], code_: str) -> None:
    shell = DirectoryShell(tmp_path / "ins-a")
    for name, state in (("ins-off", "RUNNING"), ("ins-bare", "RUNNING"), ("ins-still", "STOPPED")):
        lab.cloud.world.add_instance(name, "10.0.0.9", state=state)
    lab.cloud.world.add_automation_agent("ins-a", shell)
    lab.cloud.world.add_automation_agent("ins-off", shell, online=False)
    params = {"Content": encoded("true"), "InstanceIds": ["ins-a"], **change}
    assert lab.error_of("tat", "RunCommand", params) == code_
    assert (shell.scripts, lab.call("tat", "DescribeInvocations")["TotalCount"]) == ([], 0)


def test_an_instance_that_never_had_the_agent_is_left_out_without_a_word(lab: Lab, tmp_path: Path) -> None:
    lab.cloud.world.add_instance("ins-b", "10.0.0.9")
    lab.cloud.world.add_automation_agent("ins-b", DirectoryShell(tmp_path), online=False)
    listed = lab.call("tat", "DescribeAutomationAgentStatus", {"InstanceIds": ["ins-a", "ins-b"]})["AutomationAgentSet"]
    assert [(one["InstanceId"], one["AgentStatus"]) for one in listed] == [("ins-b", "Offline")]
