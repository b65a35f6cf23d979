"""How M5's training step grows with the batch and with the size of its images.

    python benchmarks/growth.py
    python benchmarks/growth.py --batches 4 8 --sizes 32 64 --batch 4 --width 0.25

Time and peak memory of a step, and the straight lines fitted to them: a step costs so much
whatever it is given, and so much an image or a pixel.  M5 is for 64x64 pixels; at 32x32 its
networks have one layer less on both sides, at 128x128 one more.  Every size has a process of its
own, they take turns, and printed are the medians.

Run it with nothing else on the machine.
"""

import argparse
from statistics import median

from bench import Worker
from steps_minigan import OPTIONS, example

import minigan as mg

M5_SIZE, MOST_CHANNELS = 64, 512


def networks(size, width):
    """M5's G and D for images of `size` x `size`, a power of two from 8."""
    count = size.bit_length() - 3  # layers between the image and 4 x 4 pixels
    counts = [min(64 * 2**index, MOST_CHANNELS) for index in range(count)]
    channels = [max(1, round(c * width)) for c in counts]

    def normalised(c):
        return mg.BatchNorm(c, momentum=0.9), mg.LeakyReLU(0.2)

    how = dict(use_bias=False)
    g = [mg.Reshape((1, 1, 100)), mg.ConvTranspose2d(100, channels[-1], 4, padding="valid", **how)]
    d = [mg.Conv2d(1, channels[0], 4, stride=2, **how), mg.LeakyReLU(0.2), mg.Dropout(0.3)]
    for small, large in zip(channels[:0:-1], channels[-2::-1]):
        g += [*normalised(small), mg.ConvTranspose2d(small, large, 4, stride=2, **how)]
    for large, small in zip(channels, channels[1:]):
        halve = mg.Conv2d(large, small, 4, stride=2, **how)
        d += [halve, *normalised(small), mg.Dropout(0.3)]
    g += [*normalised(channels[0]), mg.ConvTranspose2d(channels[0], 1, 4, stride=2, **how)]
    d += [mg.Conv2d(channels[-1], 1, 4, padding="valid", **how), mg.Flatten()]
    return mg.Sequential([*g, mg.Tanh()], name="generator"), mg.Sequential(d, name="discriminator")


def step_of(batch, size, width):
    """step(index): the example's training step on such networks."""
    module = example("dcgan")
    G, D = networks(size, width)
    opt_g, opt_d = mg.Adam(G, 2e-4), mg.Adam(D, 2e-4)
    real = mg.random.uniform((batch, size, size, 1), -1, 1, seed=0, where="real")

    def step(index):
        G.begin_step(index)
        D.begin_step(index)

        def address(where):
            return dict(seed=0, where=where, step=index)

        z_d, z_g = (module.LATENT.draw(batch, **address(where)) for where in ("D", "G"))
        labels = module.noisy_labels(OPTIONS, address)
        module.train_step(G, D, opt_g, opt_d, real, z_d, z_g, *labels)

    return step


def measure(settings, rounds):
    """(ms, MB) of a step for each (batch, size, width)."""
    workers = [Worker("growth", "step_of", each, warm_up=1) for each in settings]
    times = [[] for _ in workers]
    for _ in range(rounds):
        for worker, its_times in zip(workers, times):
            its_times.append(worker.seconds(1))
    return [(1e3 * median(its_times), worker.close()) for worker, its_times in zip(workers, times)]


def report(title, unit, amounts, measured):
    """Print a table and the lines fitted to it.  amounts: of each row, in `unit`."""
    import numpy as np

    print(f"\n{title}\n{unit:>10} {'ms':>10} {'peak MB':>10}")
    for amount, (ms, peak) in zip(amounts, measured):
        print(f"{amount:>10} {ms:>10.1f} {peak:>10.0f}")
    for name, values in zip(("ms", "MB"), np.transpose(measured)):
        slope, constant = np.polyfit(amounts, values, 1)
        misfit = np.abs(np.polyval((slope, constant), amounts) / values - 1).max()
        print(f"{name} = {constant:.3g} + {slope:.3g} x {unit}, within {misfit:.0%}")


def size_of_image(text):
    size = int(text)
    if size < 8 or size & (size - 1):
        raise argparse.ArgumentTypeError(f"{text} is not a power of two from 8")
    return size


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, nargs="+", default=[16, 32, 64, 128, 256])
    parser.add_argument("--sizes", type=size_of_image, nargs="+", default=[32, 64, 128])
    parser.add_argument("--batch", type=int, default=32, help="with --sizes (32)")
    parser.add_argument("--width", type=float, default=1.0, help="scales the channels (1)")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    settings = [(batch, M5_SIZE, options.width) for batch in options.batches]
    report(
        f"M5, {M5_SIZE}x{M5_SIZE} pixels",
        "images",
        options.batches,
        measure(settings, options.rounds),
    )
    settings = [(options.batch, size, options.width) for size in options.sizes]
    report(
        f"batch {options.batch}, {' '.join(f'{size}x{size}' for size in options.sizes)}",
        "pixels",
        [size * size for size in options.sizes],
        measure(settings, options.rounds),
    )


if __name__ == "__main__":
    main()
