"""`quiesce deploy` against the lab's SCF and CAM: once, again, after drift, after failures, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from quiesce.commands.exits import Exit
from quiesce.deployment import carry_out
from quiesce_lab.cloud import faults
from quiesce_lab.cloud.admin_model import Trigger
from tests.lab.cloud_world import running_lab
from tests.lab.deployments import HOOK_KEY, POLICY, Drift, Operator, changing, put_variable


@pytest.fixture
def operator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Operator]:
    monkeypatch.setattr(carry_out, "POLL_S", 0.02)
    with running_lab(tmp_path) as lab:
        lab.cloud.settings.function_seconds = 0.05
        yield Operator(lab, tmp_path)


def test_a_first_deployment_makes_the_role_the_function_its_timers_url_and_retries(operator: Operator) -> None:
    operator.deploys_first()
    made, settings = operator.function, operator.function.settings
    assert (made.handler, made.runtime, made.code) == ("index.main_handler", "Python3.10", operator.package.read_bytes())
    assert (settings["MemorySize"], settings["Timeout"], settings["InitTimeout"]) == (256, 300, 30)
    assert settings["VpcConfig"] == {"VpcId": "vpc-00000000", "SubnetId": "subnet-00000000"}
    assert (settings["Role"], made.retries, made.kept_s) == ("quiesce-function", 2, 21600)
    assert operator.variables["QUIESCE_HTTP_AUTH"] == "cam"
    assert operator.variables["QUIESCE_HOOK_KEY"] == HOOK_KEY
    nightly, follow_up, url = (operator.trigger(name) for name in ("nightly", "follow-up", "on-demand"))
    assert (nightly.desc, nightly.argument, nightly.enabled) == ({"cron": "0 30 3 * * * *"}, "nightly", True)
    assert (follow_up.argument, follow_up.enabled) == ("@follow-up", True)
    assert (url.desc["AuthType"], url.desc["NetConfig"]["EnableExtranet"], url.enabled) == ("CAM", False, True)
    (policy,) = operator.lab.cloud.world.estate().policies.values()
    assert (policy.document, operator.role.policies) == (json.loads(POLICY.read_text()), [policy.policy_id])


def test_a_second_deployment_has_nothing_to_do_and_calls_nothing_that_changes(operator: Operator) -> None:
    operator.deploys_first()
    before = operator.state()
    operator.lab.cloud.record.clear()
    result = operator.deploys()
    assert (result.exit_code, result.stdout) == (0, "nothing to do\n")
    assert changing(operator) == []
    assert operator.state() == before


def test_a_dry_run_says_everything_and_does_nothing(operator: Operator) -> None:
    before = operator.state()
    steps = operator.sees("--secrets-in-environment")
    assert [(one["deed"], one["subject"]) for one in steps] == [
        ("create", "role quiesce-function"),
        ("create", "policy quiesce-function"),
        ("attach", "role quiesce-function"),
        ("create", "function quiesce"),
        ("change", "function quiesce"),
        ("set", "retries of quiesce"),
        ("create", "timer nightly"),
        ("create", "timer follow-up"),
        ("create", "function URL"),
    ]
    assert operator.state() == before
    assert changing(operator) == []
    operator.deploys_first()
    assert changing(operator) == [one["call"] for one in steps]


def test_the_table_of_a_dry_run_has_the_same_steps(operator: Operator) -> None:
    shown = operator.deploys("--dry-run", "--secrets-in-environment").stdout.splitlines()
    assert shown[0].split() == ["deed", "subject", "detail"]
    assert shown[7].split()[:3] == ["create", "timer", "nightly"]
    assert len(shown) == 10


def settings(**changes: object) -> Drift:
    return lambda operator: operator.function.settings.update(changes)


def variable(name: str, value: str) -> Drift:
    return lambda operator: put_variable(operator, name, value)


def without(name: str) -> Drift:
    def drift(operator: Operator) -> None:
        del operator.function.triggers[operator.trigger(name).kind, name]

    return drift


def timer(**changes: object) -> Drift:
    return lambda operator: vars(operator.trigger("nightly")).update(changes)


def another_version(operator: Operator) -> None:
    operator.trigger("nightly").qualifier = "$LATEST"


def open_to_anyone(operator: Operator) -> None:
    operator.trigger("on-demand").desc["AuthType"] = "NONE"


def other_code(operator: Operator) -> None:
    operator.function.code += b"put there by hand"


def another_trust(operator: Operator) -> None:
    operator.role.document = json.loads(json.dumps(operator.role.document).replace("scf.qcloud.com", "cvm.qcloud.com"))


def wider_policy(operator: Operator) -> None:
    (policy,) = operator.lab.cloud.world.estate().policies.values()
    policy.document = json.loads(json.dumps(policy.document).replace("cvm:DescribeDisks", "cvm:*"))


def detached(operator: Operator) -> None:
    operator.role.policies.clear()


def no_retries(operator: Operator) -> None:
    operator.function.retries = 0


DRIFTS = [
    pytest.param(settings(MemorySize=128), "memory 128 -> 256", id="memory"),
    pytest.param(settings(Timeout=3), "timeout 3 -> 300", id="timeout"),
    pytest.param(settings(Role=""), "role  -> quiesce-function", id="role of the function"),
    pytest.param(
        settings(PublicNetConfig={"PublicNetStatus": "DISABLE"}), "public network False -> True", id="public network"
    ),
    pytest.param(settings(VpcConfig={"VpcId": "", "SubnetId": ""}), "network / -> vpc-", id="network"),
    pytest.param(variable("QUIESCE_HOOK_CA", "other.pem"), "variable QUIESCE_HOOK_CA changes", id="a variable"),
    pytest.param(variable("QUIESCE_HOOK_CA", ""), "variable QUIESCE_HOOK_CA is new", id="a variable gone"),
    pytest.param(variable("EXTRA", "x"), "variable EXTRA goes", id="a variable more"),
    pytest.param(other_code, "bytes, sha256", id="code put there by hand"),
    pytest.param(without("nightly"), "0 30 3 * * * *, policy nightly", id="no timer"),
    pytest.param(without("on-demand"), "callers checked by CAM", id="no URL"),
    pytest.param(timer(enabled=False), "off -> on", id="a timer that is off"),
    pytest.param(timer(argument="hourly"), "policy hourly -> nightly", id="a timer of another policy"),
    pytest.param(timer(desc={"cron": "0 0 0 1 1 * *"}), "0 0 0 1 1 * *", id="a timer at another time"),
    pytest.param(another_version, "of $LATEST", id="a timer of another version"),
    pytest.param(open_to_anyone, '"NONE"', id="a URL that anyone may call"),
    pytest.param(another_trust, "scf.qcloud.com alone", id="a role that others may take on"),
    pytest.param(wider_policy, "no longer allow cvm:*", id="a wider policy"),
    pytest.param(detached, "with the policy quiesce-function", id="a role without its policy"),
    pytest.param(no_retries, "2 more times", id="retries"),
]


@pytest.mark.parametrize(("drift", "words"), DRIFTS)
def test_what_drifted_is_said_and_put_right_and_nothing_else_is_touched(
    operator: Operator, drift: Drift, words: str
) -> None:
    operator.deploys_first()
    code, role = operator.function.code, operator.role.document
    drift(operator)
    assert any(words in one["detail"] for one in operator.sees()), operator.sees()
    result = operator.deploys()
    assert result.exit_code == 0, result.output
    assert operator.sees() == []
    assert (operator.function.code, operator.role.document) == (code, role)


def test_new_code_is_uploaded_once_and_the_settings_are_left_alone(operator: Operator) -> None:
    operator.deploys_first()
    operator.pack("second")
    operator.lab.cloud.record.clear()
    assert operator.deploys().exit_code == 0
    assert changing(operator) == ["UpdateFunctionCode", "UpdateFunctionConfiguration"]
    assert operator.function.code == operator.package.read_bytes()
    assert operator.sees() == []


def test_code_that_scf_keeps_under_a_digest_of_its_own_is_known_again(operator: Operator) -> None:
    """Nothing says that CodeSha256 is the package's: here it is that of something else."""
    operator.lab.cloud.settings.repacks_code = True
    operator.deploys_first()
    assert operator.sees() == []
    other_code(operator)
    assert [one["call"] for one in operator.sees()] == ["UpdateFunctionCode", "UpdateFunctionConfiguration"]


