from __future__ import annotations

import io
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quiesce.adapters.logs import MAX_LINE_BYTES, JsonLog, flat
from quiesce.model import HoldUntil, Level

SECRET = 'a secret with "quotes"'


def written(**fields: object) -> Any:
    stream = io.StringIO()
    JsonLog(stream, common={"run_id": "r-1"}, hidden=[SECRET]).step(fields)
    text = stream.getvalue()
    assert text.endswith("\n")
    assert text.count("\n") == 1
    assert len(text.encode()) <= MAX_LINE_BYTES + 1
    return json.loads(text)


class Part(msgspec.Struct):
    name: str


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        pytest.param("text\nof two lines", "text\nof two lines", id="text"),
        pytest.param(1.5, 1.5, id="number"),
        pytest.param(True, True, id="truth"),
        pytest.param(float("inf"), "Infinity", id="no JSON number"),
        pytest.param({"disk-a": ["snap-1"]}, '{"disk-a":["snap-1"]}', id="deeper"),
        pytest.param([Part("锁")], '[{"name":"锁"}]', id="struct"),
        pytest.param(HoldUntil.LISTED, "listed", id="enum"),
        pytest.param(Level.CRASH, 2, id="number enum"),
        pytest.param("\ud800", "?", id="half a surrogate"),
        pytest.param(ValueError("oops"), "oops", id="anything else"),
    ],
)
def test_every_value_is_on_the_first_level(value: object, shown: object) -> None:
    assert written(step="check", value=value) == {"run_id": "r-1", "step": "check", "value": shown}


def test_a_value_that_is_not_there_has_no_field_and_keys_do_not_begin_with_an_underscore() -> None:
    assert written(_step="check", lease_id=None) == {"run_id": "r-1", "step": "check"}


def test_a_line_that_is_too_long_stays_json_keeps_its_short_fields_and_says_so() -> None:
    line = written(step="check", reason="锁" * 20_000, other="y" * 5_000)

    assert (line["step"], line["run_id"], line["truncated"]) == ("check", "r-1", True)
    assert line["reason"].startswith("锁锁锁")


def test_a_line_of_too_many_fields_says_how_many_there_were() -> None:
    assert written(**{f"field_{n}": "z" * 50 for n in range(500)}) == {"truncated": True, "fields": 501}


def test_no_secret_is_written() -> None:
    assert written(reason=f"refused: {SECRET}!", deep={"key": "value"})["reason"] == "refused: ***!"


@given(
    fields=st.dictionaries(
        st.text(min_size=1),
        st.recursive(
            st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=3000),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
            max_leaves=10,
        ),
        max_size=8,
    )
)
def test_whatever_is_logged_is_one_line_of_flat_json_of_at_most_8_kb(fields: dict[str, object]) -> None:
    stream = io.StringIO()
    JsonLog(stream, common={}, hidden=[]).step(fields)

    line = json.loads(stream.getvalue())
    assert stream.getvalue().count("\n") == 1
    assert len(stream.getvalue().encode()) <= MAX_LINE_BYTES + 1
    assert not any(isinstance(value, list | dict) for value in line.values())


def test_flat_leaves_its_argument_alone() -> None:
    fields: dict[str, object] = {"a": {"b": 1}}

    flat(fields)

    assert fields == {"a": {"b": 1}}
