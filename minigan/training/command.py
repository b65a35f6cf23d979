"""How a command ends: a user's mistake is one line on stderr, never a traceback."""

import contextlib
import os
import signal
import sys
import traceback
from pathlib import Path

from .. import processes
from ..errors import RunFailed, UserError, printable
from . import shortage, together
from .interrupts import NO_READER, InterruptOnce


def command(main, name=None):
    """Run main() as a program, called `name` in messages (by default as its file).

    Exit code 2 for bad input (UserError), for too little memory and for what cannot be written,
    1 for a run that cannot go on (RunFailed), 130 after Ctrl-C, 141 if the reader of our output
    has gone: the shells' codes for the two signals.  Any other exception is a bug of ours and
    keeps its traceback.
    """
    name = name or Path(sys.argv[0]).name
    shortage.advice = shortage.general_advice  # until a run knows better
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a name that the terminal's encoding lacks is no error
            stream.reconfigure(errors="backslashreplace")
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, InterruptOnce())
    try:
        code, line = _outcome(main)
    except BaseException:
        if processes.here.size > 1:  # the others would wait for this one
            together.abort(1, traceback.format_exc())
        raise
    if isinstance(signal.getsignal(signal.SIGINT), InterruptOnce):  # nothing is left to interrupt
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        print(end="", flush=True)  # here, where a stream that is full can still be handled
    except BrokenPipeError:
        code, line = code or 128 + NO_READER, None
    except OSError as error:
        code = code or 2
        line = line or f"error: cannot write to standard output: {error.strerror or error}"
    line = together.leave(code, line)
    if line and sys.stderr is not None:
        with contextlib.suppress(OSError):
            print(f"{name}: {line}", file=sys.stderr, flush=True)
    _give_up_what_cannot_be_written()
    sys.exit(code)


def _outcome(main):
    """(exit code, line to say or None) of running a program."""
    try:
        return main() or 0, None
    except SystemExit as end:
        return end.code or 0, None
    except UserError as error:
        return 2, f"error: {error}"
    except RunFailed as error:
        return 1, str(error)
    except MemoryError as error:
        traceback.clear_frames(error.__traceback__)  # what the failed step holds
        what = f" ({error})" if str(error) else ""
        return 2, printable(f"error: out of memory{what}: {shortage.advice()}")
    except KeyboardInterrupt:
        return 128 + signal.SIGINT, "interrupted"
    except BrokenPipeError:
        return 128 + NO_READER, None
    except OSError as error:
        place = error.filename or "standard output"
        return 2, printable(f"error: cannot use {place}: {error.strerror or error}")


def _give_up_what_cannot_be_written():
    """What is still buffered goes nowhere, or the interpreter's exit would complain."""
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
