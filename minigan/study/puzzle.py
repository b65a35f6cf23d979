"""minigan puzzle: find the fault in a copy of the plain engine.

    minigan puzzle                 the titles
    minigan puzzle 7               write puzzles/plain_07.py, print what is seen of the fault
    minigan puzzle 7 --hint 1      and 2, and 3
    minigan puzzle 7 --check       is the copy right now?  Exit code 0, else 1

What is printed is computed with the copy as it is, in place of the plain engine.
"""

import numpy as np

from ..atomic import replacing
from ..errors import UserError, printable, writing
from ..gradcheck import Check, Table
from . import judge
from .puzzles import PUZZLES
from .subject import first, train

STEPS = 60  # of training, for curves and samples
MOST = 4  # rows of failed checks that are told
BARS, SHADES = "▁▂▃▄▅▆▇█", " .:-=+*#%@"


def puzzle(options):
    """List, write, hint or check; the exit code."""
    if options.number is None:
        if options.check or options.hint:
            raise UserError("which puzzle? give its number")
        for number, each in enumerate(PUZZLES, start=1):
            print(f"{number:>2}  {each.title}")
        return 0
    if options.number > len(PUZZLES):
        raise UserError(f"puzzle {options.number}: there are {len(PUZZLES)}")
    asked, path = PUZZLES[options.number - 1], options.out / f"plain_{options.number:02}.py"
    if options.hint:
        if options.hint > len(asked.hints):
            raise UserError(f"--hint {options.hint}: there are {len(asked.hints)}")
        print(asked.hints[options.hint - 1])
        return 0
    if options.check:
        return _check(asked, path)
    _begin(asked, path, options.number)
    return 0


def _begin(asked, path, number):
    with writing(path):
        if path.exists():
            print(f"{printable(path)} is kept as it is; remove it to begin again")
        else:
            with replacing(path) as file:
                file.write(asked.source().encode())
    print(f"Puzzle {number}: {asked.title}\n")
    for line in symptoms(judge.load(path), asked.shows):
        print(line)
    print(f"\nFind the fault in {printable(path)}, mend it, and ask: "
          f"minigan puzzle {number} --check")  # fmt: skip


def _check(asked, path):
    failed, count, broken = judge.judge(judge.load(path))
    if not failed and not broken:
        print(f"solved: {asked.title}. All {count} checks pass")
        return 0
    for line in [*broken, *_rows(failed), *_facts(failed)]:
        print(printable(line))
    print(f"not yet: {len(failed) + len(broken)} of {count} checks fail")
    return 1


def symptoms(module, shows):
    """Yields lines: what can be seen of a fault, computed with this module as the plain engine."""
    failed, _, broken = judge.judge(module)
    wrong = [check for check in failed if isinstance(check, Check)]
    yield from broken
    yield from _rows(wrong) if wrong or broken else ["minigan gradcheck: every row is fine"]
    if shows != "gradcheck":
        yield ""
    if shows == "number":
        yield from _facts(failed)
    if shows in ("curve", "samples"):
        with judge.in_place_of_plain(module):
            subject = first(0)
            losses = np.array(list(train(subject, STEPS)))
            real, _, z = subject.batch(0)
            drawn = subject.G.forward(z[:2], train=False)[0]
        if shows == "curve":
            yield from curves(losses, healthy=np.array(list(train(first(0), STEPS))))
        else:
            yield f"a real picture as D gets it, and two of G's after {STEPS} steps:"
            yield from drawing(np.concatenate([real[:1], drawn]))


def curves(losses, healthy):
    """Yields lines: the losses (steps, 2) of D and G, and those of a healthy run, as bars."""
    for column, name in enumerate("DG"):
        for title, both in (("here", losses), ("healthy", healthy)):
            values = both[:, column]
            low, high = values.min(), values.max()
            bars = (values - low) / ((high - low) or 1) * (len(BARS) - 1)
            line = "".join(BARS[int(bar)] for bar in bars)
            yield f"loss of {name}, {title:<8} {low:>7.2f} {line} {high:.2f}"


def drawing(pictures):
    """Yields lines: pictures (N, 28, 28, 1) in [-1, 1] beside each other, black as a blank."""
    ink = pictures[:, ::2, :, 0]  # a letter is twice as high as wide
    levels = np.clip((ink + 1) / 2 * len(SHADES), 0, len(SHADES) - 1).astype(int)
    for rows in levels.swapaxes(0, 1):
        yield "  ".join("".join(SHADES[level] for level in row) for row in rows).rstrip()


def _rows(failed):
    """Yields lines of gradcheck's table, of its notes only those of exceptions: they tell much."""
    checks = [check for check in failed if isinstance(check, Check)]
    if checks:
        table = Table(checks[:MOST])
        yield table.head
        for check in checks[:MOST]:
            row = table.row(check)
            yield row.partition("\n")[0] if check.errors else row
        if len(checks) > MOST:
            yield f"... {len(checks)} rows in all"


def _facts(failed):
    for each in failed:
        if not isinstance(each, Check):
            title, found, expected = each
            yield f"{title}:"
            yield f"    found    {_numbers(found)}"
            yield f"    expected {_numbers(expected)}"


def _numbers(values):
    return " ".join(f"{value:.4g}" for value in values.ravel()[:12])
