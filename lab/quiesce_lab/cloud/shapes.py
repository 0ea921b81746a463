"""The form of requests, taken from the SDK's own model classes: field names from attributes, types from docstrings."""

from __future__ import annotations

import functools
import importlib
import re
import sys
from collections.abc import Iterable, Mapping

from quiesce_lab.cloud.errors import ApiError

_TYPE_LINE = re.compile(r":type (\w+): (.+)")
_CLASS = re.compile(r":class:`[\w.]+\.(\w+)`")
_SCALARS: Mapping[str, tuple[type, ...]] = {"str": (str,), "int": (int,), "bool": (bool,), "float": (int, float)}


def request_model(module: str, action: str) -> type:
    """Return the SDK's request class of an action, such as CreateSnapshotRequest."""
    model: type = getattr(importlib.import_module(module), f"{action}Request")
    return model


@functools.cache
def fields_of(model: type) -> Mapping[str, str]:
    """Return the fields of a model class with their types as its docstring writes them."""
    # The types stand in the docstring of the model's own constructor; a model without fields has none.
    docstring = getattr(vars(model).get("__init__"), "__doc__", None) or ""
    return {name: text.strip() for name, text in _TYPE_LINE.findall(docstring)}


def check(model: type, body: Mapping[str, object], *, required: Iterable[str] = ()) -> None:
    """Check a request against a model.

    Raises ApiError ``UnknownParameter``, ``InvalidParameter`` (wrong type) or ``MissingParameter``.
    """
    _check_object(model, body, "")
    for name in required:
        if body.get(name) in (None, "", []):
            raise ApiError("MissingParameter", f"The request is missing the required parameter `{name}`.")


def _check_object(model: type, value: object, path: str) -> None:
    if not isinstance(value, Mapping):
        raise _wrong_type(path)
    known = fields_of(model)
    for name, member in value.items():
        if name not in known:
            raise ApiError("UnknownParameter", f"The parameter `{path}{name}` is not recognized.")
        _check_value(model, known[name], member, f"{path}{name}")


def _check_value(model: type, wanted: str, value: object, path: str) -> None:
    if wanted.startswith("list of "):
        if not isinstance(value, list):
            raise _wrong_type(path)
        for number, item in enumerate(value):
            _check_value(model, wanted.removeprefix("list of "), item, f"{path}.{number}")
    elif wanted in _SCALARS:
        _check_scalar(wanted, value, path)
    else:
        match = _CLASS.fullmatch(wanted)
        nested = getattr(sys.modules[model.__module__], match[1] if match else wanted)
        _check_object(nested, value, f"{path}.")


def _check_scalar(wanted: str, value: object, path: str) -> None:
    # A JSON true is an int in Python, and is not one on the platform.
    if not isinstance(value, _SCALARS[wanted]) or (isinstance(value, bool) and wanted != "bool"):
        raise _wrong_type(path)


def _wrong_type(path: str) -> ApiError:
    return ApiError("InvalidParameter", f"The type of the parameter `{path.rstrip('.') or 'body'}` is wrong.")
