"""serverless.yml is complete, and each thing that the framework lets pass in silence is found here."""

from __future__ import annotations

import re

import pytest
from scripts.check_deployment import serverless_problems, unset, variables

from quiesce import policies
from tests.deployment.manifests import ABSENT, ROOT, SERVERLESS, SERVERLESS_TEXT, changed

VARIABLES = "inputs/environment/variables"
TIMER = "inputs/events/0/timer"
HTTP = "inputs/events/1/http"


def test_the_manifest_as_it_is_has_no_problem() -> None:
    assert serverless_problems(SERVERLESS, SERVERLESS_TEXT) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param(f"{TIMER}/parameters/enable", ABSENT, id="a timer without enable is created disabled"),
        pytest.param(f"{TIMER}/parameters/enable", False, id="a disabled timer"),
        pytest.param(f"{TIMER}/parameters/enable", "true", id="enable as text"),
        pytest.param(f"{TIMER}/parameters/argument", {"policy": "nightly"}, id="a map as argument is flattened"),
        pytest.param(f"{TIMER}/parameters/argument", ABSENT, id="no policy named"),
        pytest.param(f"{TIMER}/parameters/cronExpression", "30 3 * * *", id="five cron fields"),
        pytest.param(f"{TIMER}/parameters/cronExpression", "0 0 30 3 * * * *", id="eight cron fields"),
        pytest.param(f"{TIMER}/parameters/enabled", True, id="a misspelt key beside enable"),
        pytest.param(f"{TIMER}/parameters/qualifier", ABSENT, id="timer without qualifier"),
        pytest.param(f"{TIMER}/name", "1st", id="a trigger name that begins with a digit"),
        pytest.param("inputs/events", SERVERLESS["inputs"]["events"][1:2], id="no timer"),
        pytest.param("inputs/events/1", ABSENT, id="no function URL"),
        pytest.param("inputs/events/2", {"apigw": {"name": "gone"}}, id="a trigger of a product that is no more"),
        pytest.param("inputs/events/2", SERVERLESS["inputs"]["events"][1], id="two URLs on one version"),
        pytest.param("inputs/events/1/timer", {}, id="two triggers in one item"),
        pytest.param(f"{HTTP}/parameters/netConfig", ABSENT, id="no netConfig: a URL nobody can reach"),
        pytest.param(f"{HTTP}/parameters/netConfig/enableIntranet", False, id="both net flags off"),
        pytest.param(f"{HTTP}/parameters/netConfig/enableExtranet", ABSENT, id="one net flag left to its default"),
        pytest.param(f"{HTTP}/parameters/authType", "NONE", id="a URL open to anyone"),
        pytest.param(f"{HTTP}/parameters/authType", ABSENT, id="authType left to its default, NONE"),
        pytest.param(f"{HTTP}/parameters/qualifier", ABSENT, id="a URL that a second deploy cannot find"),
        pytest.param("inputs/namespace", ABSENT, id="namespace absent"),
        pytest.param("inputs/namespace", "", id="namespace empty"),
        pytest.param("inputs/type", ABSENT, id="type absent"),
        pytest.param("inputs/type", "Event", id="type in another spelling"),
        pytest.param("inputs/runtime", "Python3.11", id="a runtime that SCF does not have"),
        pytest.param("inputs/runtime", "Python3.9", id="a runtime that the code does not run on"),
        pytest.param("inputs/handler", "quiesce.index.main_handler", id="a handler with three parts"),
        pytest.param("inputs/src", "./src", id="source without its dependencies"),
        pytest.param("inputs/memorySize", 200, id="memory that is no multiple of 128"),
        pytest.param("inputs/memorySize", "256MB", id="memory that is dropped as not a number"),
        pytest.param("inputs/memorySize", 4096, id="too much memory"),
        pytest.param("inputs/timeout", ABSENT, id="timeout left to its default of 3 s"),
        pytest.param("inputs/timeout", 3, id="timeout of 3 s"),
        pytest.param("inputs/timeout", 1000, id="timeout over 900 s"),
        pytest.param("inputs/initTimeout", 2, id="initTimeout under 3 s"),
        pytest.param("inputs/role", "SCF_QcsRole", id="the role that may do anything"),
        pytest.param("inputs/role", ABSENT, id="no role: no credentials reach the function"),
        pytest.param("inputs/vpcConfig/subnetId", ABSENT, id="half a vpcConfig"),
        pytest.param("inputs/publicAccess", False, id="no way to the cloud's API"),
        pytest.param("inputs/cls/topicId", ABSENT, id="half a log destination"),
        pytest.param("inputs/asyncRunEnable", True, id="asynchronous execution: no retries"),
        pytest.param("inputs/aliases", [], id="an input that does not exist"),
        pytest.param("inputs/name", "1-quiesce", id="a function name that begins with a digit"),
        pytest.param("inputs/environment", ABSENT, id="no environment: the deployed one is cleared"),
        pytest.param(VARIABLES, {}, id="an empty environment"),
        pytest.param(f"{VARIABLES}/QUIESCE_HOOK_CA", ABSENT, id="a setting that the function cannot do without"),
        pytest.param(f"{VARIABLES}/QUIESCE_HTTP_AUTH", "hmac", id="the function and CAM each wait for the other"),
        pytest.param(f"{VARIABLES}/QUIESCE_MODE", "", id="an empty value"),
        pytest.param(f"{VARIABLES}/QUIESCE_MODE", {"a": 1}, id="a map as value"),
        pytest.param(f"{VARIABLES}/QUIESCE_MODE", 1, id="a number as value"),
        pytest.param(f"{VARIABLES}/SCF_MODE", "x", id="a name reserved for SCF"),
        pytest.param(f"{VARIABLES}/QCLOUD_MODE", "x", id="a name reserved for QCLOUD"),
        pytest.param(f"{VARIABLES}/TENCENTCLOUD_SECRETID", "x", id="a name reserved for TENCENTCLOUD"),
        pytest.param(f"{VARIABLES}/_MODE", "x", id="a name that begins with an underscore"),
        pytest.param(f"{VARIABLES}/QUIESCE_MODE", "x y " * 1100, id="more than 4 KB of environment"),
        pytest.param(f"{VARIABLES}/QUIESCE_HOOK_KEY", "hunter2", id="a secret written down"),
        pytest.param(f"{VARIABLES}/QUIESCE_HOOK_KEY", "${env:QUIESCE_HOOK_KEY}x", id="a secret half written down"),
        pytest.param("inputs/description", "key " + "0123456789abcdef" * 4, id="a key in another place"),
        pytest.param("inputs/role", "${env:QUIESCE_ROLE}", id="a variable that the head comment does not explain"),
        pytest.param("inputs/region", "ap-guangzhou", id="a variable explained that nothing reads"),
        pytest.param("component", "tencent-scf", id="another component"),
        pytest.param("stage", ABSENT, id="no stage"),
    ],
)
def test_a_change_that_would_deploy_something_else_is_refused(path: str, value: object) -> None:
    assert len(serverless_problems(changed(SERVERLESS, path, value), SERVERLESS_TEXT)) >= 1


