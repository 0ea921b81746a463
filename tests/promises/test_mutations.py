"""The list of deliberate breakages fits the code that it breaks (``make mutate`` tries each)."""

from __future__ import annotations

import re

from tests import mutate

MUTATIONS = mutate.read()


def test_every_breakage_can_still_be_made() -> None:
    assert mutate.stale(MUTATIONS) == []


def test_every_breakage_changes_something_and_has_a_name_of_its_own() -> None:
    assert all(edit.old != edit.new for mutation in MUTATIONS for edit in mutation.edits)
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS)


def test_every_test_that_has_to_notice_a_breakage_exists() -> None:
    for node in {node for mutation in MUTATIONS for node in mutation.tests}:
        file, _, name = node.partition("::")
        source = (mutate.ROOT / file).read_text(encoding="utf-8")
        last = name.rpartition("::")[2] or "test_"
        assert re.search(rf"^(    )?def {last}|^Test\w+ = ", source, re.M), node
