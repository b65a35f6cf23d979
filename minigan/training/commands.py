"""The command lines that look at a run; each loads what it needs when it is called."""

from pathlib import Path


def add_commands(commands):
    """Add diagnose and report to the subparsers of `minigan`."""
    sub = commands.add_parser("diagnose", help="what is wrong with a run; exit 1 if something is")
    sub.add_argument("folder", type=Path, metavar="RUN", help="the folder of a run")
    sub.set_defaults(run=_diagnose)

    sub = commands.add_parser("report", help="one page of a run: curves, pictures, diagnosis")
    sub.add_argument("folder", type=Path, metavar="RUN", help="the folder of a run")
    sub.add_argument("--out", type=Path, required=True, metavar="FILE.html", help="the page")
    sub.set_defaults(run=_report)


def _diagnose(options):
    from .examine import diagnose

    return diagnose(options)


def _report(options):
    from .report import report

    return report(options)
