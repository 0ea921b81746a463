"""``python -m bench.report``: how large the report of a year of hourly runs on 200 disks is, and how soon it is shown."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from scripts import browser
from tests.function.report_records import NOW, POLICIES, History, rows

from quiesce import reporting
from quiesce.html_report import render

INSTANCES, DAYS, OPENED = 200, 365, 10
PAINT_LIMIT_S = 10.0
MIB = 1024 * 1024


def main() -> int:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(prog="bench.report", description=__doc__)
    parser.add_argument("--instances", type=int, default=INSTANCES, help="with a disk each (default: %(default)s)")
    parser.add_argument("--days", type=int, default=DAYS, help="of hourly runs (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path("build/report.json"))
    given = parser.parse_args()
    began_s = time.perf_counter()
    history = History(given.instances, given.days)
    made = reporting.content(history, POLICIES, rows(given.instances, well=False), NOW, given.days, "ap-guangzhou")
    added_up_s, began_s = time.perf_counter() - began_s, time.perf_counter()
    text = render.page(made)
    results = {
        "instances": given.instances,
        "days": given.days,
        "records": made.records,
        "made_and_added_up_s": round(added_up_s, 1),
        "rendered_s": round(time.perf_counter() - began_s, 3),
        "size_bytes": len(text.encode()),
        **_opened(text),
    }
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(results, indent=2) + "\n")
    print(f"{made.records:,} records: {results['size_bytes'] / MIB:.2f} MiB; {given.output} has all figures")
    return 0


def _opened(text: str) -> dict[str, Any]:
    """Open the page several times; in milliseconds from the navigation's begin, as the browser itself tells."""
    if browser.program() is None:
        return {"browser": "there is no chromium, so it was not opened"}
    version = subprocess.run([browser.PROGRAM, "--version"], check=True, capture_output=True, text=True).stdout.strip()
    loaded, painted = [], []
    with tempfile.TemporaryDirectory() as folder, browser.tab() as tab:
        page = Path(folder) / "report.html"
        page.write_text(text, encoding="utf-8")
        for _ in range(OPENED):
            tab.open(page)
            loaded.append(tab.value("performance.getEntriesByType('navigation')[0].loadEventEnd"))
            painted.append(_painted_ms(tab))
    return {"browser": version, "opened": OPENED, "loaded_ms": _figures(loaded), "painted_ms": _figures(painted)}


def _painted_ms(tab: browser.Tab) -> float:
    """Wait for the first paint, which may come behind the load event. Raises TimeoutError."""
    give_up_at = time.monotonic() + PAINT_LIMIT_S
    while not tab.value("performance.getEntriesByName('first-contentful-paint').length"):
        if time.monotonic() > give_up_at:
            raise TimeoutError("the page was loaded and not painted")
        time.sleep(0.01)
    return float(tab.value("performance.getEntriesByName('first-contentful-paint')[0].startTime"))


def _figures(values: list[float]) -> dict[str, float]:
    return {"median": round(statistics.median(values), 1), "max": round(max(values), 1)}


if __name__ == "__main__":
    raise SystemExit(main())
