"""Every parser of what others wrote gives a value or its own error, and nothing else."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quiesce import policies
from quiesce.errors import PolicyError, RequestError
from quiesce.request import Request, Trigger, parse
from quiesce.settings import HttpAuth
from quiesced import decode
from quiesced.errors import RequestRefused
from tests.function.requests_made import CONTEXT, NOW, event, signed
from tests.function.requests_made import settings as function_settings

BOUNDED = settings(max_examples=150, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20))
JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=12), inner, max_size=4)),
    max_leaves=12,
)
NAMES = ["Type", "Message", "Time", "TriggerName", "httpMethod", "path", "headers", "body", "isBase64Encoded", "Records"]
CHANGES = st.dictionaries(st.sampled_from([*NAMES, "requestContext", "specversion", "clslogs"]), JSON, max_size=4)
SHAPES = st.sampled_from(["timer", "function-url", "api-gateway"])
FIELDS = ["protocol", "lease_id", "run_id", "prior_holds", "disks", "acquire_limit_s", "hold_limit_s", "more"]


def read(asked: object) -> Request | None:
    """Parse an event where signatures are checked; None when it is refused."""
    with contextlib.suppress(RequestError):
        request = parse(asked, CONTEXT, function_settings(HttpAuth.HMAC), NOW)
        assert isinstance(request, Request), "an unsigned question is answered"
        return request
    return None


@BOUNDED
@given(asked=st.one_of(JSON, CHANGES))
def test_an_event_from_anywhere_starts_a_run_or_is_refused(asked: object) -> None:
    found = read(asked)
    assert found is None or found.trigger is Trigger.TIMER


@BOUNDED
@given(shape=SHAPES, changes=CHANGES)
def test_an_event_of_scf_that_was_changed_starts_no_run_over_http(shape: str, changes: dict[str, object]) -> None:
    found = read({**event(shape), **changes})
    assert found is None or found.trigger is Trigger.TIMER


@BOUNDED
@given(change=st.one_of(st.text(max_size=40), st.binary(max_size=40).map(repr)))
def test_a_signed_body_that_was_exchanged_starts_no_run(change: str) -> None:
    call = signed()
    assert read(call) is not None
    assert change == call["body"] or read({**call, "body": change}) is None


TABLES = st.dictionaries(
    st.sampled_from(["instances", "level", "acquire_limit_s", "hold_limit_s", "tags", "x"]), JSON, max_size=5
)


@BOUNDED
@given(text=st.one_of(st.text(max_size=200), TABLES.map(lambda table: f"[policy.nightly]\n{_toml(table)}")))
def test_policies_are_read_or_refused(text: str) -> None:
    with contextlib.suppress(PolicyError):
        policies.parse(text)


def _toml(table: dict[str, object]) -> str:
    """Write each value as JSON, which TOML reads where the two agree."""
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in table.items())


READERS = [decode.check_request, decode.quiesce_request, decode.release_request]


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: str(reader.__name__))
@BOUNDED
@given(body=st.one_of(st.binary(max_size=200), JSON.map(lambda value: json.dumps(value).encode())))
def test_a_body_is_read_or_refused(reader: Callable[[bytes], object], body: bytes) -> None:
    with contextlib.suppress(RequestRefused):
        reader(body)


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: str(reader.__name__))
@BOUNDED
@given(fields=st.dictionaries(st.sampled_from(FIELDS), st.one_of(JSON, st.just(1), st.just(["disk-1"])), max_size=8))
def test_a_body_with_our_own_names_is_read_or_refused(reader: Callable[[bytes], object], fields: dict[str, object]) -> None:
    with contextlib.suppress(RequestRefused):
        reader(json.dumps(fields).encode())


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: str(reader.__name__))
@pytest.mark.parametrize("body", [b"[" * 60_000, b'{"a":' * 10_000, b"9" * 60_000], ids=["arrays", "objects", "digits"])
def test_a_body_made_to_exhaust_the_reader_is_refused(reader: Callable[[bytes], object], body: bytes) -> None:
    with pytest.raises(RequestRefused):
        reader(body)
