"""``quiesce certificate``: filed certificates are checked where they lie, and every other answer than genuine is loud."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from click.testing import CliRunner, Result

from quiesce.certificate import Certificate, SigningKey, issue
from quiesce.certificate_check import Finding, check, schema
from quiesce.cli import main
from quiesce.commands.certificate import KEY_VARIABLE
from quiesce.errors import CertificateError
from quiesce.procedure import protect
from quiesce.report import Report, Status, TargetReport, body_of
from tests.function.fake_world import FakeWorld, plan_for

SECRET = "0123456789abcdef0123456789abcdef"
KEY = SigningKey("2026-11", SECRET.encode())
PUBLISHED = Path(__file__).parents[2] / "docs/certificate.schema.json"


def certificate() -> Certificate:
    here = FakeWorld()
    outcome = protect(plan_for(), here.world)
    return issue(outcome, KEY, "2026-11-23T02:00:00+00:00")


def as_object() -> dict[str, Any]:
    return dict(json.loads(msgspec.json.encode(certificate())))


def report() -> dict[str, Any]:
    target = TargetReport("ins-1", Status.REACHED, certificate())
    refused = TargetReport("ins-2", Status.FAILED, None, refusal="there is no such instance")
    return dict(json.loads(msgspec.json.encode(body_of(Report("run-1", "nightly", (target, refused))))))


@pytest.mark.parametrize(
    ("wrap", "count"),
    [
        pytest.param(as_object, 1, id="alone"),
        pytest.param(report, 1, id="report of a run"),
        pytest.param(lambda: {"run_id": "run-1", "record": json.dumps(report())}, 1, id="run record"),
        pytest.param(lambda: [{"record": report()}, as_object()], 2, id="several"),
    ],
)
def test_certificates_are_found_where_they_are_filed(wrap: Callable[[], object], count: int) -> None:
    found = check(json.dumps(wrap()).encode(), [KEY])
    assert [one.finding for one in found] == [Finding.GENUINE] * count


@pytest.mark.parametrize("field", [field.name for field in msgspec.structs.fields(Certificate) if field.name != "version"])
def test_a_change_of_any_field_shows(field: str) -> None:
    filed = as_object()
    filed[field] = _other(filed[field])
    try:
        (found,) = check(json.dumps(filed).encode(), [KEY])
    except CertificateError:
        return  # no longer a certificate at all
    assert found.finding is not Finding.GENUINE


def _other(value: object) -> object:
    """Another value of the same type, so that it is still a certificate."""
    if isinstance(value, dict) and "applications" in value:
        return {**value, "applications": []}
    others: dict[type, object] = {type(None): "x", bool: not value, str: f"{value}x", float: 99.5, list: ["x"], dict: {}}
    return others[type(value)]


def test_a_signature_that_is_no_hex_at_all_is_an_alteration() -> None:
    (found,) = check(json.dumps({**as_object(), "signature": "签名"}).encode(), [KEY])
    assert found.finding is Finding.ALTERED


def test_two_keys_are_good_while_one_replaces_the_other_and_a_third_is_unknown() -> None:
    filed = json.dumps(as_object()).encode()
    newer, older = SigningKey("2026-12", b"f" * 32), KEY
    assert check(filed, [newer, older])[0].finding is Finding.GENUINE
    assert check(filed, [newer])[0].finding is Finding.UNKNOWN_KEY
    assert check(filed, [SigningKey(KEY.key_id, b"f" * 32)])[0].finding is Finding.ALTERED


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("{", "not JSON", id="not JSON"),
        pytest.param("{}", "no certificate", id="no certificate"),
        pytest.param("[]", "no certificate", id="nothing"),
        pytest.param(json.dumps({"signature": "x", "version": 99}), "version 99", id="newer version"),
        pytest.param(json.dumps({"signature": "x", "version": 1}), "not a certificate", id="half a certificate"),
        pytest.param(json.dumps({"record": "{"}), "not JSON", id="broken record"),
    ],
)
def test_what_cannot_be_checked_is_said_to_be_so(text: str, words: str) -> None:
    with pytest.raises(CertificateError, match=words):
        check(text.encode(), [KEY])


def test_the_published_schema_is_that_of_the_certificate_and_accepts_one() -> None:
    published = json.loads(PUBLISHED.read_text())
    assert published == schema(), "run: quiesce certificate schema > docs/certificate.schema.json"
    jsonschema.validate(as_object(), published)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**as_object(), "more": 1}, published)


def verify(tmp_path: Path, filed: object, *arguments: str, env: dict[str, str] | None = None) -> Result:
    (tmp_path / "filed.json").write_text(json.dumps(filed))
    environment = {KEY_VARIABLE: f"{KEY.key_id}:{SECRET}"} if env is None else env
    command = ["certificate", "verify", str(tmp_path / "filed.json"), *arguments]
    return CliRunner().invoke(main, command, env={KEY_VARIABLE: None, **environment})


def test_the_command_says_what_a_genuine_certificate_certifies(tmp_path: Path) -> None:
    done = verify(tmp_path, report())
    assert done.exit_code == 0
    assert done.output == "genuine      ins-1, run run-1: application (snap-1), signed with key 2026-11\n"


def test_the_command_fails_on_an_altered_one_and_names_no_level(tmp_path: Path) -> None:
    filed = {**as_object(), "held_s": 0.001}
    done = verify(tmp_path, filed)
    assert done.exit_code == 1
    assert "ALTERED" in done.output and "application" not in done.output
    (row,) = json.loads(verify(tmp_path, filed, "--output", "json").output)
    assert (row["finding"], row["level"]) == ("altered", None)


def test_keys_come_from_files_too(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(f"{KEY.key_id}:{SECRET}\n")
    assert verify(tmp_path, as_object(), "--key", str(key), env={}).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "env", "words"),
    [
        pytest.param((), {}, "no key was given", id="no key"),
        pytest.param(("--key", "/nonexistent/key"), {}, "cannot be read", id="no such file"),
        pytest.param((), {KEY_VARIABLE: "2026-11:tooshort"}, "<key id>:<secret>", id="short secret"),
    ],
)
def test_a_key_that_cannot_be_used_is_its_own_exit_status(
    tmp_path: Path, arguments: tuple[str, ...], env: dict[str, str], words: str
) -> None:
    done = verify(tmp_path, as_object(), *arguments, env=env)
    assert done.exit_code == 4
    assert words in done.output
    assert "tooshort" not in done.output
