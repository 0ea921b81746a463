"""/metrics: read without a signature, so it counts and times and names nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from quiesced.keeper import Keeper
from quiesced.metrics import CONTENT_TYPE, Metrics
from quiesced.tally import GUARDIAN_FIRED, Tally
from tests.daemon.fake_keeper import FakeKeeper
from tests.daemon.fakes import FakeInstance, quiesce, release
from tests.daemon.hook_caller import Site, connected, serving
from tests.waiting import wait_until


def read(metrics: Metrics) -> dict[str, float]:
    """Read the text as Prometheus does, without the comments."""
    lines = [line for line in metrics.text().decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


@pytest.fixture
def metrics(keeper: Keeper) -> Metrics:
    return Metrics(keeper.status, keeper.tally)


def test_an_idle_daemon_has_counted_nothing(metrics: Metrics) -> None:
    assert read(metrics) == {
        "quiesced_held": 0,
        "quiesced_acquiring": 0,
        "quiesced_lease_remaining_seconds": 0,
        "quiesced_last_hold_seconds": 0,
        "quiesced_holds_granted_total": 0,
        "quiesced_holds_expired_total": 0,
        "quiesced_guardian_fired_total": 0,
    }


def test_a_hold_is_shown_while_it_is_in_place_and_counted_once(keeper: Keeper, metrics: Metrics) -> None:
    for _ in range(2):  # the second gets the stored answer
        keeper.quiesce(quiesce(hold_limit_s=10.0))
    during = read(metrics)
    assert (during["quiesced_held"], during["quiesced_holds_granted_total"]) == (1, 1)
    assert 0 < during["quiesced_lease_remaining_seconds"] <= 10
    for _ in range(2):
        keeper.release(release())
    after = read(metrics)
    assert (after["quiesced_held"], after["quiesced_lease_remaining_seconds"]) == (0, 0)
    assert after["quiesced_holds_expired_total"] == 0
    assert 0 < after["quiesced_last_hold_seconds"] < 10


def test_a_hold_that_nobody_released_is_counted_as_expired(keeper: Keeper, metrics: Metrics) -> None:
    keeper.quiesce(quiesce(hold_limit_s=0.2))
    wait_until(lambda: read(metrics)["quiesced_holds_expired_total"] == 1)
    assert read(metrics)["quiesced_guardian_fired_total"] == 0


def test_a_guardian_that_fired_is_counted(keeper: Keeper, metrics: Metrics, instance: FakeInstance) -> None:
    keeper.quiesce(quiesce())
    instance.guardian.fire()
    wait_until(lambda: read(metrics)["quiesced_guardian_fired_total"] == 1)
    assert read(metrics)["quiesced_holds_expired_total"] == 1


def test_refusals_are_counted_by_code() -> None:
    tally = Tally()
    for code in ("busy", "blocked", "busy"):
        tally.hold_refused(code)
    tally.request_refused("bad_signature")
    found = read(Metrics(FakeKeeper().status, tally))
    assert found['quiesced_holds_refused_total{code="busy"}'] == 2
    assert found['quiesced_holds_refused_total{code="blocked"}'] == 1
    assert found['quiesced_requests_refused_total{code="bad_signature"}'] == 1


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
    assert set(re.findall(r"{(\w+)=", text)) <= {"code"}
