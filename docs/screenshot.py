"""Takes the picture of docs/lab.md, in headless Chromium: python docs/screenshot.py"""

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image

DOCS = Path(__file__).parent
sys.path += [str(DOCS.parent / folder) for folder in ("benchmarks", "tests")]
from browser import Browser  # noqa: E402
from lab_speed import lab  # noqa: E402

LINK = "#begin=500&show=surface,contours,real,fake,wishes,grid"
STAGES = 6  # as far as G's gradient through D


def main():
    folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    with lab() as url, folder, Browser(folder.name) as browser:
        browser.open(url + LINK, width=1280, height=860)
        browser.wait("document.body.dataset.ready && frame.step === 500 && !frame.running", 300)
        for _ in range(STAGES):
            browser.press("t")
        browser.wait("frame.stage?.name === 'through D'")
        browser.value("new Promise(requestAnimationFrame)")
        picture = Image.open(io.BytesIO(browser.screenshot()))
        picture.convert("RGB").save(DOCS / "images/lab.webp", quality=82, method=6)


if __name__ == "__main__":
    main()
