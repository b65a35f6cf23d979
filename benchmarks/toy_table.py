"""All losses with all penalties in the plane: modes found and share of good samples.

    python benchmarks/toy_table.py                    the table of docs/plane.md
    python benchmarks/toy_table.py --gate             WGAN-GP alone; exit 1 unless it passes
    python benchmarks/toy_table.py --kept rows.csv    goes on where it was stopped

Every run is `Duel.train` with the default settings but for loss, penalty and seed, and its moving
average is judged by 2,500 samples.  Printed are medians over the seeds and, in brackets, the least
and the largest.  Seeds take turns, so that a table that is stopped has whole ones.

The gate: for at least four seeds of five 8 of 8 modes on the ring and 24 of 25 on the grid; and on
the ring, at the median, 60 % of the samples good.
"""

import argparse
import csv
import sys
import time
from pathlib import Path
from statistics import median

from minigan.study.duel import GAMES, PENALTIES, Duel, Settings
from minigan.study.worlds import WORLDS

STEPS, SEEDS = 3000, 5
JUDGED = ("ring", "grid")


def trained(world, loss, penalty, seed, steps):
    """(modes, good, seconds) of one run."""
    start = time.perf_counter()
    duel = Duel(Settings(loss=loss, penalty=penalty, seed=seed))
    duel.train(WORLDS[world], steps)
    modes, good = WORLDS[world].quality(duel.samples())
    return int(modes), float(good), time.perf_counter() - start


def rows(wanted, steps, kept):
    """{(world, loss, penalty, seed): (modes, good)} of all wanted runs, the missing ones made."""
    found = {}
    if kept and kept.exists():
        with kept.open(newline="") as file:
            for world, loss, penalty, seed, modes, good in csv.reader(file):
                found[world, loss, penalty, int(seed)] = int(modes), float(good)
    for run in wanted:
        if run in found:
            continue
        modes, good, seconds = trained(*run, steps)
        found[run] = modes, good
        print(*run, f"{modes} modes, {good:.1%} good, {seconds:.1f} s", file=sys.stderr, flush=True)
        if kept:
            with kept.open("a", newline="") as file:
                csv.writer(file).writerow([*run, modes, good])
    return {run: found[run] for run in wanted}


def spread(values, form):
    """ "8 (7 to 8)": the median of some numbers, the least and the largest."""
    low, middle, high = (form.format(f(values)) for f in (min, median, max))
    return middle if low == high else f"{middle} ({low} to {high})"


def table(found):
    """Lines of Markdown, one a game and penalty."""
    yield "| loss | penalty | ring: modes | good, % | grid: modes | good, % |"
    yield "|---|---|---|---|---|---|"
    for loss, penalty in dict.fromkeys(run[1:3] for run in found):
        cells = []
        for world in JUDGED:
            results = [found[run] for run in found if run[:3] == (world, loss, penalty)]
            modes, good = zip(*results)
            cells += [spread(modes, "{:g}"), spread([100 * share for share in good], "{:.0f}")]
        yield f"| {loss} | {penalty} | {' | '.join(cells)} |"


def passes(found):
    """Whether the gate's runs pass it."""
    ring, grid = ([found[run] for run in found if run[0] == world] for world in JUDGED)
    return (
        sum(modes == 8 for modes, _ in ring) >= 0.8 * len(ring)
        and sum(modes >= 24 for modes, _ in grid) >= 0.8 * len(grid)
        and median(good for _, good in ring) >= 0.6
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gate", action="store_true", help="WGAN-GP alone")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--kept", type=Path, metavar="FILE", help="a row a run, to go on with")
    options = parser.parse_args()
    games = [(loss, penalty) for loss in GAMES for penalty in PENALTIES]
    if options.gate:
        games = [("wasserstein", "wgan-gp")]
    wanted = [
        (world, loss, penalty, seed)
        for seed in range(options.seeds)
        for loss, penalty in games
        for world in JUDGED
    ]
    found = rows(wanted, options.steps, options.kept)
    print(*table(found), sep="\n")
    if options.gate:
        print("the gate is passed" if passes(found) else "the gate is NOT passed")
        sys.exit(not passes(found))


if __name__ == "__main__":
    main()
