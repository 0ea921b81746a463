"""/metrics: read without a signature, so it counts and times and names nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from scripts import reference_metrics

from quiesced import __version__
from quiesced.keeper import Keeper
from quiesced.metrics import CATALOGUE, CONTENT_TYPE, Metrics
from quiesced.tally import BUCKETS_S, GUARDIAN_FIRED, Durations, Tally
from tests.daemon import exposition
from tests.daemon.exposition import BadText
from tests.daemon.fake_keeper import FakeKeeper
from tests.daemon.fakes import FakeInstance, quiesce, release
from tests.daemon.hook_caller import Site, connected, serving
from tests.daemon.keeper_on_fakes import start
from tests.waiting import wait_until


def read(metrics: Metrics) -> dict[str, float]:
    """Read the text as strictly as Prometheus does; return every sample by name and labels."""
    families = exposition.read(metrics.text().decode())
    return {key: value for family in families.values() for key, value in family.samples.items()}


@pytest.fixture
def metrics(keeper: Keeper) -> Metrics:
    return Metrics(keeper.status, keeper.tally)


def outcomes(found: dict[str, float]) -> tuple[float, float, float]:
    """Return how many holds were released, expired and refused."""
    released, expired, refused = (
        found[f'quiesced_holds_total{{outcome="{word}"}}'] for word in ("released", "expired", "refused")
    )
    return released, expired, refused


def test_an_idle_daemon_has_counted_nothing(metrics: Metrics) -> None:
    found = read(metrics)
    assert found.pop(f'quiesced_build_info{{version="{__version__}"}}') == 1
    assert set(found.values()) == {0}
    assert {"quiesced_held", "quiesced_frozen", "quiesced_lease_remaining_seconds"} <= set(found)


def test_a_hold_is_shown_while_it_is_in_place_and_counted_once(keeper: Keeper, metrics: Metrics) -> None:
    for _ in range(2):  # the second gets the stored answer
        keeper.quiesce(quiesce(hold_limit_s=10.0))
    during = read(metrics)
    assert (during["quiesced_held"], during["quiesced_frozen"], during["quiesced_holds_granted_total"]) == (1, 1, 1)
    assert 0 < during["quiesced_lease_remaining_seconds"] <= 10
    for _ in range(2):
        keeper.release(release())
    after = read(metrics)
    assert (after["quiesced_held"], after["quiesced_frozen"], after["quiesced_lease_remaining_seconds"]) == (0, 0, 0)
    assert outcomes(after) == (1, 0, 0)
    assert 0 < after["quiesced_last_hold_seconds"] < 10


def test_a_hold_by_locks_alone_is_held_and_not_frozen(tmp_path: Path, instance: FakeInstance) -> None:
    keeper = start(tmp_path, instance, only_applications_write=True)
    keeper.quiesce(quiesce(disks=("disk-0",)))
    found = read(Metrics(keeper.status, keeper.tally))
    keeper.close()
    assert (found["quiesced_held"], found["quiesced_frozen"]) == (1, 0)


def test_a_hold_that_nobody_released_is_counted_as_expired(keeper: Keeper, metrics: Metrics) -> None:
    keeper.quiesce(quiesce(hold_limit_s=0.2))
    wait_until(lambda: outcomes(read(metrics)) == (0, 1, 0))
    assert read(metrics)["quiesced_guardian_fired_total"] == 0


def test_a_guardian_that_fired_is_counted(keeper: Keeper, metrics: Metrics, instance: FakeInstance) -> None:
    keeper.quiesce(quiesce())
    instance.guardian.fire()
    wait_until(lambda: read(metrics)["quiesced_guardian_fired_total"] == 1)
    assert outcomes(read(metrics)) == (0, 1, 0)


def test_refusals_are_counted_by_code() -> None:
    tally = Tally()
    for code in ("busy", "blocked", "busy"):
        tally.hold_refused(code)
    tally.request_refused("bad_signature")
    found = read(Metrics(FakeKeeper().status, tally))
    assert found['quiesced_holds_refused_total{code="busy"}'] == 2
    assert found['quiesced_holds_refused_total{code="blocked"}'] == 1
    assert found['quiesced_requests_refused_total{code="bad_signature"}'] == 1
    assert outcomes(found) == (0, 0, 3)


def test_each_hold_is_counted_in_the_bucket_of_its_duration() -> None:
    tally = Tally()
    for held_s in (0.05, 0.051, 4.0, 61.0):
        tally.hold_ended(expired=False, reason="", held_s=held_s)
    found = read(Metrics(FakeKeeper().status, tally))
    counts = {bound: found[f'quiesced_hold_duration_seconds_bucket{{le="{bound}"}}'] for bound in ("0.05", "0.1", "2", "5")}
    assert counts == {"0.05": 1, "0.1": 2, "2": 2, "5": 3}
    assert found['quiesced_hold_duration_seconds_bucket{le="60"}'] == 3
    assert found["quiesced_hold_duration_seconds_count"] == 4
    assert found["quiesced_hold_duration_seconds_sum"] == pytest.approx(65.101)


def test_the_buckets_reach_from_the_shortest_hold_to_the_longest_that_is_sensible() -> None:
    assert tuple(sorted(BUCKETS_S)) == BUCKETS_S
    assert (BUCKETS_S[0], BUCKETS_S[-1], len(Durations().cumulative())) == (0.05, 60.0, len(BUCKETS_S) + 1)


def test_every_metric_of_the_catalogue_is_answered_and_described(metrics: Metrics) -> None:
    families = exposition.read(metrics.text().decode())
    assert {name: (family.type, family.words) for name, family in families.items()} == {
        one.name: (one.type, one.words) for one in CATALOGUE
    }


def test_the_reference_is_the_one_that_is_generated() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "metrics.md").read_text(encoding="utf-8")
    assert page == reference_metrics.document(), "run python -m scripts.reference"
    assert [one.name for one in CATALOGUE if f"| `{one.name}` | {one.type} |" not in page] == []


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("x 1\n", id="no HELP"),
        pytest.param("# HELP x y\nx 1\n", id="no TYPE"),
        pytest.param("# HELP x y\n# TYPE x gauge\nx 1", id="no end of line"),
        pytest.param("# HELP x y\n# TYPE x gauge\nx 1\nx 2\n", id="a sample twice"),
        pytest.param("# HELP x y\n# TYPE x gauge\nz 1\n", id="a sample of another metric"),
        pytest.param("# HELP x y\n# TYPE x counter\nx 1\n", id="a counter that is not called total"),
        pytest.param('# HELP x y\n# TYPE x gauge\nx{a="1" 1\n', id="labels without an end"),
        pytest.param('# HELP x y\n# TYPE x histogram\nx_bucket{le="1"} 1\nx_sum 1\nx_count 1\n', id="no +Inf"),
    ],
)
def test_the_strict_reader_is_strict(text: str) -> None:
    with pytest.raises(BadText):
        exposition.read(text)


def test_anybody_who_reaches_the_hook_may_read_it_and_learns_no_name(tmp_path: Path) -> None:
    site, tally, keeper = Site(tmp_path), Tally(), FakeKeeper()
    keeper.held = "lease-of-somebody"
    tally.hold_ended(expired=True, reason=GUARDIAN_FIRED, held_s=1.5)
    with serving(keeper, site.listen(), tally=tally) as port, connected(port, site.context()) as connection:
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        text = answer.read().decode()
    assert (answer.status, answer.headers["Content-Type"]) == (200, CONTENT_TYPE)
    assert "quiesced_held 1.0" in text and "quiesced_last_hold_seconds 1.5" in text
    assert "lease-of" not in text
    assert set(re.findall(r"[{,](\w+)=", text)) <= {"code", "outcome", "le", "version"}
