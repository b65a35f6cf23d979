"""Training steps on several processes against one: images a second, and their ratios.

    python benchmarks/bench_processes.py m5 m7 --batch 64 --processes 2

Three set-ups take turns, each in fresh processes under mpiexec: one process with one thread, one
with as many threads as there are to be processes, and those processes with one thread each.  The
batch is the whole one, shared out.  Needs the extra `mpi`; run it with nothing else on the machine.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time

ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def serve(name, batch, steps):
    """What each process does: time some steps of its share of a batch, and print their seconds."""
    from minigan.training import together

    together.join()
    import steps_minigan

    from minigan import processes

    step = getattr(steps_minigan, name)(batch // processes.here.size)
    for index in range(2):
        step(index)
    seconds = []
    for index in range(2, 2 + steps):
        start = time.perf_counter()
        step(index)
        seconds.append(time.perf_counter() - start)
    print(statistics.median(seconds))
    together.leave(0, None)


def measured(name, batch, steps, processes, threads):
    """Images a second of a set-up."""
    words = ["mpiexec", "-n", processes, sys.executable, __file__, name]
    words += ["--batch", batch, "--steps", steps, "--serve"]
    ended = subprocess.run(
        [*map(str, words)], env=ENVIRONMENT | {"OPENBLAS_NUM_THREADS": str(threads)},
        check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    return batch / float(ended.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="+", help="m1 ... m8")
    parser.add_argument("--batch", type=int, default=64, help="images of a step, of all processes")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--steps", type=int, default=5, help="of a turn")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return serve(*options.models, options.batch, options.steps)
    count = options.processes
    setups = {"1 x 1": (1, 1), f"1 x {count}": (1, count), f"{count} x 1": (count, 1)}
    print("images/s, medians; processes x threads")
    for name in options.models:
        found = {setup: [] for setup in setups}
        for _ in range(options.rounds):
            for setup, (processes, threads) in setups.items():
                rate = measured(name, options.batch, options.steps, processes, threads)
                found[setup].append(rate)
        rates = {setup: statistics.median(values) for setup, values in found.items()}
        several = found[f"{count} x 1"]
        ratios = {
            setup: statistics.median(a / b for a, b in zip(several, found[setup]))
            for setup in list(setups)[:2]
        }
        print(
            f"{name}, batch {options.batch}: ",
            ", ".join(f"{setup} {rate:.1f}" for setup, rate in rates.items()),
            "; ratios ", ", ".join(f"to {setup} {ratio:.2f}" for setup, ratio in ratios.items()),
            sep="",
        )  # fmt: skip


if __name__ == "__main__":
    main()
