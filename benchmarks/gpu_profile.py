"""Where a training step's time goes on a GPU: the host's, the device's, and its kernels.

    python benchmarks/gpu_profile.py m1 m7      the cases that begin so (all)

The kernels' own times are PyTorch's profiler's, where PyTorch is there: it sees what any program
in the process starts on the device.
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from bench_gpu import CASES
from gpu_sides import Minigan

PROFILED, SHOWN = 3, 16  # steps; rows


def kernels(run):
    """[(name, calls, ms)] of all that run() does on the device, the longest first."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    torch.zeros(1, device="cuda")  # starts CUPTI
    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        run()
    rows = [(row.key, row.count, row.self_device_time_total / 1e3) for row in seen.key_averages()]
    return sorted(rows, key=lambda row: -row[2])


def main():
    side = Minigan(tf32=False)
    wait = side.cupy.cuda.Device().synchronize

    def run(step, steps):
        for index in range(steps):
            step(index)

    for name, (model, batch, steps) in CASES.items():
        if sys.argv[1:] and not name.startswith(tuple(sys.argv[1:])):
            continue
        step = getattr(side, model)(batch)
        run(step, 5)
        wait()
        start = time.perf_counter()
        run(step, steps)
        host = (time.perf_counter() - start) * 1e3 / steps
        wait()
        whole = (time.perf_counter() - start) * 1e3 / steps
        print(f"{name}: host {host:.2f} ms, with the device {whole:.2f} ms a step", flush=True)
        try:
            rows = kernels(lambda step=step: (run(step, PROFILED), wait()))
        except Exception as error:  # whatever ails PyTorch, the times above stand
            print(f"  no kernels: {type(error).__name__}: {error}")
            continue
        print(f"  the device is busy for {sum(row[2] for row in rows) / PROFILED:.2f} ms a step")
        for key, count, ms in rows[:SHOWN]:
            print(f"  {ms / PROFILED:8.3f} ms {count / PROFILED:6.1f} x {key[:80]}")


if __name__ == "__main__":
    main()