def test_a_problem_is_told_with_its_place() -> None:
    broken = changed(SERVERLESS, f"{TIMER}/parameters/enable", False)
    assert serverless_problems(broken, SERVERLESS_TEXT) == ["$.inputs.events[0].timer.parameters.enable: True was expected"]


def test_the_environment_may_fill_its_four_kilobytes_to_the_last_but_one() -> None:
    taken = sum(len(name) + len(value) for name, value in SERVERLESS["inputs"]["environment"]["variables"].items())
    room = 4096 - taken - len("QUIESCE_MODE")
    for size, problems in ((room - 1, 0), (room, 1)):
        document = changed(SERVERLESS, f"{VARIABLES}/QUIESCE_MODE", ("x " * 4096)[:size])
        assert len(serverless_problems(document, SERVERLESS_TEXT)) == problems


def test_a_variable_that_is_not_set_is_named_before_the_deployment() -> None:
    names = variables(SERVERLESS)
    assert unset(names, dict.fromkeys(names, "x")) == []
    assert unset(names, {**dict.fromkeys(names, "x"), "QUIESCE_REGION": ""}) == [
        "QUIESCE_REGION is not set; serverless.yml says what it is"
    ]


def test_the_timer_asks_for_a_policy_that_exists() -> None:
    asked_for = SERVERLESS["inputs"]["events"][0]["timer"]["parameters"]["argument"]
    assert asked_for in policies.load(ROOT / "src" / "policies.toml")


def test_the_function_reads_every_variable_that_it_is_given() -> None:
    """A name that the code does not know would be set in vain, and the setting it was meant for left at its default."""
    sources = "\n".join(path.read_text() for path in sorted((ROOT / "src").rglob("*.py")))
    read = set(re.findall(r"QUIESCE_[A-Z0-9_]+", sources))
    assert set(SERVERLESS["inputs"]["environment"]["variables"]) <= read
