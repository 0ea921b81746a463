"""Sets of GTIDs, against plain sets of numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quiesced.quiescers.mysql.gtids import GtidSet

A, B = "3e11fa47-71ca-11e1-9e33-c80aa9429562", "4350f323-7565-4e59-8763-4b1b83a0ce0e"
One = tuple[str, str, int]
ones = st.sets(st.tuples(st.sampled_from([A, B]), st.sampled_from(["", "nightly", "z"]), st.integers(1, 12)))


def set_of(of: list[One]) -> GtidSet:
    made = GtidSet()
    for source, tag, number in of:
        made.add(source, tag, number, number + 1)
    return made


def read(text: str) -> GtidSet:
    made = GtidSet()
    made.add_text(text)
    return made


@given(ones.flatmap(lambda these: st.permutations(sorted(these))))
def test_the_order_in_which_they_come_does_not_matter(these: list[One]) -> None:
    assert str(set_of(these)) == str(set_of(sorted(these)))


@given(ones, ones)
def test_a_union_has_what_either_has(some: set[One], others: set[One]) -> None:
    assert str(set_of(sorted(some)) | set_of(sorted(others))) == str(set_of(sorted(some | others)))


@given(ones)
def test_what_is_shown_is_read_as_the_same_set(these: set[One]) -> None:
    shown = str(set_of(sorted(these)))
    assert str(read(shown)) == shown
    assert str(read(shown) | set_of(sorted(these))) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        (f"{A}:1-5", f"{A}:1-5"),
        (f"{A}:4:1-3", f"{A}:1-4"),
        (f"{A}:1:3:5-6", f"{A}:1:3:5-6"),
        (f"{B}:7,\n{A.upper()}:1-2", f"{A}:1-2,{B}:7"),
        (f"{A}:1-6:mytag:1-3:other:9", f"{A}:1-6:mytag:1-3:other:9"),
        (f"{A}:mytag:1-3", f"{A}:mytag:1-3"),
    ],
)
def test_it_is_shown_as_the_server_does(text: str, shown: str) -> None:
    assert str(read(text)) == shown


def test_what_is_no_set_is_refused() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        read(f"{A}:1-two")
