"""Training steps on a GPU against PyTorch on the same GPU: one command, one table.

    python benchmarks/bench_gpu.py                    all cases, TF32 off and on for both sides
    python benchmarks/bench_gpu.py m5 --rounds 30     the cases that begin so

Needs CuPy and PyTorch, both for the GPU.  The sides are minigan, the same with --cuda-graph, and
PyTorch eager, with its fused Adam, and as a CUDA graph.  Each runs in a process of its own and
they take turns; a round is a few steps between two events of the device, and the medians over the
rounds are printed.  Each process first measures the device's ceilings with its own library: the
rate of a large matrix product, and the bandwidth of a large copy (bytes read and written).
"""

import argparse
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from gpu_sides import SIDES
from peer import Peer

CASES = {"m1 batch 100": ("m1", 100, 50), "m5 batch 128": ("m5", 128, 10),
         "m7 batch 64": ("m7", 64, 5)}  # fmt: skip
EAGER = ("PyTorch", "PyTorch, fused")  # sides
WARM_UP = 20  # steps: kernels are compiled, memory is taken, PyTorch chooses its algorithms
SIDE = 8192  # of the square matrices
COPIED = 2**28  # floats


def serve(pipe, name, tf32):
    """A process of one side: builds steps and times them on request."""
    side = SIDES[name](tf32)

    def milliseconds(count, work):
        start = side.event()
        for index in range(count):
            work(index)
        return side.milliseconds(start, side.event()) / count

    def best(work):
        return min(milliseconds(5, work) for _ in range(6))

    def rate():
        a, b, out = (side.random(SIDE, SIDE) for _ in range(3))
        return 2 * SIDE**3 / best(lambda _: side.matmul(a, b, out)) * 1e-9

    def bandwidth():
        source, target = side.random(COPIED), side.random(COPIED)
        return 8 * COPIED / best(lambda _: side.copy(target, source)) * 1e-6

    pipe.send((rate(), bandwidth()))

    while (request := pipe.recv()) is not None:
        model, batch, steps = request
        step = getattr(side, model)(batch)
        milliseconds(WARM_UP, step)
        pipe.send("ready")
        while pipe.recv():
            pipe.send(milliseconds(steps, step))


class Worker(Peer):
    """A side whose ceilings are known: (TFLOP/s, GB/s)."""

    def __init__(self, name, tf32):
        super().__init__(serve, name, tf32)
        self.ceilings = self.answer()

    def close(self):
        self.pipe.send(None)
        self.process.join()


def compare(case, workers, rounds):
    """For each side: the median of its steps in ms, and of PyTorch eager's in terms of them.

    The faster one of its two Adams counts.
    """
    times = {name: [] for name in workers}
    for worker in workers.values():
        worker.ask(case)
    for _ in range(rounds):
        for name, worker in workers.items():
            times[name].append(worker.ask(True))
    for worker in workers.values():
        worker.pipe.send(False)
    rival = min((times[name] for name in EAGER), key=statistics.median)
    for ours in times.values():
        ratios = [b / a for a, b in zip(ours, rival, strict=True)]
        yield statistics.median(ours), statistics.median(ratios)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", help=f"of {', '.join(CASES)}, by prefix (all)")
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    for tf32 in (False, True):
        workers = {name: Worker(name, tf32) for name in SIDES}
        print(f"TF32 {'on' if tf32 else 'off'}")
        for name, worker in workers.items():
            rate, bandwidth = worker.ceilings
            print(f"  {name}: products {rate:.1f} TFLOP/s, copies {bandwidth:.0f} GB/s")
        print(f"  {'ms, and PyTorch / it':<20}", *(f"{name:>16}" for name in workers))
        for name, case in CASES.items():
            if not options.cases or name.startswith(tuple(options.cases)):
                sides = compare(case, workers, options.rounds)
                cells = (f"{ms:>9.2f} {ratio:>6.2f}" for ms, ratio in sides)
                print(f"  {name:<20}", *cells, flush=True)
        for worker in workers.values():
            worker.close()


if __name__ == "__main__":
    main()
