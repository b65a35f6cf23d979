"""How a command ends: a user's mistake is one line on stderr, never a traceback."""

import os
import sys
import traceback
from pathlib import Path

from ..errors import RunFailed, UserError
from . import shortage


def command(main, name=None):
    """Run main() as a program, called `name` in messages (by default as its file).

    Exit code 2 for bad input (UserError) and for too little memory, 1 for a run
    that cannot go on (RunFailed), 130 after a second Ctrl-C, 141 if the reader of our
    output has gone, as `head` does: the shells' codes for the two signals.  Any other
    exception is a bug of ours and keeps its traceback.
    """
    name = name or Path(sys.argv[0]).name
    shortage.advice = shortage.general_advice  # until a run knows better
    try:
        try:
            code = main()
        finally:
            print(end="", flush=True)  # here, where a closed pipe can still be handled
        sys.exit(code)
    except UserError as error:
        _stop(f"{name}: error: {error}", 2)
    except RunFailed as error:
        _stop(f"{name}: {error}", 1)
    except MemoryError as error:
        traceback.clear_frames(error.__traceback__)  # what the failed step holds
        what = f" ({error})" if str(error) else ""
        _stop(f"{name}: error: out of memory{what}: {shortage.advice()}", 2)
    except KeyboardInterrupt:
        _stop(f"{name}: interrupted", 130)
    except BrokenPipeError:
        # What is still buffered goes nowhere, or the interpreter's exit would complain.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):
            os.dup2(nowhere, stream.fileno())
        sys.exit(141)


def _stop(line, code):
    print(line, file=sys.stderr)
    sys.exit(code)
