"""How a command ends: a user's mistake is one line on stderr, never a traceback."""

import sys
from pathlib import Path

from ..errors import RunFailed, UserError


def command(main):
    """Run main() as a program.

    Exit code 2 for bad input (UserError) and for too little memory, 1 for a run
    that cannot go on (RunFailed), 130 after a second Ctrl-C.  Any other exception is
    a bug of ours and keeps its traceback.
    """
    name = Path(sys.argv[0]).name
    try:
        sys.exit(main())
    except UserError as error:
        _stop(f"{name}: error: {error}", 2)
    except RunFailed as error:
        _stop(f"{name}: {error}", 1)
    except MemoryError as error:
        _stop(f"{name}: error: out of memory ({error}): try a smaller --batch-size", 2)
    except KeyboardInterrupt:
        _stop(f"{name}: interrupted", 130)


def _stop(line, code):
    print(line, file=sys.stderr)
    sys.exit(code)
