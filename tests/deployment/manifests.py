"""The two manifests as they are, and copies of them with one thing changed."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
SERVERLESS_TEXT = (ROOT / "serverless.yml").read_text()
SERVERLESS: dict[str, Any] = yaml.safe_load(SERVERLESS_TEXT)
TEMPLATE: dict[str, Any] = yaml.safe_load((ROOT / "template.yaml").read_text())


class Absent:
    """In the place of a value: the key is taken out."""


ABSENT = Absent()


def changed(document: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """A copy of the document in which ``path`` (keys and list places, with slashes) has this value.

    Raises KeyError or IndexError when the way to it does not exist, so that no test changes the wrong thing unseen.
    """
    result = copy.deepcopy(document)
    *parents, last = path.split("/")
    node: Any = result
    for step in parents:
        node = node[int(step)] if isinstance(node, list) else node[step]
    key: Any = int(last) if isinstance(node, list) else last
    if isinstance(value, Absent):
        del node[key]
    elif isinstance(node, list) and key == len(node):
        node.append(value)
    else:
        node[key] = value
    return result
