"""The published description drives a real hook: every answer is one that it describes, and no forgery holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from jsonschema import Draft202012Validator
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from quiesced import decode
from quiesced.messages import QuiesceRequest
from tests.fuzz.served import Served, Signing, served

HOOKS = Path(__file__).parents[2] / "hooks"
DESCRIPTION: dict[str, Any] = json.loads((HOOKS / "openapi.json").read_text())
Case = schemathesis.Case[Any]
SCHEMA = schemathesis.openapi.from_dict(DESCRIPTION)
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
BOUNDED = settings(
    max_examples=15,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
MESSAGES = {
    "check-request": "CheckRequest",
    "check-answer": "CheckAnswer",
    "check-refused": "CheckAnswer",
    "quiesce-request": "QuiesceRequest",
    "quiesce-held": "QuiesceAnswer",
    "quiesce-prepared": "QuiesceAnswer",
    "quiesce-refused": "QuiesceAnswer",
    "release-request": "ReleaseRequest",
    "release-answer": "ReleaseAnswer",
    "release-never-held": "ReleaseAnswer",
    "status-answer": "StatusAnswer",
}


@pytest.fixture(scope="module")
def hook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("hook"), read_limit_s=5.0) as made:
        yield made


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": DESCRIPTION["components"]})


@pytest.mark.parametrize(("message", "schema"), MESSAGES.items(), ids=MESSAGES.keys())
def test_the_example_messages_are_as_described_and_a_field_more_is_not(message: str, schema: str) -> None:
    content = json.loads((HOOKS / "messages" / f"{message}.json").read_text())
    validator(schema).validate(content)
    assert not validator(schema).is_valid({**content, "more": 1})


def test_every_example_message_is_checked() -> None:
    assert {path.stem for path in (HOOKS / "messages").glob("*.json")} == {*MESSAGES, "signing-example"}


def test_the_description_has_every_path_and_every_code_of_the_protocol() -> None:
    text = (HOOKS / "PROTOCOL.md").read_text()
    schemas = DESCRIPTION["components"]["schemas"]
    codes = schemas["Refusal"]["properties"]["code"]["enum"]
    codes += schemas["Error"]["properties"]["error"]["properties"]["code"]["enum"]
    assert [code for code in codes if f"`{code}`" not in text] == []
    assert [path for path in DESCRIPTION["paths"] if path not in text] == []


def test_the_bounds_are_those_of_the_daemon() -> None:
    assert DESCRIPTION["components"]["schemas"]["Disks"]["maxItems"] == decode.MAX_DISKS
    assert DESCRIPTION["components"]["schemas"]["Limit"]["maximum"] == decode.MAX_LIMIT_S


@SCHEMA.parametrize()
@BOUNDED
def test_every_answer_to_a_signed_request_is_described(case: Case, hook: Served) -> None:
    response = case.call(base_url=hook.url, verify=str(hook.ca), auth=Signing())
    case.validate_response(response, checks=CHECKS)
    assert hook.is_well()


@SCHEMA.parametrize()
@BOUNDED
def test_nothing_is_held_without_the_right_signature(case: Case, hook: Served) -> None:
    before = len(hook.keeper.asked)
    for auth in (Signing(b"another secret of 16 and more"), Signing(signature="0" * 64), Signing(timestamp="1"), None):
        response = case.call(base_url=hook.url, verify=str(hook.ca), auth=auth)
        case.validate_response(response, checks=CHECKS)
    assert len(hook.keeper.asked) == before
    assert hook.is_well()


def test_the_fuzzing_reaches_the_keeper(hook: Served) -> None:
    """Otherwise the tests above would show nothing: a right signature does hold."""
    before = hook.holds()
    for case in _cases("/v1/quiesce"):
        case.call(base_url=hook.url, verify=str(hook.ca), auth=Signing())
    assert hook.holds() > before
    assert isinstance(hook.keeper.asked[-1], QuiesceRequest)


def _cases(path: str) -> Iterator[Case]:
    body = json.loads((HOOKS / "messages" / f"{path.rsplit('/', 1)[-1]}-request.json").read_text())
    yield SCHEMA[path]["POST"].Case(body=body, media_type="application/json")
