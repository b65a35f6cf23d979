"""Steps and frames a second of `minigan lab`: the ring, with each loss and its usual penalty.

    python benchmarks/lab_speed.py                 a page asks for frames, nobody draws them
    python benchmarks/lab_speed.py --browser       what the page shows, in headless Chromium

The lab is a process of its own, as for a user, and all other settings are those it begins with.
Run it with nothing else on the machine.
"""

import argparse
import http.client
import json
import re
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, nullcontext
from pathlib import Path

from minigan.study.duel import GAMES

TESTS = Path(__file__).parent.parent / "tests"  # where the browser's driver is
USUAL = dict.fromkeys(GAMES, ("r1", 0.03)) | {"wasserstein": ("wgan-gp", 0.1)}
PAUSE = 1 / 30  # seconds, at least, from one frame to the next, as the page has it


@contextmanager
def lab():
    """The lab in a process; yields the address of its page."""
    command = [sys.executable, "-m", "minigan", "lab", "--no-browser", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield re.search(r"http://\S+", process.stdout.readline())[0]
        finally:
            process.terminate()


class Client:
    """Tells the lab at an address what to do, and asks for its frames as a page does."""

    def __init__(self, url):
        self.connection = http.client.HTTPConnection(url.removeprefix("http://").rstrip("/"))

    def start(self, **settings):
        for command in (dict(do="set", settings=settings), dict(do="reset"), dict(do="run")):
            self._ask("POST", "/do", json.dumps(command), {"Content-Type": "application/json"})

    def speed(self, seconds):
        """(steps a second, frames a second)."""
        frame, frames = self._frame(0), 0
        first, begun = frame["step"], time.perf_counter()
        while (now := time.perf_counter()) < begun + seconds:
            frame, frames = self._frame(frame["number"]), frames + 1
            time.sleep(max(0.0, PAUSE - (time.perf_counter() - now)))
        took = time.perf_counter() - begun
        return (frame["step"] - first) / took, frames / took

    def _frame(self, after):
        return json.loads(self._ask("GET", f"/frame?after={after}"))

    def _ask(self, *request):
        self.connection.request(*request)
        return self.connection.getresponse().read()


@contextmanager
def page(url):
    """A function like `Client.speed` that reads both from the page in a browser."""
    sys.path.append(str(TESTS))
    from browser import Browser

    def speed(seconds):
        browser.wait("frame.running")
        time.sleep(seconds)
        return browser.value("[frame.speed, Number(id('frames').textContent)]")

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        with Browser(folder) as browser:
            browser.open(url, width=1400, height=900)
            browser.wait("document.body.dataset.ready")
            yield speed


def measure(client, speed, seconds):
    """Yields (loss, penalty, steps a second, frames a second)."""
    for loss, (penalty, strength) in USUAL.items():
        client.start(loss=loss, penalty=penalty, strength=strength)
        yield loss, penalty, *speed(seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=5.0, help="for each loss (5)")
    parser.add_argument("--browser", action="store_true", help="the page in headless Chromium")
    options = parser.parse_args()
    print(f"{'loss':<16}{'penalty':<9}{'steps/s':>9}{'frames/s':>10}")
    with lab() as url:
        client = Client(url)
        with page(url) if options.browser else nullcontext(client.speed) as speed:
            for loss, penalty, steps, frames in measure(client, speed, options.seconds):
                print(f"{loss:<16}{penalty:<9}{steps:>9.0f}{frames:>10.1f}", flush=True)


if __name__ == "__main__":
    main()
