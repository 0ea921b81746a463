"""Reading the project's own code for its reference documents: what is written at attributes, and how settings are read."""

from __future__ import annotations

import ast
import enum
import inspect
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

Docs = Mapping[str, Mapping[str, str]]
"""Class to attribute to what is written below it."""


class MissingMeaning(Exception):
    """Something that a document has to explain has no docstring; the message names it."""


@dataclass(frozen=True)
class Reading:
    """One call that reads a setting: ``kind`` is the reader's method, ``owner`` and ``attribute`` what it fills."""

    kind: str
    name: str
    values: tuple[Any, ...]
    options: Mapping[str, Any]
    owner: str
    attribute: str


def attribute_docs(module: ModuleType) -> Docs:
    """Find the text below each attribute of each class, in the order of the code."""
    return {node.name: dict(_documented(node.body)) for node in ast.walk(_tree(module)) if isinstance(node, ast.ClassDef)}


def meaning_of(docs: Docs, owner: str, attribute: str) -> str:
    """Find what an attribute means. Raises MissingMeaning."""
    for name in (attribute, attribute.removesuffix("_file")):
        found = docs.get(owner, {}).get(name)
        if found:
            return " ".join(found.split()).replace("``", "`")
    raise MissingMeaning(f"{owner}.{attribute} has no docstring below it")


def first_paragraph(kind: type) -> str:
    """Say what a class is, in the first paragraph of its docstring."""
    return " ".join(str(kind.__doc__).strip().split("\n\n")[0].split()).replace("``", "`")


def readings(module: ModuleType, kinds: Sequence[str]) -> list[Reading]:
    """Find every call of a reader's methods that names a setting, in the order of the code.

    What it fills is the keyword that it is passed as, or the variable that it is assigned to, of the class that its
    function returns.
    """
    docs = attribute_docs(module)
    found: dict[int, Reading] = {}
    for function in _functions(_tree(module)):
        owner = _owner(function, docs)
        for attribute, value in _filled(function):
            for call in _calls(value, kinds):
                found.setdefault(call.lineno * 1000 + call.col_offset, _reading(call, module, owner, attribute))
    return [found[place] for place in sorted(found)]


def _reading(call: ast.Call, module: ModuleType, owner: str, attribute: str) -> Reading:
    name, *rest = call.args
    values = tuple(_value(one, module) for one in rest)
    options = {one.arg: _value(one.value, module) for one in call.keywords if one.arg}
    kind = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    return Reading(kind, str(_value(name, module)), values, options, owner, attribute)


def words_of(kind: type[enum.Enum]) -> Mapping[str, str]:
    """Find the words of an enumeration, each with what it means. Raises MissingMeaning."""
    module = inspect.getmodule(kind)
    docs = attribute_docs(module) if module else {}
    return {str(member.value): meaning_of(docs, kind.__name__, name) for name, member in kind.__members__.items()}


def constants_read(tree: ast.AST, module: Mapping[str, Any]) -> Iterator[str]:
    """Find the names of environment variables in ``os.environ`` reads, ``os.getenv`` calls and click's ``envvar``."""
    for node in ast.walk(tree):
        read = None
        if isinstance(node, ast.Subscript) and _is_environ(node.value):
            read = node.slice
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            if (node.func.attr == "get" and _is_environ(node.func.value)) or node.func.attr == "getenv":
                read = node.args[0]
        elif isinstance(node, ast.keyword) and node.arg == "envvar":
            read = node.value
        if isinstance(read, ast.Constant):
            yield str(read.value)
        elif isinstance(read, ast.Name):
            yield str(module[read.id])


def _is_environ(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "environ"


def _tree(module: ModuleType) -> ast.Module:
    return ast.parse(inspect.getsource(module))


def _documented(body: Sequence[ast.stmt]) -> Iterator[tuple[str, str]]:
    for statement, below in itertools.pairwise(body):
        target = statement.target if isinstance(statement, ast.AnnAssign) else None
        if isinstance(statement, ast.Assign):
            target = statement.targets[0] if isinstance(statement.targets[0], ast.Name) else None
        text = below.value.value if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) else None
        if isinstance(target, ast.Name) and isinstance(text, str):
            yield target.id, text


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def _owner(function: ast.FunctionDef, docs: Docs) -> str:
    names = [node.id for node in ast.walk(function.returns or ast.Constant("")) if isinstance(node, ast.Name)]
    return next((name for name in names if name in docs), "")


def _filled(function: ast.FunctionDef) -> Iterator[tuple[str, ast.expr]]:
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and not _makes(node.value):
            yield node.targets[0].id, node.value
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple) and isinstance(node.value, ast.Tuple):
            yield from (
                (str(getattr(one, "id", "")), value)
                for one, value in zip(node.targets[0].elts, node.value.elts, strict=True)
            )
        elif isinstance(node, ast.Call) and _makes(node):
            yield from ((str(one.arg), one.value) for one in node.keywords)
            for argument in node.args:
                yield from ((str(call.args[0].value), call) for call in _named(argument))


def _makes(node: ast.AST) -> bool:
    """Whether a call makes an object of a class."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and (node.func.id[:1].isupper() or node.func.id == "cls")
    )


def _named(node: ast.AST) -> Iterator[Any]:
    for one in ast.walk(node):
        if (
            isinstance(one, ast.Call)
            and isinstance(one.func, ast.Attribute)
            and one.args
            and isinstance(one.args[0], ast.Constant)
        ):
            yield one


def _calls(node: ast.AST, kinds: Sequence[str]) -> Iterator[ast.Call]:
    for call in _named(node):
        if call.func.attr in kinds and isinstance(call.args[0].value, str):
            yield call


def _value(node: ast.expr, module: ModuleType) -> Any:
    code = compile(ast.Expression(node), module.__name__, "eval")
    return eval(code, dict(vars(module)))  # noqa: S307 - an argument in the project's own code
