"""Whether somebody sits at a prompt, a notebook's or Python's own, or a program runs."""

import sys


def at_a_prompt():
    """True where code is typed in; `sys.argv` then has the words that have started the prompt.

    A script that is run from there, by IPython's %run, is a program and has its own words.
    """
    return hasattr(sys, "ps1") and not hasattr(sys.modules["__main__"], "__file__")
