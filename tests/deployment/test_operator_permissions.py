"""The how-to pages list what an operator's key must be allowed: what the commands call, and nothing else."""

from __future__ import annotations

import ast
import re

from quiesce_lab.cloud.catalog import ACTIONS
from tests.deployment.manifests import ROOT

DEPLOYMENT = ROOT / "src" / "quiesce" / "deployment"
PASSED_ON = "cam:PassRole"
"""Asked of whoever binds a role to a function (CAM documentation); no action of that name is called."""


def called(service: str) -> set[str]:
    """Actions of a service that the code names; none of them is a name of another service, too."""
    trees = [ast.parse(path.read_text()) for path in DEPLOYMENT.rglob("*.py")]
    texts = {node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    return {f"{name}:{action}" for name, action in ACTIONS if name == service and action in texts}


def listed(page: str) -> set[str]:
    text = (ROOT / "docs" / "how-to" / page).read_text()
    (block,) = re.findall(r"^```text\n(.*?)^```", text, re.M | re.S)
    return set(block.split())


def test_deploying_needs_what_the_page_lists() -> None:
    assert listed("deploy.md") == called("scf") | called("cam") | {PASSED_ON}


def test_installing_needs_what_the_page_lists() -> None:
    assert listed("install-agents.md") == called("tat") | {"cvm:DescribeInstances"}
