from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quiesce.naming import DISK_ID, MAX_LENGTH, MAX_PREFIX, PREFIX, RUN_ID, SnapshotName, parse

NAMES = st.builds(
    SnapshotName,
    prefix=st.from_regex(PREFIX, fullmatch=True),
    run_id=st.from_regex(RUN_ID, fullmatch=True).filter(str.isascii),
    disk_id=st.from_regex(DISK_ID, fullmatch=True),
)


@given(name=NAMES)
def test_every_name_is_taken_apart_into_what_it_was_made_from(name: SnapshotName) -> None:
    assert parse(str(name)) == name


@given(name=NAMES)
def test_no_two_names_look_alike_to_a_case_blind_reader(name: SnapshotName) -> None:
    assert str(name) == str(name).lower()


def test_the_longest_prefix_and_run_leave_room_for_a_disk_id() -> None:
    name = SnapshotName("p" * MAX_PREFIX, "20261123t0200-4f1c9a0b7d", "disk-3i2gnf0k")

    assert len(str(name)) <= MAX_LENGTH
    assert name.fits


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(SnapshotName("p" * 12, "20261123t0200-4f1c9a0b7d", "disk-3i2gnf0kabcd"), id="too long"),
        pytest.param(SnapshotName("p" * 13, "4f1c9a0b7d", "disk-3i2gnf0k"), id="long prefix"),
        pytest.param(SnapshotName("", "4f1c9a0b7d", "disk-3i2gnf0k"), id="no prefix"),
        pytest.param(SnapshotName("Nightly", "4f1c9a0b7d", "disk-3i2gnf0k"), id="upper case"),
        pytest.param(SnapshotName("nightly", "run-1", "disk-3i2gnf0k"), id="another run id"),
        pytest.param(SnapshotName("nightly", "4f1c9a0b7d", "disk-3i2gnf0k\n"), id="line break"),
    ],
)
def test_a_name_that_would_not_come_back_does_not_fit(name: SnapshotName) -> None:
    assert not name.fits


@pytest.mark.parametrize("text", ["", "Unnamed", "quiesce-", "my-quiesce-a-4f1c9a0b7d-disk-3i2gnf0k"])
def test_a_name_that_quiesce_did_not_make_is_told_apart(text: str) -> None:
    assert parse(text) is None
