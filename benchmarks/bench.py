"""Training steps against PyTorch eager, side by side: one command, one table.

    python benchmarks/bench.py                  all cases
    python benchmarks/bench.py m1 --rounds 15   one case

Both sides run in processes of their own and take turns, so that neither sees the
other's memory or threads and a change in the machine's speed falls on both.  A round
times a few steps on one side, then on the other; printed are the medians over the
rounds and the median of the rounds' ratios.  Peak memory is each process's.

The floor is the time that the step's matrix products take at the machine's best
measured sgemm rate: no engine that multiplies these matrices on these cores is faster.

Run it with nothing else on the machine.
"""

import argparse
import multiprocessing
import resource
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

STEPS_A_ROUND = 10


def serve(pipe, module, function, arguments):
    """A worker: builds `module.function(*arguments)`, a step, and times it on request."""
    step = getattr(__import__(module), function)(*arguments)
    index = 0
    for _ in range(STEPS_A_ROUND):  # warm-up
        step(index)
        index += 1
    pipe.send("ready")
    while (steps := pipe.recv()) is not None:
        start = time.perf_counter()
        for _ in range(steps):
            step(index)
            index += 1
        pipe.send((time.perf_counter() - start) / steps)
    pipe.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


class Worker:
    """One side of a comparison in a process of its own."""

    def __init__(self, module, function, *arguments):
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=serve, args=(other, module, function, arguments))
        self.process.start()
        self.pipe.recv()

    def seconds(self, steps=STEPS_A_ROUND):
        """Seconds a step, over `steps` steps."""
        self.pipe.send(steps)
        return self.pipe.recv()

    def close(self):
        """End the process; its peak memory in MB."""
        self.pipe.send(None)
        peak = self.pipe.recv()
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


def m1_flops(batch):
    """FLOPs of the matrix products of one M1 step at this batch size."""
    G = [(100, 256), (256, 512), (512, 1024), (1024, 784)]
    D = [(784, 1024), (1024, 512), (512, 256), (256, 1)]

    def macs(sizes):
        return sum(inputs * outputs for inputs, outputs in sizes)

    d_step = macs(G) + 2 * (macs(D) + macs(D) + macs(D[1:]))  # G; D on 2 n: y, dW, dx above
    g_step = macs(G) + macs(D) + macs(D) + macs(G) + macs(G[1:])  # y, y, dx of D; dW, dx of G
    return 2 * batch * (d_step + g_step)


# name -> (our step, PyTorch's variants of it, FLOPs); the fastest variant counts.
CASES = {
    f"m1 batch {batch}": (
        ("m1", batch),
        {"one pass": ("m1", batch, True), "two passes": ("m1", batch, False)},
        m1_flops(batch),
    )
    for batch in (100, 128)
}


def compare(ours, variants, rounds):
    """Alternate all sides.  Returns (our seconds, PyTorch's best variant, its seconds,
    median ratio, our MB, its MB)."""
    worker = Worker("steps_minigan", *ours)
    others = {name: Worker("steps_torch", *call) for name, call in variants.items()}
    our_times, their_times = [], {name: [] for name in variants}
    for _ in range(rounds):
        our_times.append(worker.seconds())
        for name, other in others.items():
            their_times[name].append(other.seconds())
    our_peak = worker.close()
    peaks = {name: other.close() for name, other in others.items()}
    best = min(variants, key=lambda name: statistics.median(their_times[name]))
    ratios = [theirs / own for theirs, own in zip(their_times[best], our_times)]
    return (
        statistics.median(our_times), best, statistics.median(their_times[best]),
        statistics.median(ratios), our_peak, peaks[best],
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(CASES)}, by prefix (all)")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    rate = sgemm_rate()
    print(f"sgemm {rate / 1e9:.0f} GFLOP/s; {options.rounds} rounds of {STEPS_A_ROUND} steps")
    form = "{:<16} {:>10} {:>10} {:>7} {:>9} {:>9} {:>9} {:>6}  {}"
    print(form.format("step", "minigan ms", "PyTorch ms", "ratio", "floor ms",
                      "minigan MB", "PyTorch MB", "share", "PyTorch variant"))
    for name, (ours, variants, flops) in CASES.items():
        if options.cases and not name.startswith(tuple(options.cases)):
            continue
        own, best, theirs, ratio, own_peak, their_peak = compare(ours, variants, options.rounds)
        print(form.format(name, f"{own * 1e3:.1f}", f"{theirs * 1e3:.1f}", f"{ratio:.2f}",
                          f"{flops / rate * 1e3:.1f}", f"{own_peak:.0f}", f"{their_peak:.0f}",
                          f"{own_peak / their_peak:.2f}", best), flush=True)


if __name__ == "__main__":
    main()
