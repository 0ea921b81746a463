"""When a hold that nobody releases is let go of: before the guardian has to."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from quiesced.due import due_s, reason_to_end
from quiesced.instance_hold import InstanceHold


def hold_of(limit_s: float) -> InstanceHold:
    return cast(InstanceHold, SimpleNamespace(hold_limit_s=limit_s, ends_s=1000.0 + limit_s, lost=lambda: ""))


@pytest.mark.parametrize(("limit_s", "earlier_s"), [(0.1, 0.01), (0.5, 0.05), (3.0, 0.05), (60.0, 0.05)])
def test_a_hold_is_due_before_its_limit_a_short_one_by_less(limit_s: float, earlier_s: float) -> None:
    hold = hold_of(limit_s)

    assert due_s(hold) == pytest.approx(1000.0 + limit_s - earlier_s)
    assert reason_to_end(hold, due_s(hold) - 0.001) == ""
    assert reason_to_end(hold, due_s(hold)) == f"the hold limit of {limit_s} s passed before a release was asked for"
