"""Training steps against PyTorch eager, M1's against JAX under jit too: one command, one table.

    python benchmarks/bench.py                  all cases
    python benchmarks/bench.py m1 --rounds 15   the cases that begin so
    python benchmarks/bench.py m5 --cores 1     on one core
    python benchmarks/bench.py m5 --beside 4    while four busy processes want the same cores

All sides run in processes of their own and take turns, so that none sees another's
memory or threads and a change in the machine's speed falls on all.  A round times a few
steps on one side after the other; printed are the medians over the rounds.  The ratio is that
of the fastest rival, PyTorch's variants and JAX alike, to minigan: the median of the rounds'
ratios; those of the others stand behind it.  Peak memory is each process's.

The floor is the time that the step's products, those of dense layers and of direct
convolutions, take at the machine's best measured sgemm rate.  Only minimal filtering, which
saves multiplications, can be below it.

Run it with nothing else on the machine.
"""

import argparse
import importlib.util
import os
import resource
import statistics
import sys
import time
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent))

from peer import Peer

PAUSE = 0.3  # seconds between two turns
STARTS = 3  # fresh processes a comparison: where memory comes to lie is luck, for all of a life


def serve(pipe, module, function, arguments, warm_up):
    """A worker: builds `module.function(*arguments)`, a step, and times it on request."""
    step = getattr(__import__(module), function)(*arguments)
    index = 0
    for _ in range(warm_up):
        step(index)
        index += 1
    pipe.send("ready")
    while (steps := pipe.recv()) is not None:
        # The other side's threads spin on for a while after its turn; and ours must wake up.
        time.sleep(PAUSE)
        step(index)
        index += 1
        start = time.perf_counter()
        for _ in range(steps):
            step(index)
            index += 1
        pipe.send((time.perf_counter() - start) / steps)
    pipe.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def spin(pipe):
    """A busy process: it keeps a core busy, and hardly any memory, as long as its parent lives."""
    while not pipe.poll():
        sum(range(10**5))


class Worker(Peer):
    """One side of a comparison, warmed up."""

    def __init__(self, module, function, arguments, *, warm_up):
        super().__init__(serve, module, function, arguments, warm_up)
        self.answer()

    def seconds(self, steps):
        """Seconds a step, over `steps` steps."""
        return self.ask(steps)

    def close(self):
        """End the process; its peak memory in MB."""
        peak = self.ask(None)
        self.process.join()
        return peak


def sgemm_rate():
    """The best rate of a float32 product that NumPy reaches here, in FLOP/s."""
    import numpy as np

    n = 2048
    a, b = (np.ones((n, n), np.float32) for _ in range(2))
    out = np.empty_like(a)
    times = []
    for _ in range(12):
        start = time.perf_counter()
        np.matmul(a, b, out=out)
        times.append(time.perf_counter() - start)
    return 2 * n**3 / min(times)


class Case(NamedTuple):
    """A training step at a batch size.

    model: the function in all modules of steps.  rivals: name -> (module, arguments after the
    batch size); the fastest counts.  steps: a round.
    """

    model: str
    batch: int
    rivals: dict
    steps: int


def torch_rivals(forms):
    """PyTorch's variants: each form, name -> argument, with its default Adam and the fused one."""
    return {
        name + adam: ("steps_torch", (form, fused))
        for name, form in forms.items()
        for adam, fused in (("", False), (", fused Adam", True))
    }


PASSES = {"one pass": True, "two passes": False}
JAX = {f"JAX, {name}": ("steps_jax", (one_pass,)) for name, one_pass in PASSES.items()}
if not importlib.util.find_spec("jax"):
    JAX = {}
DENSE = torch_rivals(PASSES) | JAX
LAYOUTS = torch_rivals({"default": False, "channels last": True})

