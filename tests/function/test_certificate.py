"""A certificate shows any change, and a recorded level is repeated only for exactly the set it was sealed on."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest

from quiesce.certificate import TAG_LEVEL, Certificate, SigningKey, is_genuine, issue, recorded_level
from quiesce.course import Outcome
from quiesce.model import Level, Snapshot
from quiesce.procedure import protect
from quiesce.report import names_of, tags_of
from tests.function.fake_instance import Faults
from tests.function.fake_world import FakeWorld, plan_for

KEY = SigningKey("2026-11", b"a secret of the tests")
PLAN = plan_for()


def certified() -> tuple[FakeWorld, Outcome, Certificate]:
    here = FakeWorld()
    outcome = protect(PLAN, here.world)
    return here, outcome, issue(outcome, KEY, "2026-11-23T02:00:00+00:00")


def test_a_certificate_carries_level_snapshots_positions_and_hold() -> None:
    _, _, certificate = certified()
    assert certificate.level == "application"
    assert certificate.snapshots == {"disk-a": "snap-1"}
    assert certificate.positions == {"orders": {"gtid": "0-1-42"}}
    assert certificate.held_s is not None and certificate.held_s >= 0.3
    assert is_genuine(certificate, KEY)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"level": "crash"}, id="level"),
        pytest.param({"snapshots": {"disk-a": "snap-2"}}, id="snapshot id"),
        pytest.param({"reasons": ("all is well",)}, id="reasons"),
        pytest.param({"key_id": "2026-12"}, id="key id"),
        pytest.param({"held_s": 0.001}, id="hold time"),
    ],
)
def test_any_change_shows(change: Mapping[str, object]) -> None:
    _, _, certificate = certified()
    fields = {**msgspec.structs.asdict(certificate), **change}
    assert not is_genuine(msgspec.convert(fields, Certificate, from_attributes=True), KEY)


def test_another_secret_under_the_same_id_shows() -> None:
    _, _, certificate = certified()
    assert not is_genuine(certificate, SigningKey(KEY.key_id, b"another secret"))


def test_a_certificate_survives_its_way_through_json() -> None:
    _, _, certificate = certified()
    assert is_genuine(msgspec.json.decode(msgspec.json.encode(certificate), type=Certificate), KEY)


@pytest.mark.parametrize(
    ("group", "fault", "by", "group_id", "refusal"),
    [
        pytest.param(None, {}, "CreateSnapshot", None, "", id="each disk by itself"),
        pytest.param("group", {}, "CreateSnapshotGroup", "snapg-1", "", id="as a group"),
        pytest.param(
            "group",
            {"create group": "unavailable"},
            "CreateSnapshot",
            None,
            "UnsupportedOperation: no groups here",
            id="an account without groups",
        ),
        pytest.param("group", {"create group": "after"}, "CreateSnapshotGroup", None, "", id="the answer is lost"),
        pytest.param("group", {"quiesce": "refused"}, None, None, "", id="nothing is sent"),
    ],
)
def test_a_certificate_says_by_which_call_the_set_was_made(
    group: str | None, fault: dict[str, str], by: str | None, group_id: str | None, refusal: str
) -> None:
    here = FakeWorld(disks=("disk-a", "disk-b"), faults=Faults(fault))
    outcome = protect(plan_for("disk-a", "disk-b", group=group), here.world)
    certificate = issue(outcome, KEY, "2026-11-23T02:00:00+00:00")
    assert (certificate.created_by, certificate.group_id, certificate.group_refusal) == (by, group_id, refusal)


def tagged() -> Snapshot:
    here, outcome, certificate = certified()
    here.cloud.label(names_of(outcome), tags_of(outcome, certificate, KEY))
    return here.cloud.cuts[0].snapshot


def test_a_sealed_level_is_read_back() -> None:
    assert recorded_level(PLAN, {"disk-a": tagged()}, KEY) is Level.APPLICATION


@pytest.mark.parametrize(
    "forged",
    [
        pytest.param(lambda s: {"snapshot_id": "snap-99"}, id="the seal of another snapshot"),
        pytest.param(lambda s: {"tags": {**s.tags, TAG_LEVEL: "filesystem"}}, id="another level beside the seal"),
        pytest.param(lambda s: {"tags": {TAG_LEVEL: "application"}}, id="a level without a seal"),
        pytest.param(lambda s: {"tags": {**s.tags, "quiesce:seal": "2026-11:" + "0" * 32}}, id="a made-up seal"),
    ],
)
def test_a_forged_record_is_no_record(forged: object) -> None:
    assert callable(forged)
    snapshot = tagged()
    fields = {name: getattr(snapshot, name) for name in Snapshot.__struct_fields__}
    assert recorded_level(PLAN, {"disk-a": Snapshot(**{**fields, **forged(snapshot)})}, KEY) is None


def test_part_of_a_set_has_no_record() -> None:
    assert recorded_level(plan_for("disk-a", "disk-b"), {"disk-a": tagged()}, KEY) is None


def test_the_secret_does_not_show_in_a_repr() -> None:
    assert "secret of the tests" not in repr(KEY)
