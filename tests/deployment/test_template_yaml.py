"""template.yaml follows the grammar of scf 0.2.8, but for the one line that its head comment speaks of."""

from __future__ import annotations

import pytest
from scripts.check_deployment import template_problems

from tests.deployment.manifests import ABSENT, ROOT, SERVERLESS, TEMPLATE, changed

PROPERTIES = "Resources/default/quiesce/Properties"
EVENTS = f"{PROPERTIES}/Events"


def test_the_template_as_it_is_has_no_problem() -> None:
    assert template_problems(TEMPLATE) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param("AWSTemplateFormatVersion", "2010-09-09", id="a key of another cloud"),
        pytest.param("Resources", ABSENT, id="no resources"),
        pytest.param(
            "Resources/default/Type", "TencentCloud::Serverless::Function", id="a function in place of a namespace"
        ),
        pytest.param("Resources/default/Properties", {}, id="a namespace with properties"),
        pytest.param("Globals/Function/VpcConfig", {"VpcId": "v", "SubnetId": "s"}, id="VpcConfig in Globals"),
        pytest.param("Globals/Function/Timeout", 0, id="no time"),
        pytest.param(f"{PROPERTIES}/Runtime", "Python3.9", id="a runtime the grammar never had"),
        pytest.param(f"{PROPERTIES}/Runtime", ABSENT, id="no runtime"),
        pytest.param(f"{PROPERTIES}/Handler", ABSENT, id="no handler"),
        pytest.param(f"{PROPERTIES}/CodeUri", ABSENT, id="no code"),
        pytest.param(f"{PROPERTIES}/Layers", [], id="layers"),
        pytest.param(f"{PROPERTIES}/ClsTopicId", "topic", id="a log topic"),
        pytest.param(f"{PROPERTIES}/MemorySize", "256", id="memory as text"),
        pytest.param(f"{PROPERTIES}/VpcConfig/SubnetId", ABSENT, id="half a VpcConfig"),
        pytest.param(f"{PROPERTIES}/Environment/Variables/N", 1, id="a number as value"),
        pytest.param(f"{PROPERTIES}/Environment/Variables/B", True, id="true as value"),
        pytest.param(f"{PROPERTIES}/Environment/Variables/QUIESCE_HOOK_KEY", "hunter2", id="a secret written down"),
        pytest.param("Resources/default/quiesce/Events", {}, id="events beside the properties"),
        pytest.param(f"{EVENTS}/nightly/Type", "timer", id="a type in lower case"),
        pytest.param(f"{EVENTS}/nightly/Type", "HTTP", id="a function URL"),
        pytest.param(f"{EVENTS}/nightly/Properties/CronExpression", ABSENT, id="a timer without time"),
        pytest.param(f"{EVENTS}/nightly/Properties/Enable", "ON", id="another word for OPEN"),
        pytest.param(f"{EVENTS}/nightly/Properties/Enabled", "OPEN", id="a misspelt key, which scf ignores"),
        pytest.param(f"{EVENTS}/nightly/Properties/Message", {"policy": "x"}, id="a map as message"),
        pytest.param(f"{EVENTS}/on-demand/Properties/HttpMethod", "PATCH", id="a method API Gateway lacks"),
        pytest.param(f"{EVENTS}/on-demand/Properties/StageName", "prod", id="a stage API Gateway lacks"),
    ],
)
def test_a_change_that_the_grammar_lacks_is_refused(path: str, value: object) -> None:
    assert len(template_problems(changed(TEMPLATE, path, value))) >= 1


def test_the_first_comment_says_that_this_file_cannot_deploy() -> None:
    comment = (ROOT / "template.yaml").read_text().split("\n\n")[0]
    assert comment.startswith("#")
    assert "CANNOT DEPLOY" in comment
    assert "Python3.6" in comment


def test_the_dead_trigger_is_off() -> None:
    assert (
        TEMPLATE["Resources"]["default"]["quiesce"]["Properties"]["Events"]["on-demand"]["Properties"]["Enable"] == "CLOSE"
    )


def test_both_manifests_describe_the_same_function() -> None:
    inputs = SERVERLESS["inputs"]
    old = TEMPLATE["Resources"][inputs["namespace"]][inputs["name"]]["Properties"]
    assert (old["Handler"], old["Runtime"], old["MemorySize"]) == (
        inputs["handler"],
        inputs["runtime"],
        inputs["memorySize"],
    )
    assert TEMPLATE["Globals"]["Function"]["Timeout"] == inputs["timeout"]
    assert old["Role"] == inputs["role"]
    timer = inputs["events"][0]["timer"]
    assert old["Events"][timer["name"]]["Properties"] == {
        "CronExpression": timer["parameters"]["cronExpression"],
        "Enable": "OPEN",
        "Message": timer["parameters"]["argument"],
    }
    assert set(old["Environment"]["Variables"]) <= set(inputs["environment"]["variables"])