@pytest.mark.parametrize(
    "action",
    [
        "CreateRole",
        "CreatePolicy",
        "AttachRolePolicy",
        "CreateFunction",
        "UpdateFunctionConfiguration",
        "UpdateFunctionEventInvokeConfig",
        "CreateTrigger",
    ],
)
@pytest.mark.parametrize(
    "fault", [faults.refuse("InternalError"), faults.error_after_success(), faults.lost_response()], ids=lambda one: one.kind
)
def test_whatever_step_fails_the_next_run_does_what_is_left(operator: Operator, action: str, fault: faults.Fault) -> None:
    operator.lab.cloud.faults.set(action, fault)
    failed = operator.deploys("--secrets-in-environment")
    assert (failed.exit_code, "the next run does what is left" in failed.stderr) == (Exit.REFUSED, True)
    operator.deploys_first()
    made = {name: call_count(operator, name) for name in ("CreateRole", "CreatePolicy", "CreateFunction")}
    assert all(count <= 2 for count in made.values())
    assert sorted(name for _, name in operator.function.triggers) == ["follow-up", "nightly", "on-demand"]
    assert operator.sees() == []


def call_count(operator: Operator, action: str) -> int:
    return len(operator.lab.cloud.record.of(action))


def test_a_function_without_timers_because_they_were_refused_gets_them_from_the_next_run(operator: Operator) -> None:
    operator.lab.cloud.faults.set(
        "CreateTrigger", faults.refuse("LimitExceeded.Trigger"), match={"TriggerName": "follow-up"}
    )
    assert operator.deploys("--secrets-in-environment").exit_code == Exit.REFUSED
    assert [name for _, name in operator.function.triggers] == ["nightly"]
    assert [one["subject"] for one in operator.sees()] == ["timer follow-up", "function URL"]
    operator.lab.cloud.record.clear()
    assert operator.deploys().exit_code == 0
    assert changing(operator) == ["CreateTrigger", "CreateTrigger"]


