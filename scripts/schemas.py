"""Writes docs/schemas: the JSON Schema of everything that commands print as JSON (python -m scripts.schemas)."""

from __future__ import annotations

import json
from pathlib import Path

from quiesce.commands.shapes import KINDS, schema_of

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "schemas"


def texts() -> dict[str, str]:
    """Write every schema; by file name."""
    return {f"{kind}.json": json.dumps(schema_of(kind), indent=2) + "\n" for kind in KINDS}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in texts().items():
        (FOLDER / name).write_text(text)
