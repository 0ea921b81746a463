"""Takes the two pictures of the report in docs/images anew: ``python -m scripts.report_images``."""

from __future__ import annotations

import tempfile
from pathlib import Path

from scripts import browser
from tests.function.report_records import NOW, POLICIES, History, rows

from quiesce import reporting
from quiesce.html_report import render

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
PICTURES = {"report-desktop.png": (1280, 900, False), "report-phone.png": (390, 844, True)}
"""File to width, height, and whether it is dark."""
SHOWN = {"report-desktop.png": ".run:has(rect.beyond)", "report-phone.png": "#history"}
INSTANCES, DAYS = 12, 30


def main() -> None:
    """Make a report of synthetic records, and take the pictures."""
    made = reporting.content(History(INSTANCES, DAYS), POLICIES, rows(INSTANCES, well=False), NOW, DAYS, "ap-guangzhou")
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, browser.tab() as tab:
        page = Path(folder) / "report.html"
        page.write_text(render.page(made), encoding="utf-8")
        for name, (width, height, dark) in PICTURES.items():
            tab.open(page, width, height, dark=dark)
            tab.value(f"document.querySelector('{SHOWN[name]}').scrollIntoView()")
            (IMAGES / name).write_bytes(tab.picture())
            print(f"{name}: {(IMAGES / name).stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
