"""The messages in hooks/messages are what the daemon reads and writes; anything else is refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quiesced import decode, messages
from quiesced.errors import RequestRefused

MESSAGES = Path(__file__).parents[2] / "hooks" / "messages"
ANSWERS = {
    "check-answer": messages.CheckAnswer,
    "check-refused": messages.CheckAnswer,
    "quiesce-held": messages.QuiesceAnswer,
    "quiesce-prepared": messages.QuiesceAnswer,
    "quiesce-refused": messages.QuiesceAnswer,
    "release-answer": messages.ReleaseAnswer,
    "release-never-held": messages.ReleaseAnswer,
    "status-answer": messages.StatusAnswer,
}
Read = Callable[[bytes], Any]
REQUESTS: dict[str, Read] = {
    "check-request": decode.check_request,
    "quiesce-request": decode.quiesce_request,
    "release-request": decode.release_request,
}


def example(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((MESSAGES / f"{name}.json").read_text())
    return found


def built(kind: Any, value: Any) -> Any:
    """Build a value of this type from its JSON, insisting on every field."""
    if get_origin(kind) is tuple:
        return tuple(built(get_args(kind)[0], item) for item in value)
    arms = [arm for arm in get_args(kind) if arm is not type(None)]
    if type(None) in get_args(kind):
        return None if value is None else built(arms[0], value)
    if not is_dataclass(kind):
        return value
    hints = get_type_hints(kind)
    assert set(value) == {field.name for field in fields(kind)}
    return kind(**{name: built(hints[name], item) for name, item in value.items()})  # type: ignore[operator]


def test_every_example_is_read_here() -> None:
    assert {path.stem for path in MESSAGES.glob("*.json")} == {*ANSWERS, *REQUESTS, "signing-example"}


@pytest.mark.parametrize(("name", "kind"), ANSWERS.items(), ids=ANSWERS.keys())
def test_an_answer_is_written_as_in_its_example(name: str, kind: type) -> None:
    assert json.loads(decode.encode(built(kind, example(name)))) == example(name)


@pytest.mark.parametrize(("name", "read"), REQUESTS.items(), ids=REQUESTS.keys())
def test_a_request_is_read_from_its_example(name: str, read: Read) -> None:
    found = read(json.dumps(example(name)).encode())
    expected = {key: tuple(value) if isinstance(value, list) else value for key, value in example(name).items()}
    assert vars(found) == expected


@pytest.mark.parametrize("name", REQUESTS)
def test_every_field_is_needed_and_no_other_is_known(name: str) -> None:
    whole = example(name)
    for field in whole:
        refused(name, {key: value for key, value in whole.items() if key != field}, f"{field} is missing")
    refused(name, {**whole, "extra": 1}, "extra is not a field")


def refused(name: str, content: object, words: str, code: str = "bad_message") -> None:
    with pytest.raises(RequestRefused) as raised:
        REQUESTS[name](content if isinstance(content, bytes) else json.dumps(content).encode())
    assert (raised.value.status, raised.value.code) == (400, code)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("protocol", 2),
        ("protocol", True),
        ("protocol", "1"),
        ("lease_id", ""),
        ("lease_id", "a" * 65),
        ("lease_id", "a b"),
        ("lease_id", "a\n"),
        ("lease_id", 7),
        ("run_id", None),
        ("prior_holds", -1),
        ("prior_holds", True),
        ("prior_holds", 1.0),
        ("disks", []),
        ("disks", "disk-1"),
        ("disks", ["disk-1", "disk-1"]),
        ("disks", [f"disk-{number}" for number in range(33)]),
        ("disks", ["../sda"]),
        ("disks", [1]),
        ("acquire_limit_s", 0),
        ("acquire_limit_s", True),
        ("acquire_limit_s", "2"),
        ("hold_limit_s", -1.0),
        ("hold_limit_s", 3601),
        ("hold_limit_s", 10**400),
    ],
)
def test_a_field_that_is_wrong_is_named(field: str, value: object) -> None:
    refused("quiesce-request", {**example("quiesce-request"), field: value}, field)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b'{"protocol": 1} {}',
        b'{"protocol": NaN}',
        b'{"protocol": Infinity}',
        b'{"protocol": 1, "protocol": 1}',
        b'{"protocol": "\xff"}',
        b"[" * 60_000,
        b'{"a":' * 10_000,
    ],
    ids=lambda body: repr(body[:24]),
)
def test_what_is_not_one_json_object_is_refused(body: bytes) -> None:
    refused("release-request", body, "", code="bad_json")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(st.binary(max_size=200) | _JSON.map(lambda value: json.dumps(value).encode()))
def test_no_body_gives_anything_but_a_refusal_for_its_form(body: bytes) -> None:
    for read in REQUESTS.values():
        with pytest.raises(RequestRefused):
            read(body)


@given(st.sampled_from(sorted(example("quiesce-request"))), _JSON)
def test_a_request_that_is_accepted_says_what_was_sent(field: str, value: object) -> None:
    content = {**example("quiesce-request"), field: value}
    try:
        found = decode.quiesce_request(json.dumps(content).encode())
    except RequestRefused as error:
        assert field in str(error) or error.code == "bad_json"
        return
    assert list(found.disks) == content["disks"]
    assert (found.lease_id, found.run_id, found.prior_holds) == (
        content["lease_id"],
        content["run_id"],
        content["prior_holds"],
    )
