"""What reached the lab's cloud from the function is granted by the CAM policy."""

from __future__ import annotations

import pytest
from scripts import cam_policy

from quiesce_lab.stage import Stage
from tests.daemon.loopdisks import needs_root

pytestmark = [pytest.mark.lab, needs_root]


def test_a_whole_run_calls_nothing_that_the_policy_does_not_grant(lab: Stage) -> None:
    lab.wait_until_complete()
    lab.site.cloud.record.clear()
    assert lab.fire()["status"] == "reached"
    called = {call.action for call in lab.site.cloud.record.calls}
    assert {"CreateSnapshot", "DescribeSnapshots", "ModifyResourceTags"} <= called
    assert called <= set(cam_policy.GRANTS)
