"""A report as text, as JSON, and as one HTML page that needs nothing else."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from html import escape

from quiesced import listing
from quiesced.rehearsal.report import Held, Killed, Report
from quiesced.words import _, language_of, later

_PAGE = """<!doctype html>
<html lang="{language}">
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
    language = language_of(os.environ).replace("_", "-")
    return _PAGE.format(language=language, verdict=escape(_(report.verdict)), colour=colour, text=escape(text(report)))


def text(report: Report) -> str:
    """Write it for a terminal: the verdict and what it rests on first, then what was found."""
    parts = [_verdict(report), _reasons(report), _measured(report), _notes(report), _found(report)]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _verdict(report: Report) -> list[str]:
    lines = [f"{_(report.verdict)}   (quiesced {report.version}, {report.at})"]
    if report.disks:
        lines.append(_line(_("disks"), ", ".join(report.disks)))
    if report.through:
        lines.append(_line(_("held through"), _(report.through)))
    return lines


def _reasons(report: Report) -> list[str]:
    said = [(f"{_('not safe')}  {one.code}: {one.message}", f"          {_('do')}: {one.remedy}") for one in report.reasons]
    return [line for lines in said for line in lines]


def _measured(report: Report) -> list[str]:
    return [*(_held(report.held) if report.held else ()), *(_killed(report.killed) if report.killed else ())]


def _held(held: Held) -> list[str]:
    stall = _("{stall} for the slowest write, in a hold of {hold}", stall=_ms(held.stall_s), hold=_ms(held.held_s))
    usual = later("{stall} on {where}, usually {usual}")
    stalls = [_(usual, stall=_ms(one.stall_s), where=one.mount_point, usual=_ms(one.usual_s)) for one in held.stalls]
    steps = ", ".join(f"{step.name} {_ms(step.elapsed_s)}" for step in held.steps)
    return [_line(_("stall"), stall), *(_line("", one) for one in stalls), _line(_("steps"), steps)]


def _killed(killed: Killed) -> list[str]:
    lines = [_line(_("thaw"), _thaw(killed))]
    if killed.unlocked_s is not None:
        after = _("{after} after the kill, by {whom}", after=_ms(killed.unlocked_s), whom=_(killed.unlocked_by))
        lines.append(_line(_("let go"), after))
    return lines


def _thaw(killed: Killed) -> str:
    if not killed.thaws:
        return _("nothing was frozen: the applications' own locks suffice")
    if killed.thaw_s is None:
        return _("NOT THAWED")
    return _("{after} after the holder was killed (SIGKILL)", after=_ms(killed.thaw_s))


def _notes(report: Report) -> list[str]:
    return [_line(_("note"), note) for note in report.notes]


def _line(label: str, words: str) -> str:
    return listing.padded(label, 15) + words


def _found(report: Report) -> list[str]:
    return listing.lines(report.check) if report.check else []


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
