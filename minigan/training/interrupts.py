"""Ctrl-C, termination and a closed terminal become a note that is read between two steps.

An exception in the middle of a step would leave half of it behind.
"""

import math
import signal
import threading
import time

from ..interrupted import SAME_PRESS

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # the last is unknown to Windows
NO_READER = 13  # SIGPIPE, likewise; Python raises BrokenPipeError in its place


class Interrupts:
    """While it is entered, `signal` is the number of the signal that came, None before.

    One that comes a second later, or more, does interrupt at once, and `at_once` is then True.
    A signal that was ignored before stays ignored: `nohup` and background jobs rely on it.
    """

    def __init__(self):
        self.signal, self.at_once = None, False

    def __enter__(self):
        self._before = {}
        if threading.current_thread() is threading.main_thread():
            for name in NAMES:
                number = getattr(signal, name, None)
                if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._notice)
        return self

    def __exit__(self, *_):
        for number, handler in self._before.items():
            if self.signal is not None and isinstance(handler, InterruptOnce):
                handler = signal.SIG_IGN  # the program is ending, and a press may still come
            signal.signal(number, handler)

    def _notice(self, number, _frame):
        now = time.monotonic()
        if self.signal is None:
            self.signal, self._since = number, now
        elif now - self._since >= SAME_PRESS:
            self.at_once = True
            self._since = now
            raise KeyboardInterrupt


class InterruptOnce:
    """The handler of Ctrl-C of a command: a program that is ending already is not interrupted.

    A second later it is, for a library that catches everything may have caught the press.
    """

    def __init__(self):
        self._since = -math.inf

    def __call__(self, _number, _frame):
        now = time.monotonic()
        if now - self._since >= SAME_PRESS:
            self._since = now
            raise KeyboardInterrupt
