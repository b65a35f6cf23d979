"""Training steps against PyTorch eager, side by side: one command, one table.

    python benchmarks/bench.py                  all cases
    python benchmarks/bench.py m1 --rounds 15   the cases that begin so

Both sides run in processes of their own and take turns, so that neither sees the
other's memory or threads and a change in the machine's speed falls on both.  A round
times a few steps on one side, then on the other; printed are the medians over the
rounds and the median of the rounds' ratios.  Peak memory is each process's.

The floor is the time that the step's products, those of dense layers and of direct
convolutions, take at the machine's best measured sgemm rate.  Only minimal filtering, which
saves multiplications, can be below it.

Run it with nothing else on the machine.
"""

import argparse
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

    model: the function in both modules of steps.  variants: of PyTorch's step, name -> its
    arguments after the batch size; the fastest counts.  steps: a round.
    """

    model: str
    batch: int
    variants: dict
    steps: int


DENSE = {"one pass": (True,), "two passes": (False,)}
LAYOUTS = {"default": (False,), "channels last": (True,)}

CASES = {
    f"{model} batch {batch}": Case(model, batch, variants, steps)
    for model, batch, variants, steps in (
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


def compare(case, rounds):
    """Alternate all sides.  Returns (our seconds, our MB, PyTorch's variants, the fastest first:
    (name, seconds, median ratio, MB) of each)."""
    our_times, our_peaks = [], []
    their_times, their_peaks = ({name: [] for name in case.variants} for _ in range(2))
    for _ in range(STARTS):
        worker = Worker("steps_minigan", case.model, (case.batch,), warm_up=case.steps)
        others = {
            name: Worker("steps_torch", case.model, (case.batch, *more), warm_up=case.steps)
            for name, more in case.variants.items()
        }
        for _ in range(-(-rounds // STARTS)):
            our_times.append(worker.seconds(case.steps))
            for name, other in others.items():
                their_times[name].append(other.seconds(case.steps))
        our_peaks.append(worker.close())
        for name, other in others.items():
            their_peaks[name].append(other.close())
    variants = [
        (name, statistics.median(times),
         statistics.median(theirs / own for theirs, own in zip(times, our_times, strict=True)),
         max(their_peaks[name]))
        for name, times in their_times.items()
    ]  # fmt: skip
    variants.sort(key=lambda variant: variant[1])
    return statistics.median(our_times), max(our_peaks), variants


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(CASES)}, by prefix (all)")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    from steps_minigan import flops  # here, for PyTorch's processes to be without minigan

    rate = sgemm_rate()
    print(f"sgemm {rate / 1e9:.0f} GFLOP/s; {options.rounds} rounds")
    form = "{:<16} {:>10} {:>10} {:>7} {:>9} {:>9} {:>9} {:>6}  {}"
    print(
        form.format(
            "step",
            "minigan ms",
            "PyTorch ms",
            "ratio",
            "floor ms",
            "minigan MB",
            "PyTorch MB",
            "share",
            "PyTorch variant",
        )
    )
    for name, case in CASES.items():
        if options.cases and not name.startswith(tuple(options.cases)):
            continue
        floor = flops(case.model, case.batch) / rate
        own, own_peak, variants = compare(case, options.rounds)
        (best, theirs, ratio, their_peak), *others = variants
        also = "".join(f"; {other} {other_ratio:.2f}" for other, _, other_ratio, _ in others)
        print(
            form.format(
                name,
                f"{own * 1e3:.1f}",
                f"{theirs * 1e3:.1f}",
                f"{ratio:.2f}",
                f"{floor * 1e3:.1f}",
                f"{own_peak:.0f}",
                f"{their_peak:.0f}",
                f"{own_peak / their_peak:.2f}",
                best + also,
            ),
            flush=True,
        )


if __name__ == "__main__":
    main()
