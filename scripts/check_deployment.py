"""Checks serverless.yml and template.yaml for what the tools that read them let pass in silence.

With ``--environment`` it also says which variables that serverless.yml reads are not set here.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

ROOT = Path(__file__).resolve().parent.parent

# All environment variables of a function together (cloud.tencent.com/document/product/583/11637).
ENVIRONMENT_LIMIT_BYTES = 4096

VARIABLE = re.compile(r"\$\{env:(\w+)\}")
# A secret's name says so; its value may only be fetched from outside.
SECRET_NAME = re.compile(r"(KEY|SECRET|TOKEN|PASSWORD)$")
# What Tencent Cloud's key ids, key material in PEM and long random text look like.
SECRET_VALUE = re.compile(r"AKID\w{8,}|-----BEGIN|[A-Za-z0-9+/=_-]{32,}")


def serverless_problems(document: Any, text: str) -> list[str]:
    """Everything wrong with serverless.yml, given parsed and as text (its head comment lists the variables)."""
    problems = _schema_problems(document, "serverless.schema.yaml")
    problems += _secret_problems(document)
    problems += _environment_size_problems(document)
    listed = set(re.findall(r"^#   (QUIESCE_\w+) ", text, re.MULTILINE))
    read = variables(document)
    problems += [f"${{env:{name}}} is not explained in the head comment" for name in sorted(read - listed)]
    problems += [f"the head comment explains {name}, which nothing reads" for name in sorted(listed - read)]
    return problems


def template_problems(document: Any) -> list[str]:
    """Everything wrong with template.yaml."""
    return [*_schema_problems(document, "template.schema.yaml"), *_secret_problems(document)]


def variables(document: Any) -> set[str]:
    """Names of the deployer's environment variables that a manifest reads."""
    return {name for _, value in _texts(document) for name in VARIABLE.findall(value)}


def unset(names: set[str], environment: Mapping[str, str]) -> list[str]:
    """Those of the names that have no value, one sentence each."""
    return [f"{name} is not set; serverless.yml says what it is" for name in sorted(names) if not environment.get(name)]


def _schema_problems(document: Any, schema: str) -> list[str]:
    validator = Draft202012Validator(yaml.safe_load((ROOT / "scripts" / schema).read_text()))
    errors: list[ValidationError] = sorted(validator.iter_errors(document), key=lambda error: error.json_path)
    return [f"{error.json_path}: {error.message}" for error in errors]


def _secret_problems(document: Any) -> Iterator[str]:
    for path, value in _texts(document):
        named_secret = SECRET_NAME.search(path) and not VARIABLE.fullmatch(value)
        if named_secret or SECRET_VALUE.search(VARIABLE.sub("", value)):
            yield f"{path} may hold a secret; read it with ${{env:NAME}}"


def _environment_size_problems(document: Any) -> Iterator[str]:
    sizes = [
        len(path.rsplit("/", 1)[1]) + len(value.encode())
        for path, value in _texts(document)
        if "/environment/variables/" in path
    ]
    if sum(sizes) >= ENVIRONMENT_LIMIT_BYTES:
        yield f"the environment is {sum(sizes)} bytes; SCF takes fewer than {ENVIRONMENT_LIMIT_BYTES}"


def _texts(node: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every text in a document with its path."""
    if isinstance(node, str):
        yield path, node
    children: Any = node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield from _texts(child, f"{path}/{key}")


def main() -> None:
    """Check both files; exit with 1 and one sentence for each problem."""
    text = (ROOT / "serverless.yml").read_text()
    document = yaml.safe_load(text)
    problems = serverless_problems(document, text)
    problems += template_problems(yaml.safe_load((ROOT / "template.yaml").read_text()))
    if "--environment" in sys.argv[1:]:
        problems += unset(variables(document), os.environ)
    for problem in problems:
        print(problem, file=sys.stderr)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
