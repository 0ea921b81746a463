"""What `quiesce deploy` refuses before it does anything, and how it treats secrets, against the lab's SCF and CAM."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from quiesce.commands.exits import Exit
from quiesce.deployment import carry_out
from quiesce_lab.cloud import faults
from tests.lab.cloud_world import running_lab
from tests.lab.deployments import CERTIFICATE_KEY, HOOK_KEY, POLICY, Operator, changing, put_variable


@pytest.fixture
def operator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Operator]:
    monkeypatch.setattr(carry_out, "POLL_S", 0.02)
    with running_lab(tmp_path) as lab:
        lab.cloud.settings.function_seconds = 0.05
        yield Operator(lab, tmp_path)


def test_secrets_are_not_put_where_others_read_them_unless_that_is_said(operator: Operator) -> None:
    refused = operator.deploys()
    assert refused.exit_code == Exit.UNUSABLE
    assert "QUIESCE_HOOK_KEY, QUIESCE_CERTIFICATE_KEY" in refused.stderr
    assert "there is no other place" in refused.stderr
    assert changing(operator) == []


def test_secrets_that_are_there_stay_without_being_given_again(operator: Operator) -> None:
    operator.deploys_first()
    operator.env.update(QUIESCE_HOOK_KEY=None, QUIESCE_CERTIFICATE_KEY=None)
    operator.edit("memory_mib = 256", "memory_mib = 512")
    assert operator.deploys().exit_code == 0
    assert (operator.function.settings["MemorySize"], operator.variables["QUIESCE_HOOK_KEY"]) == (512, HOOK_KEY)


def test_another_secret_is_a_change_that_has_to_be_allowed(operator: Operator) -> None:
    operator.deploys_first()
    operator.env["QUIESCE_HOOK_KEY"] = "2026-12:" + "n" * 32
    assert operator.deploys().exit_code == Exit.UNUSABLE
    assert operator.variables["QUIESCE_HOOK_KEY"] == HOOK_KEY
    assert operator.deploys("--secrets-in-environment").exit_code == 0
    assert operator.variables["QUIESCE_HOOK_KEY"] == operator.env["QUIESCE_HOOK_KEY"]


def test_no_secret_is_ever_shown(operator: Operator) -> None:
    told = [operator.deploys("--dry-run"), operator.deploys(), operator.deploys("--secrets-in-environment")]
    put_variable(operator, "QUIESCE_HOOK_KEY", "2026-10:" + "o" * 32)
    told += [operator.deploys("--dry-run", "--secrets-in-environment", "--output", output) for output in ("table", "json")]
    told.append(operator.deploys("--secrets-in-environment"))
    shown = "".join(result.output for result in told)
    assert "variable QUIESCE_HOOK_KEY changes" in shown
    secrets = [one.partition(":")[2] for one in (HOOK_KEY, CERTIFICATE_KEY, "2026-10:" + "o" * 32)]
    assert [secret for secret in secrets if secret in shown] == []


REFUSALS = [
    pytest.param(('cron = "0 30 3', 'cron = "30 3'), "cron needs 7 fields", id="cron of six fields"),
    pytest.param(('name = "follow-up"', 'name = "nightly"'), "the name is taken", id="two timers of one name"),
    pytest.param(('policy = "nightly"', 'policy = "weekly-x"'), "runs the policy 'weekly-x'", id="no such policy"),
    pytest.param(("memory_mib = 256", "memory_mib = 300"), "memory_mib", id="memory that SCF does not have"),
    pytest.param(("timeout_s = 300", "timeout_s = 3"), "timeout_s", id="a timeout shorter than a hold"),
    pytest.param(("public = true", "publik = true"), "publik", id="a key that is not known"),
    pytest.param(('"hook-ca.pem"', '"other-ca.pem"'), "no other-ca.pem in it", id="a CA that is not in the package"),
    pytest.param(("QUIESCE_HOOK_CA =", "OTHER ="), "QUIESCE_HOOK_CA: missing", id="no CA"),
    pytest.param(
        ("QUIESCE_HOOK_CA =", 'QUIESCE_HTTP_KEY = "x"\nQUIESCE_HOOK_CA ='), "does not belong in a file", id="a secret"
    ),
    pytest.param(("QUIESCE_HOOK_CA =", 'QUIESCE_HTTP_AUTH = "hmac"\nQUIESCE_HOOK_CA ='), "so it is cam", id="two guards"),
    pytest.param(("QUIESCE_HOOK_CA =", 'SCF_X = "y"\nQUIESCE_HOOK_CA ='), "SCF takes letters", id="a reserved variable"),
    pytest.param(("QUIESCE_HOOK_CA =", 'EMPTY = ""\nQUIESCE_HOOK_CA ='), "no empty value", id="an empty variable"),
    pytest.param(("QUIESCE_HOOK_CA =", f'BIG = "{"x" * 4000}"\nQUIESCE_HOOK_CA ='), "fewer than 4096", id="too much of it"),
    pytest.param(("intranet = true", "intranet = false"), "nobody reaches it", id="a URL that nobody reaches"),
    pytest.param(("memory_mib = 256", "memory_mib = "), "Invalid value", id="no TOML"),
]


@pytest.mark.parametrize(("change", "words"), REFUSALS)
def test_a_file_that_would_deploy_something_else_is_refused_before_anything_is_done(
    operator: Operator, change: tuple[str, str], words: str
) -> None:
    operator.edit(*change)
    refused = operator.deploys("--secrets-in-environment")
    assert (refused.exit_code, changing(operator)) == (Exit.UNUSABLE, []), refused.output
    assert words in refused.stderr


def test_a_package_without_the_handler_is_refused(operator: Operator) -> None:
    operator.pack(
        "",
        {"quiesce/index.py": "", "hook-ca.pem": "", "policies.toml": (POLICY.parents[1] / "src/policies.toml").read_text()},
    )
    refused = operator.deploys("--secrets-in-environment")
    assert (refused.exit_code, "there is no index.py in it" in refused.stderr) == (Exit.UNUSABLE, True)


def test_a_package_that_no_request_can_carry_is_refused(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quiesce.deployment.archive.MAX_INLINE_BYTES", 100)
    refused = operator.deploys("--secrets-in-environment")
    assert (refused.exit_code, "do not fit into one request" in refused.stderr) == (Exit.UNUSABLE, True)


@pytest.mark.parametrize("name", ["--package", "--deployment", "--cam-policy"])
def test_a_file_that_is_not_there_is_named(operator: Operator, name: str) -> None:
    refused = operator.deploys(name, "/no/such/file")
    assert (refused.exit_code, "/no/such/file" in refused.stderr) == (Exit.UNUSABLE, True)


def test_a_key_without_an_id_is_refused_and_not_repeated(operator: Operator) -> None:
    operator.env["QUIESCE_HOOK_KEY"] = "half-a-secret-without-an-id"
    refused = operator.deploys("--secrets-in-environment")
    assert refused.exit_code == Exit.UNUSABLE
    assert "half-a-secret" not in refused.output


def test_a_function_of_another_runtime_is_not_touched(operator: Operator) -> None:
    operator.deploys_first()
    operator.function.runtime = "Python3.6"
    refused = operator.deploys()
    assert (refused.exit_code, "SCF cannot change" in refused.stderr) == (Exit.UNUSABLE, True)


def test_a_function_whose_creation_failed_is_not_touched(operator: Operator) -> None:
    operator.deploys_first()
    operator.function.status = "CreateFailed"
    refused = operator.deploys()
    assert (refused.exit_code, "delete it" in refused.stderr) == (Exit.UNUSABLE, True)


def test_a_function_that_never_becomes_active_is_given_up(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carry_out, "SETTLE_S", 0.1)
    operator.lab.cloud.settings.function_seconds = 1000
    given_up = operator.deploys("--secrets-in-environment")
    assert (given_up.exit_code, "still Creating after 0.1 s" in given_up.stderr) == (Exit.REFUSED, True)


def test_a_role_that_cannot_be_read_is_no_role_that_is_missing(operator: Operator) -> None:
    operator.lab.cloud.faults.set("GetRole", faults.refuse("UnauthorizedOperation"))
    refused = operator.deploys("--secrets-in-environment")
    assert (refused.exit_code, changing(operator)) == (Exit.REFUSED, [])
