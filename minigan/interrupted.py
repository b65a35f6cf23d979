"""Ctrl-C where Python by itself would answer with a traceback, or go on.

While modules are imported, a third of a second, no command can be there yet to catch anything.
Whatever catches, no exception gets out of a weak reference's callback or a `__del__`, and there
are some of both in every import: Python prints it, and the press would be lost.
"""

import signal
import sys
import threading
from _thread import interrupt_main

SAME_PRESS = 1.0  # seconds in which a held or hammered Ctrl-C counts as one

_excepthook, _unraisablehook = sys.excepthook, sys.unraisablehook


def excepthook(kind, error, trace):
    """As `sys.excepthook`, but brief for a KeyboardInterrupt that came during an import."""
    if issubclass(kind, KeyboardInterrupt) and _passes_an_import(trace):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the next press would interrupt these words
        print("interrupted", file=sys.stderr)
    else:
        _excepthook(kind, error, trace)


def _passes_an_import(trace):
    while trace is not None:
        frame = trace.tb_frame
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        # Python takes importlib's frames away when it was the module's own code that raised.
        name = frame.f_globals.get("__name__", "__main__")  # exec() may give none
        if frame.f_code.co_name == "<module>" and name != "__main__":
            return True
        trace = trace.tb_next
    return False


def unraisablehook(lost):
    """As `sys.unraisablehook`, but a KeyboardInterrupt comes again, as a press of its own."""
    if issubclass(lost.exc_type, KeyboardInterrupt):
        again = threading.Timer(1.1 * SAME_PRESS, _press)
        again.daemon = True  # a program that has ended in the meantime need not wait for it
        again.start()
    else:
        _unraisablehook(lost)


def _press():
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)  # wakes a sleeping one
    else:
        interrupt_main()


sys.excepthook, sys.unraisablehook = excepthook, unraisablehook
