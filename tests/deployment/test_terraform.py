"""The Terraform module, as far as it can be looked at without its provider: form, names, and agreement with the code.

What arguments there are is what the provider's documentation has (terraform-provider-tencentcloud, website/docs/r).
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from quiesce.deployment import spec
from quiesce.deployment.archive import HANDLER, RUNTIME
from quiesce.deployment.role import FUNCTION_IN_POLICY, TRUST
from tests.deployment.manifests import ROOT

MODULE = ROOT / "deploy" / "terraform"
FILES = {path.name: path.read_text() for path in sorted(MODULE.glob("*.tf"))}
TEXT = "\n".join(FILES.values())
EXAMPLE = spec.load(ROOT / "deploy" / "deployment.example.toml")
META = {"for_each", "count", "depends_on"}
ARGUMENTS = {
    "tencentcloud_cam_role": {"name", "document", "description", "console_login"},
    "tencentcloud_cam_policy": {"name", "document", "description"},
    "tencentcloud_cam_role_policy_attachment_by_name": {"role_name", "policy_name"},
    "tencentcloud_scf_function": {
        *("name", "namespace", "description", "func_type", "handler", "runtime", "zip_file", "role", "mem_size", "timeout"),
        *("environment", "vpc_id", "subnet_id", "enable_public_net", "cls_logset_id", "cls_topic_id"),
    },
    "tencentcloud_scf_function_event_invoke_config": {"function_name", "namespace", "async_trigger_config"},
    "tencentcloud_scf_trigger": {
        *("function_name", "trigger_name", "type", "custom_argument", "description", "enable", "namespace", "qualifier"),
        "trigger_desc",
    },
}
REQUIRED = {
    "tencentcloud_cam_role": {"name", "document"},
    "tencentcloud_cam_policy": {"name", "document"},
    "tencentcloud_cam_role_policy_attachment_by_name": {"role_name", "policy_name"},
    "tencentcloud_scf_function": {"name"},
    "tencentcloud_scf_function_event_invoke_config": {"function_name", "async_trigger_config"},
    "tencentcloud_scf_trigger": {"function_name", "trigger_name", "type"},
}


def skeleton(text: str) -> str:
    """The text without comments and without what stands in quotes; interpolations go with their quotes."""
    text = re.sub(r'"(?:\\.|\$\{[^}]*\}|[^"\\])*"', '""', text)
    return re.sub(r"(#|//).*", "", text)


def unclosed(text: str) -> list[str]:
    """Brackets that do not close, or that close what was never open."""
    pairs, stack = {")": "(", "]": "[", "}": "{"}, []
    for letter in skeleton(text):
        if letter in pairs.values():
            stack.append(letter)
        elif letter in pairs and (not stack or stack.pop() != pairs[letter]):
            return [letter]
    return stack


def block(kind: str, *labels: str) -> str:
    """What stands between the braces of a block at the top of a file."""
    head = " ".join([kind, *(f'"{label}"' for label in labels)])
    found = re.search(rf"^{re.escape(head)} \{{\n(.*?)^\}}", TEXT, re.M | re.S)
    assert found, head
    return found[1]


def arguments(body: str) -> set[str]:
    """Names of a block's arguments and inner blocks, at its first level."""
    return set(re.findall(r"^  ([a-z_0-9]+)(?: +=| \{)", body, re.M))


RESOURCES = re.findall(r'^resource "(\w+)" "(\w+)"', TEXT, re.M)


@pytest.mark.parametrize("name", FILES)
def test_every_bracket_closes(name: str) -> None:
    assert unclosed(FILES[name]) == []


@pytest.mark.parametrize("text", ["a {", "a { ]", "a }", 'a { b = "}" '])
def test_a_bracket_that_does_not_close_would_be_seen(text: str) -> None:
    assert unclosed(text) != []


def test_every_variable_is_declared_described_typed_and_used() -> None:
    declared = set(re.findall(r'^variable "(\w+)"', TEXT, re.M))
    assert declared == set(re.findall(r"\bvar\.(\w+)", TEXT))
    for name in declared:
        assert {"description", "type"} <= arguments(block("variable", name)), name


def test_everything_that_is_referred_to_is_there() -> None:
    there = {f"{kind}.{name}" for kind, name in RESOURCES}
    assert set(re.findall(r"\b(tencentcloud_\w+\.\w+)", skeleton(TEXT))) <= there
    assert set(re.findall(r"\blocal\.(\w+)", TEXT)) == {"policy", "variables"}


@pytest.mark.parametrize(("kind", "name"), RESOURCES)
def test_a_resource_has_the_arguments_that_the_provider_documents_and_none_besides(kind: str, name: str) -> None:
    given = arguments(block("resource", kind, name))
    assert given - META <= ARGUMENTS[kind]
    assert REQUIRED[kind] <= given


def test_secrets_are_marked_as_such() -> None:
    for name in ("hook_key", "certificate_key"):
        assert re.search(r"sensitive\s+= true", block("variable", name))
        assert "default" not in arguments(block("variable", name))


def test_the_function_reads_every_variable_that_it_is_given() -> None:
    given = set(re.findall(r"QUIESCE_[A-Z_]+", FILES["main.tf"]))
    sources = "\n".join(path.read_text() for path in sorted((ROOT / "src").rglob("*.py")))
    assert given == {*spec.NEEDED, "QUIESCE_HOOK_CA", "QUIESCE_HTTP_AUTH"}
    assert given <= set(re.findall(r"QUIESCE_[A-Z0-9_]+", sources))


def test_handler_runtime_trust_and_policy_are_those_of_the_code() -> None:
    function = block("resource", "tencentcloud_scf_function", "quiesce")
    assert f'"{HANDLER}"' in function
    assert f'"{RUNTIME}"' in function
    statement = TRUST["statement"][0]
    assert f'"{statement["action"]}"' in TEXT
    assert f'"{statement["principal"]["service"][0]}"' in TEXT
    (named,) = re.findall(r'file\("\$\{path\.module\}/([^"]+)"\)', TEXT)
    assert FUNCTION_IN_POLICY in (MODULE / named).read_text()
    assert f'"{FUNCTION_IN_POLICY}"' in TEXT


def test_its_defaults_are_those_of_the_deployment_file() -> None:
    def default(name: str) -> str:
        found = re.search(r"^  default\s+= (.*)$", block("variable", name), re.M)
        assert found
        return found[1].strip('"')

    assert (default("name"), default("namespace"), default("role")) == (EXAMPLE.function, EXAMPLE.namespace, EXAMPLE.role)
    numbers = [default(name) for name in ("memory_mib", "timeout_s", "retries", "retries_kept_s")]
    wanted = [EXAMPLE.memory_mib, EXAMPLE.timeout_s, EXAMPLE.retries.times, EXAMPLE.retries.kept_s]
    assert numbers == [str(one) for one in wanted]
    timers = re.findall(r'([\w-]+)\s+= \{ cron = "([^"]+)", policy = "([^"]+)" \}', block("variable", "timers"))
    assert timers == [(timer.name, timer.cron, timer.policy) for timer in EXAMPLE.timers]


def test_the_page_says_that_it_was_never_applied() -> None:
    assert "It has never been applied" in (MODULE / "README.md").read_text()
    assert Path(__file__).name in (MODULE / "README.md").read_text()
