"""A report as text, as JSON, and as one HTML page that needs nothing else."""

from __future__ import annotations

import json
from dataclasses import asdict
from html import escape

from quiesced import listing
from quiesced.rehearsal.report import Killed, Report

_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>quiesced rehearse: {verdict}</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem}}
pre{{overflow-x:auto;background:#f4f4f4;padding:1rem}}h1{{color:{colour}}}</style></head>
<body><h1>{verdict}</h1>
<pre>{text}</pre>
</body></html>
"""
_GREEN, _RED = "#1a6b2f", "#a3161a"


def json_text(report: Report) -> str:
    """Write everything, with the verdict first."""
    found = {"verdict": report.verdict, "safe": report.safe, **asdict(report)}
    return json.dumps(found, ensure_ascii=False, indent=2) + "\n"


def html(report: Report) -> str:
    """Write one page."""
    colour = _GREEN if report.safe else _RED
    return _PAGE.format(verdict=escape(report.verdict), colour=colour, text=escape(text(report)))


def text(report: Report) -> str:
    """Write it for a terminal: the verdict and what it rests on first, then what was found."""
    parts = [_verdict(report), _reasons(report), _measured(report), _notes(report), _found(report)]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _verdict(report: Report) -> list[str]:
    lines = [f"{report.verdict}   (quiesced {report.version}, {report.at})"]
    if report.disks:
        lines.append(f"disks          {', '.join(report.disks)}")
    if report.through:
        lines.append(f"held through   {report.through}")
    return lines


def _reasons(report: Report) -> list[str]:
    return [
        line for one in report.reasons for line in (f"not safe  {one.code}: {one.message}", f"          do: {one.remedy}")
    ]


def _measured(report: Report) -> list[str]:
    lines = []
    if report.held:
        lines.append(
            f"stall          {_ms(report.held.stall_s)} for the slowest write, in a hold of {_ms(report.held.held_s)}"
        )
        for one in report.held.stalls:
            lines.append(f"               {_ms(one.stall_s)} on {one.mount_point}, usually {_ms(one.usual_s)}")
        lines.append("steps          " + ", ".join(f"{step.name} {_ms(step.elapsed_s)}" for step in report.held.steps))
    if report.killed:
        lines.append(f"thaw           {_thaw(report.killed)}")
        if report.killed.unlocked_s is not None:
            lines.append(f"let go         {_ms(report.killed.unlocked_s)} after the kill, by {report.killed.unlocked_by}")
    return lines


def _thaw(killed: Killed) -> str:
    if not killed.thaws:
        return "nothing was frozen: the applications' own locks suffice"
    return "NOT THAWED" if killed.thaw_s is None else f"{_ms(killed.thaw_s)} after the holder was killed (SIGKILL)"


def _notes(report: Report) -> list[str]:
    return [f"note           {note}" for note in report.notes]


def _found(report: Report) -> list[str]:
    return listing.lines(report.check) if report.check else []


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
