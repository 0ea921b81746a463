"""The matrix is whole: every step of the product has its faults, and no fault names a step that is gone."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from quiesced.instance_hold import HoldStep
from tests.faults import faulty_hook, faulty_index
from tests.faults.expected import why_not_application
from tests.faults.rig import CLOUD_FAULTS
from tests.faults.steps import Moment, Side, Step, every_step, function_steps
from tests.faults.table import ROWS, Kind, cases

SMALLEST = 300


def names(steps: Iterable[Step], side: Side) -> set[str]:
    return {step.name for step in steps if step.side is side}


@pytest.mark.parametrize("side", Side)
def test_every_step_has_a_row_and_every_row_a_step(side: Side) -> None:
    assert names(every_step(), side) == set(ROWS[side])


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("moment", Moment)
def test_every_step_meets_faults_before_during_and_after(side: Side, moment: Moment) -> None:
    without = {name for name, row in ROWS[side].items() if not row.get(moment)}
    assert without == ({"admit"} if (side, moment) == (Side.FUNCTION, Moment.DURING) else set())


def test_every_kind_of_fault_is_met_somewhere() -> None:
    assert {case.kind for case in cases(every_step())} == set(Kind)


def test_every_step_of_a_hold_has_a_middle() -> None:
    assert set(faulty_hook.MIDDLES) == set(HoldStep)
    assert all(hasattr(owner, name) for owner, name in faulty_hook.MIDDLES.values())


def test_every_step_of_the_function_is_a_method_that_can_be_wrapped() -> None:
    of_ports = [(adapter, name) for port, adapter in faulty_index.PORTS for name in faulty_index.duties(port)]
    outer = list(faulty_index.OUTER.values())
    assert len(function_steps()) == len(of_ports) + len(outer)
    assert all(callable(getattr(owner, name)) for owner, name in (*of_ports, *outer, *faulty_index.MIDDLES))


def test_every_fault_of_the_cloud_is_one_that_the_lab_can_set() -> None:
    met = {case.kind for case in cases(every_step()) if case.step.side is Side.CLOUD}
    assert met == set(CLOUD_FAULTS)


def test_the_matrix_is_large_and_names_each_case_once() -> None:
    every = [str(case) for case in cases(every_step())]
    assert len(every) == len(set(every)) >= SMALLEST


def test_a_step_without_a_row_is_refused() -> None:
    with pytest.raises(KeyError, match="warm_up"):
        cases((Step(Side.DAEMON, "warm_up"),))


def test_some_cases_may_end_at_application_and_some_may_not() -> None:
    excluded = [bool(why_not_application(case)) for case in cases(every_step())]
    assert 0.3 < sum(excluded) / len(excluded) < 0.8
