from __future__ import annotations

from pathlib import Path

import pytest

from quiesce.errors import PolicyError, RequestError
from quiesce.model import HoldUntil, Level, OnPartial, OnQuiesceFailure
from quiesce.policies import Policy, TagSelector, load, named, parse
from quiesce.settings import CODE_DIR

EVERYTHING = """
[policies.orders-db]
level = "filesystem"
on_quiesce_failure = "crash_consistent"
acquire_limit_s = 3
hold_limit_s = 20.5
hold_until = "completed"
snapshot_group = true
on_partial = "delete"
expire_after_days = 14
name_prefix = "orders"
[policies.orders-db.targets]
instances = ["ins-00lycyy6"]
tag = { key = "备份", values = ["yes", "daily"] }
disks = ["disk-3i2gnf0k"]
[policies.orders-db.tags]
owner = "dba@example.com"
"""


def one(text: str) -> Policy:
    (policy,) = parse(text).values()
    return policy


def minimal(keys: str = "", targets: str = 'instances = ["ins-00lycyy6"]', rest: str = "", name: str = "p") -> str:
    return f"[policies.{name}]\n{keys}\n[policies.{name}.targets]\n{targets}\n{rest}\n"


def problems(text: str) -> tuple[str, ...]:
    with pytest.raises(PolicyError) as refused:
        parse(text)
    return refused.value.problems


def test_every_key_is_read() -> None:
    policy = one(EVERYTHING)

    assert policy.asked is Level.FILESYSTEM
    assert policy.on_quiesce_failure is OnQuiesceFailure.CRASH_CONSISTENT
    assert (policy.acquire_limit_s, policy.hold_limit_s) == (3, 20.5)
    assert policy.hold_until is HoldUntil.COMPLETED
    assert (policy.snapshot_group, policy.on_partial) == (True, OnPartial.DELETE)
    assert (policy.expire_after_days, policy.name_prefix) == (14, "orders")
    assert policy.targets.instances == ("ins-00lycyy6",)
    assert policy.targets.tag == TagSelector(key="备份", values=("yes", "daily"))
    assert policy.targets.disks == ("disk-3i2gnf0k",)
    assert policy.tags == {"owner": "dba@example.com"}


def test_what_is_left_out_asks_for_the_most_and_gives_up_rather_than_weaken() -> None:
    policy = one(minimal())

    assert (policy.asked, policy.on_quiesce_failure) == (Level.APPLICATION, OnQuiesceFailure.FAIL)
    assert (policy.hold_until, policy.expire_after_days) == (HoldUntil.ACCEPTED, None)
    assert policy.targets.disks == "data"


def test_the_example_in_the_package_loads_and_selects_nothing_by_id() -> None:
    policies = load(CODE_DIR / "policies.toml")

    assert list(policies) == ["nightly"]
    assert policies["nightly"].targets.instances == ()


def test_every_problem_is_named_at_once_with_its_path() -> None:
    found = problems("""
        colour = 1
        [policies.A]
        hold_limit_s = 1000
        acquire_limit_s = "2"
        on_quiesce_failure = "ignore"
        exprie_after_days = 1
        [policies.A.targets]
        instances = ["i-00lycyy6"]
        [policies.A.targets.tag]
        kye = "backup"
        [policies.b]
        acquire_limit_s = 20
        [policies.b.tags]
        project-x = "1"
        [policies.b.targets]
        disks = []
        [policies.c]
    """)

    assert {problem.split(":")[0] for problem in found} == {
        "colour",
        "policies.A",
        "policies.A.hold_limit_s",
        "policies.A.acquire_limit_s",
        "policies.A.on_quiesce_failure",
        "policies.A.exprie_after_days",
        "policies.A.targets.instances",
        "policies.A.targets.tag.kye",
        "policies.A.targets.tag.key",
        "policies.A.targets.tag.values",
        "policies.b.hold_limit_s",
        "policies.b.tags.project-x",
        "policies.b.targets",
        "policies.b.targets.disks",
        "policies.c.targets",
    }


