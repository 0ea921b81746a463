"""serverless.yml through Tencent's own tencent-component-toolkit, which turns its inputs into calls of SCF's API.

The framework's command line and its hosted engine are not run: npm does not have the first, and the second needs an account.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from quiesce.deployment import spec
from tests.deployment.manifests import ROOT, SERVERLESS
from tests.deployment.recording_proxy import Asked, recording_proxy

pytestmark = pytest.mark.lab

VERSION = "2.27.6"
FOLDER = ROOT / "build" / "toolkit"
SCRIPT = Path(__file__).with_name("deploy_with_toolkit.js")
EXAMPLE = spec.load(ROOT / "deploy" / "deployment.example.toml")


@pytest.fixture(scope="module")
def toolkit() -> Path:
    """The folder that the toolkit is installed in."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("needs node and npm")
    if not (FOLDER / "node_modules" / "tencent-component-toolkit").is_dir():
        FOLDER.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-save"]
        command += [f"tencent-component-toolkit@{VERSION}"]
        done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=240, check=False)
        if done.returncode:
            pytest.skip(f"npm has no tencent-component-toolkit {VERSION} here: {done.stderr.strip().splitlines()[-1:]}")
    return FOLDER


def inputs() -> dict[str, Any]:
    """The inputs as the engine hands them on: variables filled in, and the code in a bucket."""
    filled = re.sub(r"\$\{env:(\w+)\}", lambda found: _value(found[1]), json.dumps(SERVERLESS["inputs"]))
    read: dict[str, Any] = json.loads(filled)
    code = {"bucket": "code-1250000000", "object": "/function.zip"}
    return {**read, "code": code}


def _value(name: str) -> str:
    return {"QUIESCE_REGION": "ap-guangzhou", "QUIESCE_VPC_ID": "vpc-1", "QUIESCE_SUBNET_ID": "subnet-1"}.get(
        name, f"{name} x"
    )


@pytest.fixture(scope="module")
def asked(toolkit: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    with recording_proxy(tmp_path_factory.mktemp("proxy")) as (proxy, asked):
        env = {**os.environ, "HTTPS_PROXY": proxy, "https_proxy": proxy, "NO_PROXY": "", "no_proxy": ""}
        command = ["node", str(SCRIPT), str(toolkit), json.dumps(inputs())]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        yield asked


def test_one_function_is_created_with_what_the_deployment_file_says_too(asked: Asked) -> None:
    (made,) = asked.of("CreateFunction")
    assert (made["FunctionName"], made["Namespace"], made["Type"]) == (EXAMPLE.function, EXAMPLE.namespace, "Event")
    assert (made["Handler"], made["Runtime"], made["Role"]) == ("index.main_handler", "Python3.10", EXAMPLE.role)
    sizes = [made[name] for name in ("MemorySize", "Timeout", "InitTimeout")]
    assert sizes == [str(one) for one in (EXAMPLE.memory_mib, EXAMPLE.timeout_s, EXAMPLE.init_timeout_s)]
    assert made["VpcConfig"] == {"VpcId": "vpc-1", "SubnetId": "subnet-1"}
    assert made["PublicNetConfig"]["PublicNetStatus"] == "ENABLE"
    assert made.get("AsyncRunEnable") in (None, "FALSE")


def test_every_variable_arrives_and_none_is_empty(asked: Asked) -> None:
    (made,) = asked.of("CreateFunction")
    variables = {one["Key"]: one["Value"] for one in made["Environment"]["Variables"]}
    assert set(variables) == {*spec.NEEDED, *EXAMPLE.variables, "QUIESCE_LOG_TOPIC"}
    assert [name for name, value in variables.items() if not value or value == "[object Object]"] == []
    assert variables["QUIESCE_HOOK_CA"] == EXAMPLE.variables["QUIESCE_HOOK_CA"]


def test_the_timers_are_on_and_carry_their_policies(asked: Asked) -> None:
    made = {one["TriggerName"]: one for one in asked.of("CreateTrigger") if one["Type"] == "timer"}
    assert len(made) == len(EXAMPLE.timers)
    for timer in EXAMPLE.timers:
        (one,) = [trigger for trigger in made.values() if trigger["CustomArgument"] == timer.policy]
        assert (one["TriggerDesc"], one["Enable"], one["Qualifier"]) == (timer.cron, "OPEN", "$DEFAULT")


def test_the_url_asks_cam_for_its_callers(asked: Asked) -> None:
    (made,) = [one for one in asked.of("CreateTrigger") if one["Type"] == "http"]
    desc = json.loads(made["TriggerDesc"])
    assert EXAMPLE.url is not None
    assert desc["AuthType"] == "CAM"
    assert desc["NetConfig"] == {"EnableIntranet": EXAMPLE.url.intranet, "EnableExtranet": EXAMPLE.url.extranet}
    assert (made["Enable"], made["Qualifier"]) == ("OPEN", "$DEFAULT")


def test_nothing_is_asked_for_that_no_input_is_for(asked: Asked) -> None:
    changing = {name for name, _ in asked.calls if not name.startswith(("Get", "List", "Describe"))}
    assert changing == {"CreateFunction", "CreateTrigger"}