CASES = {
    f"{model} batch {batch}": Case(model, batch, rivals, steps)
    for model, batch, rivals, steps in (
        ("m1", 100, DENSE, 20),
        ("m1", 128, DENSE, 20),
        ("m2", 64, LAYOUTS, 3),
        ("m3", 64, LAYOUTS, 3),
        ("m4", 128, LAYOUTS, 1),
        ("m5", 128, LAYOUTS, 1),
        ("m6", 8, LAYOUTS, 2),
        ("m7", 64, LAYOUTS, 1),
        ("m8", 128, LAYOUTS, 1),
    )
}


class Found(NamedTuple):
    """Of one side: seconds a step, the same over ours (median of the rounds' ratios), peak MB."""

    seconds: float
    ratio: float
    peak: float


def compare(case, rounds):
    """Alternate all sides: (ours, {name: a rival's}), each a Found, the fastest rival first."""
    sides = {"minigan": ("steps_minigan", ()), **case.rivals}
    times, peaks = ({name: [] for name in sides} for _ in range(2))
    for _ in range(STARTS):
        workers = {
            name: Worker(module, case.model, (case.batch, *more), warm_up=case.steps)
            for name, (module, more) in sides.items()
        }
        for _ in range(-(-rounds // STARTS)):
            for name, worker in workers.items():
                times[name].append(worker.seconds(case.steps))
        for name, worker in workers.items():
            peaks[name].append(worker.close())
    own, *others = (
        Found(
            statistics.median(times[name]),
            statistics.median(a / b for a, b in zip(times[name], times["minigan"], strict=True)),
            max(peaks[name]),
        )
        for name in sides
    )
    found = dict(zip(case.rivals, others, strict=True))
    return own, dict(sorted(found.items(), key=lambda named: named[1].seconds))


FORM = "{:<16} {:>10} {:>10} {:>8} {:>7} {:>9} {:>9} {:>9} {:>6}  {}"
HEAD = FORM.format(
    "step", "minigan ms", "PyTorch ms", "JAX ms", "ratio", "floor ms", "minigan MB", "PyTorch MB",
    "share", "fastest, and the others",
)  # fmt: skip


def row(name, floor, own, found):
    """The line of a case.  floor: seconds.  own, found: as `compare` gives them."""
    first, *others = found
    jax = [rival for rival in found if rival.startswith("JAX")]
    theirs = next(found[rival] for rival in found if rival not in jax)
    also = "".join(f"; {rival} {found[rival].ratio:.2f}" for rival in others)
    return FORM.format(
        name,
        f"{own.seconds * 1e3:.1f}",
        f"{theirs.seconds * 1e3:.1f}",
        f"{found[jax[0]].seconds * 1e3:.1f}" if jax else "-",
        f"{found[first].ratio:.2f}",
        f"{floor * 1e3:.1f}",
        f"{own.peak:.0f}",
        f"{theirs.peak:.0f}",
        f"{own.peak / theirs.peak:.2f}",
        first + also,
    )


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(CASES)}, by prefix (all)")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--cores", type=int, help="how many of the cores all sides have (all)")
    parser.add_argument("--beside", type=int, default=0, help="busy processes on those cores (0)")
    options = parser.parse_args(argv)
    if options.cores is not None:
        have = sorted(os.sched_getaffinity(0))
        if not 0 < options.cores <= len(have):
            parser.error(f"--cores {options.cores}: there are {len(have)}")
        os.sched_setaffinity(0, have[: options.cores])  # as all processes inherit it
    busy = [Peer(spin) for _ in range(options.beside)]
    from steps_minigan import flops  # here, for the others' processes to be without minigan

    from minigan.threads import core_count

    rate = sgemm_rate()
    print(
        f"sgemm {rate / 1e9:.0f} GFLOP/s, {options.rounds} rounds, {core_count()} cores, "
        f"{len(busy)} busy processes beside"
    )
    if not JAX:
        print("JAX is not installed: M1 is without that rival (pip install -e '.[bench]')")
    print(HEAD)
    for name, case in CASES.items():
        if options.cases and not name.startswith(tuple(options.cases)):
            continue
        floor = flops(case.model, case.batch) / rate
        print(row(name, floor, *compare(case, options.rounds)), flush=True)


if __name__ == "__main__":
    main()
