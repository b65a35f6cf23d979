"""A page in headless Chromium, driven over the DevTools protocol through a pair of pipes.

    with Browser(folder) as browser:
        browser.open("http://127.0.0.1:8017/", width=360, height=800)
        browser.wait("document.title === 'minigan lab'")
        browser.press("Tab")
        png = browser.screenshot()

Messages are JSON texts that end with a zero byte.  https://chromedevtools.github.io/devtools-protocol
"""

import base64
import json
import os
import shutil
import subprocess
import time

NAMES = ("chromium", "chromium-browser", "google-chrome")
PROGRAM = next(filter(None, map(shutil.which, NAMES)), None)
OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-extensions", "--no-first-run",
    "--disable-background-networking", "--disable-dev-shm-usage", "--hide-scrollbars",
)  # fmt: skip
KEYS = {  # name -> (code, what it types)
    "Tab": (9, ""), "Enter": (13, "\r"), " ": (32, " "), "ArrowLeft": (37, ""), "ArrowUp": (38, ""),
    "ArrowRight": (39, ""), "ArrowDown": (40, ""), "Backspace": (8, ""),
}  # fmt: skip


class Browser:
    """One page.  folder: for what the browser writes."""

    def __init__(self, folder):
        read, self._write = os.pipe()
        self._read, write = os.pipe()
        command = [PROGRAM, *OPTIONS, f"--user-data-dir={folder}", "--remote-debugging-pipe"]
        self._process = subprocess.Popen(  # which reads from 3 and writes to 4
            ["bash", "-c", f'exec "$@" 3<&{read} 4>&{write}', "bash", *command],
            pass_fds=(read, write), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(read)
        os.close(write)
        self._rest, self._number, self._session, self.errors = b"", 0, {}, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.call("Browser.close")
        except (EOFError, BrokenPipeError):
            pass  # it has ended by itself
        self._process.wait(20)
        os.close(self._read)
        os.close(self._write)

    def open(self, url, **how):
        """Show a page; how: as `look`."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        opened = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = dict(sessionId=opened["sessionId"])
        for domain in ("Runtime", "Page"):
            self.call(f"{domain}.enable")
        self.call("Page.bringToFront")  # what is behind others draws no frames
        self.look(**how)
        self.call("Page.navigate", url=url)
        self.wait("location.href !== 'about:blank' && document.readyState === 'complete'")

    def look(self, *, width=1000, height=800, dark=False, still=False):
        """Have a window of this size, in dark colours and without motion if asked."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=False)  # fmt: skip
        self.call("Emulation.setEmulatedMedia", features=[
            dict(name="prefers-color-scheme", value="dark" if dark else "light"),
            dict(name="prefers-reduced-motion", value="reduce" if still else "no-preference"),
        ])  # fmt: skip

    def value(self, expression):
        """The value of a JavaScript expression, of a promise's too."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True,
                           awaitPromise=True)  # fmt: skip
        if "exceptionDetails" in answer:
            raise AssertionError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait(self, expression, seconds=20):
        """Until the expression is true."""
        end = time.monotonic() + seconds
        while not self.value(f"Boolean({expression})"):
            assert time.monotonic() < end, f"it is not so after {seconds} seconds: {expression}"
            time.sleep(0.03)

    def press(self, key, times=1):
        """A key, by its name or letter."""
        code, text = KEYS.get(key, (ord(key[0].upper()), key))
        about = dict(key=key, windowsVirtualKeyCode=code, code=key)
        for _ in range(times):
            self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **about)
            self.call("Input.dispatchKeyEvent", type="keyUp", **about)

    def mouse(self, kind, x, y):
        """kind: mousePressed, mouseMoved or mouseReleased, at pixels of the window."""
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def screenshot(self, whole=False):
        """A PNG, bytes; of the whole page if asked."""
        answer = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        return base64.b64decode(answer["data"])

    def call(self, method, **params):
        """The result of a method of the protocol.  Raises EOFError where the browser has ended."""
        self._number += 1
        message = dict(id=self._number, method=method, params=params) | self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            if answer.get("method") == "Runtime.exceptionThrown":
                self.errors.append(answer["params"]["exceptionDetails"])
        if "error" in answer:
            raise AssertionError(f"{method}: {answer['error']}")
        return answer["result"]

    def _next(self):
        while b"\0" not in self._rest:
            read = os.read(self._read, 2**16)
            if not read:
                raise EOFError("the browser has ended")
            self._rest += read
        message, self._rest = self._rest.split(b"\0", 1)
        return json.loads(message)
