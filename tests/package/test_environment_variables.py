"""Every environment variable that is read is documented, and every one that is documented is read."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from scripts.check_deployment import variables
from scripts.code_reading import constants_read
from scripts.reference_settings import OF_THE_COMMAND, command_variables, document, function_variables

from tests.deployment.manifests import SERVERLESS

ROOT = Path(__file__).resolve().parents[2]
OURS = re.compile(r"\b(?:QUIESCE|QUIESCED|TENCENTCLOUD|TENCENT)_[A-Z0-9]+(?:_[A-Z0-9]+)*\b")
OF_SCF = {"TENCENTCLOUD_RUNENV", "TENCENTCLOUD_TZ"}
"""Set by SCF for its own purposes."""
PAGES = [
    *(page for place in ("*.md", "docs/**/*.md", "hooks/*.md", "deploy/**/*.md") for page in sorted(ROOT.glob(place))),
    *(ROOT / name for name in ("serverless.yml", "template.yaml", "src/policies.toml", "hooks/quiesced.example.toml")),
]


def named_in(files: Iterable[Path]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for file in files:
        for name in sorted(set(OURS.findall(file.read_text(encoding="utf-8")))):
            found.setdefault(name, []).append(str(file.relative_to(ROOT)))
    return found


def texts_of(file: Path) -> set[str]:
    """Texts in a module that are the name of a variable and nothing else."""
    constants = (node.value for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Constant))
    return {value for value in constants if isinstance(value, str) and OURS.fullmatch(value)}


def read_by_the_programs() -> set[str]:
    return set(function_variables()) | set(command_variables())


def given_to_scripts() -> set[str]:
    """What the daemon puts into the environment of the scripts that it runs."""
    files = [file for file in (ROOT / "hooks" / "quiesced").rglob("*.py") if file.name != "words.py"]  # which reads one
    return {name for file in files for name in texts_of(file)}


def of_deployers() -> set[str]:
    """What a manifest or a pipeline reads from the environment of whoever deploys."""
    return variables(SERVERLESS) | set(named_in((ROOT / "deploy" / "pipelines").glob("*.yml")))


def test_no_module_of_the_function_reads_a_variable_past_the_settings() -> None:
    modules = [path for path in (ROOT / "src").rglob("*.py") if path.parent.name != "commands"]
    assert [path.name for path in modules if list(constants_read(ast.parse(path.read_text()), {}))] == []
    assert len(function_variables()) >= 27


def test_every_name_of_a_variable_in_the_functions_code_is_one_that_is_read() -> None:
    for path in (ROOT / "src").rglob("*.py"):
        assert texts_of(path) <= read_by_the_programs(), path.name


def test_every_variable_that_is_read_is_documented() -> None:
    listed = set(re.findall(r"^\| `([A-Z_]+)` \|", document(), re.M))
    assert read_by_the_programs() == listed
    assert set(OF_THE_COMMAND) <= listed


def test_every_variable_that_scripts_are_given_is_documented() -> None:
    given = given_to_scripts()
    assert given == {name for name in named_in([ROOT / "docs" / "scripts.md"]) if name.startswith("QUIESCED_")}
    assert len(given) == 3


def test_every_variable_that_a_page_or_a_manifest_names_is_read_by_something() -> None:
    known = read_by_the_programs() | given_to_scripts() | of_deployers() | OF_SCF
    named = named_in(PAGES)
    assert len(named) > 20
    assert {name: pages for name, pages in named.items() if name not in known} == {}


@pytest.mark.parametrize("pipeline", sorted((ROOT / "deploy" / "pipelines").glob("*.yml")), ids=lambda path: path.name)
def test_a_pipeline_explains_every_variable_that_it_uses(pipeline: Path) -> None:
    text = pipeline.read_text()
    comments = "\n".join(line for line in text.splitlines() if line.lstrip().startswith("#"))
    assert set(OURS.findall(text)) == set(OURS.findall(comments))
