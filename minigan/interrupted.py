"""Ctrl-C while modules are being imported: a line, as everywhere else, and no traceback.

Imports take a third of a second, in which no command can be there yet to catch anything.
"""

import signal
import sys

_before = sys.excepthook


def hook(kind, error, trace):
    """As `sys.excepthook`, but brief for a KeyboardInterrupt that came during an import."""
    if issubclass(kind, KeyboardInterrupt) and _passes_an_import(trace):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the next press would interrupt these words
        print("interrupted", file=sys.stderr)
    else:
        _before(kind, error, trace)


def _passes_an_import(trace):
    while trace is not None:
        if trace.tb_frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        trace = trace.tb_next
    return False


sys.excepthook = hook
