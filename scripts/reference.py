"""Writes docs/reference/ from the code: ``python -m scripts.reference``. A test says when a page is stale.

A new page is a function that returns its text, and an entry in DOCUMENTS.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from scripts import reference_agent, reference_metrics, reference_policy, reference_settings
from scripts.log_lines import ALWAYS, FIELDS, NUMBER, PROSE, RECORD_FIELDS, STEPS, WHOLE, WORD
from scripts.tables import page, table

from quiesce.commands.exits import Exit

HOME = Path(__file__).resolve().parent.parent / "docs" / "reference"
_KINDS = {WORD: "word", PROSE: "text", WHOLE: "whole number", NUMBER: "number"}


def log_fields() -> str:
    """Write what the function's log says."""
    about = (
        "The function writes one flat JSON object a line. SCF delivers it to CLS, where "
        "[`deploy/cls/`](../../deploy/cls/README.md) has an index and alarms. Any line "
        f"may have {_names(ALWAYS)}; a field without a value is left out."
    )
    lines = ["## Steps", ""]
    rows = [(f"`{name}`", step.meaning, _outcomes(step.outcomes), _names(step.fields)) for name, step in STEPS.items()]
    lines += table(("`step`", "About", "`outcome`", "Fields"), rows)
    lines += ["## Fields", ""]
    lines += table(("Field", "Meaning", "Kind"), [(f"`{n}`", f.meaning, _KINDS[f.kind]) for n, f in FIELDS.items()])
    lines += [
        "## Run records",
        "",
        f"The topic in `QUIESCE_CLS_TOPIC` gets one record for each target: {_names(RECORD_FIELDS)}.",
    ]
    return page("The function's log", about, lines)


def exit_status() -> str:
    """Write what the command's exit statuses mean."""
    about = "Of the command `quiesce`, whichever of its commands is called."
    return page("Exit statuses", about, table(("Status", "Meaning"), [(str(int(one)), one.meaning) for one in Exit]))


def certificate() -> str:
    """Point to where certificates are described."""
    about = (
        "[docs/certificate.md](../certificate.md) says what a certificate proves and how to verify it; "
        "[docs/certificate.schema.json](../certificate.schema.json) is its JSON Schema (`quiesce certificate schema`)."
    )
    return page("Certificates", about, [])


DOCUMENTS: Mapping[str, Callable[[], str]] = {
    "settings.md": reference_settings.document,
    "policy.md": reference_policy.document,
    "agent-file.md": reference_agent.document,
    "metrics.md": reference_metrics.document,
    "log-fields.md": log_fields,
    "exit-status.md": exit_status,
    "certificate.md": certificate,
}
"""Each page, and what writes it."""


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in dict.fromkeys(names))


def _outcomes(outcomes: Mapping[str, str]) -> str:
    return "; ".join(f"`{word}`: {meaning}" for word, meaning in outcomes.items())


def main() -> None:
    """Write every page."""
    HOME.mkdir(parents=True, exist_ok=True)
    for name, write in DOCUMENTS.items():
        (HOME / name).write_text(write(), encoding="utf-8")
        print(f"docs/reference/{name}")


if __name__ == "__main__":
    main()
