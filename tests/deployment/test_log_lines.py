"""scripts/log_lines.py lists exactly what the function's code writes into its log."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from scripts.log_lines import ALWAYS, FIELDS, LOG_FIELDS, RECORD_FIELDS, STEPS, SUMMARY

from quiesce import facts, steps
from quiesce.adapters.logs import line
from quiesce.certificate import SigningKey, issue
from quiesce.coverage import Finding
from quiesce.model import Level
from quiesce.procedure import protect
from quiesce.recording import summary
from quiesce.report import TargetReport, status_of
from tests.function.fake_instance import Faults
from tests.function.fake_world import FakeWorld, plan_for
from tests.function.test_report import FACTS
from tests.lab.cloud_world import running_lab
from tests.lab.estates import add, followed_up, populate

SRC = Path(__file__).parents[2] / "src" / "quiesce"
WRITERS = {
    "steps.py": (),
    "followup.py": (),
    "copies.py": ("_note",),
    "sharing.py": ("_change",),
    "coverage.py": ("fields_of",),
    "recording.py": ("summary",),
    "worker.py": ("__init__",),
    "run.py": ("__init__",),
    "invocation.py": ("handle", "_common"),
    "adapters/deliver.py": ("deliver",),
    "adapters/logs.py": ("line",),
}
"""Where dicts are written that become lines, and in which functions; no names: in all of them."""
COMPUTED = {level.word for level in Level if level > Level.NONE} | {finding.value for finding in Finding}
"""Names of fields that the code makes of an enumeration."""
ANSWERED = {"error", "message"}
"""Keys of what an HTTP caller is answered, which ``handle`` writes, too."""


def functions(tree: ast.AST, names: Iterable[str]) -> Iterator[ast.AST]:
    wanted = tuple(names)
    if not wanted:
        yield tree
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name in wanted:
            yield node


def dict_keys(node: ast.AST) -> set[str]:
    """Every constant key of a dict in a piece of code, and every constant key that is assigned to."""
    dicts = [one for one in ast.walk(node) if isinstance(one, ast.Dict)]
    keys = {key.value for one in dicts for key in one.keys if isinstance(key, ast.Constant)}
    stored = [one for one in ast.walk(node) if isinstance(one, ast.Subscript) and isinstance(one.ctx, ast.Store)]
    keys |= {one.slice.value for one in stored if isinstance(one.slice, ast.Constant)}
    return {key for key in keys if isinstance(key, str)}


def notes(tree: ast.AST) -> Iterator[ast.Call]:
    """Calls of Recorder.note."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "note"
            and len(node.args) == 2
        ):
            yield node


def constants(node: ast.AST) -> set[str]:
    """Text that an expression may be."""
    if isinstance(node, ast.IfExp):
        return constants(node.body) | constants(node.orelse)
    return {node.value} if isinstance(node, ast.Constant) and isinstance(node.value, str) else set()


def written_fields() -> set[str]:
    found: set[str] = set()
    for file, names in WRITERS.items():
        for node in functions(ast.parse((SRC / file).read_text()), names):
            found |= dict_keys(node)
    for path in SRC.rglob("*.py"):
        for call in notes(ast.parse(path.read_text())):
            found |= {keyword.arg for keyword in call.keywords if keyword.arg}
    return found


def literal_outcomes() -> set[tuple[str, str]]:
    """Every pair of a step and an outcome that the code writes out."""
    found = set()
    for path in SRC.rglob("*.py"):
        tree = ast.parse(path.read_text())
        pairs = [(call.args[0], call.args[1]) for call in notes(tree)]
        for node in ast.walk(tree):
            if isinstance(node, ast.Dict):
                by_key = {
                    key.value: value
                    for key, value in zip(node.keys, node.values, strict=True)
                    if isinstance(key, ast.Constant)
                }
                if {"step", "outcome"} <= by_key.keys():
                    pairs.append((by_key["step"], by_key["outcome"]))
        found |= {(step, outcome) for s, o in pairs for step in constants(s) for outcome in constants(o)}
    return found


def test_every_field_that_the_code_writes_is_listed_and_every_one_listed_is_written() -> None:
    written = (written_fields() - ANSWERED) | COMPUTED | {"step", "outcome", "record"}
    assert written - set(FIELDS) == set()
    assert set(FIELDS) - written == set()


def test_every_outcome_that_the_code_writes_out_is_listed() -> None:
    found = literal_outcomes()
    assert len(found) >= 20
    assert sorted((step, outcome) for step, outcome in found if outcome not in STEPS[step].outcomes) == []


def test_every_step_at_which_trouble_may_be_noted_is_listed() -> None:
    troubles = set()
    for path in SRC.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            name = node.func.attr if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else ""
            if name in ("trouble", "Trouble") and isinstance(node, ast.Call):
                troubles |= constants(node.args[0])
    assert len(troubles) >= 9
    assert sorted(step for step in troubles if "trouble" not in STEPS[step].outcomes) == []


def test_each_field_is_of_some_step_and_each_step_has_known_fields() -> None:
    used = {name for step in STEPS.values() for name in step.fields} | set(ALWAYS)
    assert used == set(LOG_FIELDS)
    assert set(RECORD_FIELDS) <= set(FIELDS)
    assert set(LOG_FIELDS) | set(RECORD_FIELDS) == set(FIELDS)


def insist(lines: Iterable[dict[str, Any]]) -> int:
    """See that lines which were written are as they are listed; returns how many there were."""
    written = list(lines)
    for one in written:
        step = STEPS[one["step"]]
        assert one.keys() - {*step.fields, *ALWAYS} == set(), one
        assert one.get("outcome", "") in {*step.outcomes, *([] if step.outcomes else [""])}, one
    return len(written)


FAULTS: list[dict[str, str]] = [
    {},
    {"quiesce": "refused"},
    {"quiesce": "after"},
    {"release": "before"},
    {"create disk-a": "before"},
    {"create disk-a": "after"},
    {"find": "before"},
]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_the_lines_of_real_procedures_are_as_listed(fault: dict[str, str]) -> None:
    outcome = protect(plan_for(), FakeWorld(faults=Faults(fault)).world)
    assert insist(steps.steps_of(outcome.plan, outcome.entries)) >= 2
    report = TargetReport("ins-1", status_of(outcome), issue(outcome, SigningKey("k", b"a secret of the tests"), "now"))
    assert summary(report).keys() <= set(SUMMARY)


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: type(fact).__name__)
def test_the_line_of_every_fact_is_as_listed(fact: facts.Fact) -> None:
    assert insist(steps.steps_of(plan_for(), (facts.Timed(1.0, fact),))) == 1


def test_the_lines_of_a_follow_up_are_as_listed(tmp_path: Path) -> None:
    with running_lab(tmp_path) as lab:
        populate(lab, tmp_path)
        for number in range(5):
            add(lab, number, number + 0.1)
        add(lab, 8, 0.05, pending=True)
        add(lab, 9, 1.0, level="", pending=True, stuck_percent=35)
        add(lab, 10, 1.0, set_size=2)
        counts, lines = followed_up(lab, tmp_path)
    assert insist(lines) >= 6
    assert counts.keys() == set(STEPS["follow_up"].fields)


def test_a_line_that_was_cut_says_so_in_listed_fields() -> None:
    assert '"truncated":true' in line({"step": "check", "reason": "x" * 20_000})
    assert '"fields":500' in line({f"field_{n}": "z" * 50 for n in range(500)})
