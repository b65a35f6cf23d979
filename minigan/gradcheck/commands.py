"""The command line of the check."""

from ..training.options import integer
from .cases import all_cases, select
from .table import Table


def add_commands(commands):
    """Add gradcheck to the subparsers of `minigan`."""
    sub = commands.add_parser("gradcheck", help="check all derivatives; exit 1 if one is wrong")
    sub.add_argument(
        "names",
        nargs="*",
        metavar="NAME|module:Class",
        help="what to check (default: everything), such as Conv2d, hinge or a layer "
        "of your own with its arguments, 'mine:Scale(10)'",
    )
    sub.add_argument("--seed", type=integer(0), default=0, help="of the test values")
    sub.set_defaults(run=_gradcheck)


def _gradcheck(options):
    """Print the table of the checks; the exit code."""
    chosen = select(options.names, options.seed) if options.names else all_cases(options.seed)
    table, failed = Table(chosen), 0
    print(table.head)
    for case in chosen:
        check = case.check()
        print(table.row(check))
        failed += not check.ok
    print(f"{len(chosen)} checks, {failed} failed")
    return 1 if failed else 0