def test_a_change_that_is_underway_is_waited_for(operator: Operator) -> None:
    operator.deploys_first()
    operator.pack("second")
    operator.function.status, operator.function.active_from_s = "Updating", operator.lab.clock.time() + 0.3
    assert operator.deploys().exit_code == 0
    assert operator.function.code == operator.package.read_bytes()


def test_a_function_whose_update_failed_gets_its_code_again(operator: Operator) -> None:
    operator.deploys_first()
    operator.function.status = "UpdateFailed"
    assert [one["call"] for one in operator.sees()] == ["UpdateFunctionCode", "UpdateFunctionConfiguration"]
    assert operator.deploys().exit_code == 0
    assert operator.sees() == []


def test_timers_that_somebody_added_are_told_and_removed_only_on_request(operator: Operator) -> None:
    operator.deploys_first()
    extra = Trigger("hourly", "timer", {"cron": "0 0 * * * * *"}, "$DEFAULT", True, "nightly", 0.0)
    operator.function.triggers["timer", "hourly"] = extra
    kept = operator.deploys()
    assert (kept.stdout, "timer hourly is not in the deployment file" in kept.stderr) == ("nothing to do\n", True)
    assert operator.deploys("--remove-triggers").exit_code == 0
    assert ("timer", "hourly") not in operator.function.triggers
    assert operator.sees() == []


def test_another_policy_on_the_role_is_told(operator: Operator) -> None:
    operator.deploys_first()
    operator.lab.call("cam", "CreatePolicy", {"PolicyName": "quiesce-function-too", "PolicyDocument": POLICY.read_text()})
    attached = {"AttachRoleName": "quiesce-function", "PolicyName": "quiesce-function-too"}
    operator.lab.call("cam", "AttachRolePolicy", attached)
    result = operator.deploys()
    assert "also has the policy quiesce-function-too" in result.stderr
    assert result.stdout == "nothing to do\n"


def test_a_function_of_another_name_may_invoke_itself(operator: Operator) -> None:
    operator.edit('function = "quiesce"', 'function = "snapshots"')
    operator.deploys_first()
    (policy,) = operator.lab.cloud.world.estate().policies.values()
    assert "namespace/default/function/snapshots" in json.dumps(policy.document)