@pytest.mark.parametrize(
    ("text", "path"),
    [
        pytest.param(minimal('level = "none"'), "policies.p.level", id="a level that is no aim"),
        pytest.param(minimal("hold_limit_s = 120.5"), "policies.p.hold_limit_s", id="longest hold"),
        pytest.param(minimal("hold_limit_s = nan"), "policies.p.hold_limit_s", id="hold that is no number"),
        pytest.param(minimal("hold_limit_s = true"), "policies.p.hold_limit_s", id="hold that is a truth"),
        pytest.param(minimal("acquire_limit_s = 61\nhold_limit_s = 120"), "policies.p.acquire_limit_s", id="acquire"),
        pytest.param(minimal("acquire_limit_s = 0"), "policies.p.acquire_limit_s", id="no time to acquire"),
        pytest.param(minimal("acquire_limit_s = 10"), "policies.p.hold_limit_s", id="acquire as long as the hold"),
        pytest.param(minimal("expire_after_days = 0"), "policies.p.expire_after_days", id="expired at birth"),
        pytest.param(minimal('name_prefix = "Nightly"'), "policies.p.name_prefix", id="upper-case prefix"),
        pytest.param(minimal('name_prefix = "a-"'), "policies.p.name_prefix", id="prefix that ends in a hyphen"),
        pytest.param(minimal('name_prefix = "abcdefghijklm"'), "policies.p.name_prefix", id="prefix of 13"),
        pytest.param(minimal('name_prefix = "a\\n"'), "policies.p.name_prefix", id="prefix with a line break"),
        pytest.param(minimal(name="a_policy"), "policies.a_policy.name_prefix", id="name that is no prefix"),
        pytest.param(minimal('name_prefix = "a"', name="'a b'"), "policies.a b", id="name with a space"),
        pytest.param(minimal(targets="instances = []"), "policies.p.targets", id="no target"),
        pytest.param(minimal(targets='disks = ["vdb"]'), "policies.p.targets.disks", id="disk by device"),
        pytest.param(minimal(rest="[policies.p.tags]\n'qcs:x' = '1'"), "policies.p.tags.qcs", id="reserved tag"),
        pytest.param(minimal(rest="[policies.p.tags]\nTencent = '1'"), "policies.p.tags.Tencent", id="in any case"),
        pytest.param(minimal(rest="[policies.p.tags]\nquiesce_x = '1'"), "policies.p.tags.quiesce_x", id="our tag"),
        pytest.param(minimal(rest="[policies.p.tags]\nk = ''"), "policies.p.tags.k", id="empty tag value"),
        pytest.param(minimal(rest=f"[policies.p.tags]\nk = '{'v' * 128}'"), "policies.p.tags.k", id="long tag"),
        pytest.param(minimal(rest="[policies.p.tags]\nk = 1"), "policies.p.tags", id="tag that is a number"),
        pytest.param(
            minimal(rest="[policies.p.tags]\n" + "\n".join(f"k{n} = '1'" for n in range(21))),
            "policies.p.tags",
            id="21 tags",
        ),
        pytest.param(
            minimal(targets="tag = { key = 'k', values = ['1', '2', '3', '4', '5', '6'] }"),
            "policies.p.targets.tag.values",
            id="more tag values than a filter takes",
        ),
        pytest.param(minimal(targets="tag = 'k=v'"), "policies.p.targets.tag", id="tag that is no table"),
        pytest.param("[policies]\np = 1", "policies.p", id="policy that is no table"),
        pytest.param("", "policies", id="empty file"),
        pytest.param("[policies", "not TOML", id="no TOML"),
    ],
)
def test_a_wrong_value_is_named_by_its_path(text: str, path: str) -> None:
    (problem,) = problems(text)

    assert problem.split(":")[0] == path


def test_a_file_that_cannot_be_read_is_a_problem_of_the_policy(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"absent\.toml"):
        load(tmp_path / "absent.toml")


def test_a_request_for_a_policy_that_there_is_not_is_told_which_there_are() -> None:
    with pytest.raises(RequestError, match="there are: p") as refused:
        named(parse(minimal()), "q")

    assert refused.value.status == 404
    assert named(parse(minimal()), "p") == one(minimal())
