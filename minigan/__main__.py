"""The command minigan, or python -m minigan: a list of who brings which commands."""

import argparse
import sys
from pathlib import Path

from .export import commands as export
from .gradcheck import commands as gradcheck
from .study import commands as study
from .training import commands as training
from .training.command import command
from .training.memory import refuse_what_does_not_fit
from .training.options import Parser

# As it was called: by the command that pip installs, or as a module.
NAME = "minigan" if Path(sys.argv[0]).stem == "minigan" else "python -m minigan"

THEMES = {
    "what a run has made": training.add_commands,
    "use it elsewhere": export.add_commands,
    "see how it learns": study.add_commands,
    "is it right": gradcheck.add_commands,
}


def main(argv=None):
    parser = Parser(
        prog=NAME,
        usage=f"{NAME} COMMAND ...",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"{NAME} COMMAND --help tells more.",
    )
    commands = parser.add_subparsers(prog=NAME, metavar="COMMAND", help=argparse.SUPPRESS)
    parser.description = "\n\n".join(
        f"{theme}:\n{_added(commands, add_commands)}" for theme, add_commands in THEMES.items()
    )
    options = parser.parse_args(argv)
    if "run" not in options:
        parser.print_help()
        return 0
    refuse_what_does_not_fit()
    return options.run(options)


def _added(commands, add_commands):
    """The commands that a function adds, one a line with what it does."""
    listed = commands._choices_actions  # argparse knows one list of commands, and no themes
    before = len(listed)
    add_commands(commands)
    return "\n".join(f"  {choice.dest:<13}{choice.help}" for choice in listed[before:])


def program():
    """The command `minigan`."""
    command(main, NAME)


if __name__ == "__main__":
    program()
