"""The rounding error of float32 convolutions, minigan's and PyTorch's: over many shapes.

    python benchmarks/float32_error.py
    python benchmarks/float32_error.py --shapes 200

Shapes are drawn for every kernel and each way in which minigan computes it: 8 to 512 channels on
either side, images of 4 to 64 pixels a side, batches of 1 to 128, all evenly on a logarithmic
scale, up to a size.  The error of a result is its largest
difference from that of the plain formulas in float64, on the same numbers, over the largest of
those.  Printed are the median and, in brackets, the largest over the shapes, in 1e-6, of `conv`,
its adjoint in the images and its adjoint in the weights; then how they grow with the channels and
with the batch.

normal: x, w and dy are standard normal.  smooth: x is like photographs, in [0, 1] and of few
coarse waves, dy as smooth and of both signs.
"""

import argparse
from statistics import median

from bench_conv import LAYOUTS, PARTS, minigan_parts, torch_parts  # first: minigan before NumPy

import numpy as np  # isort: skip
import torch

from minigan.kernels import geometry, plain
from minigan.kernels.cpu import convolution, filtering, im2col

KERNELS = (3, 1), (4, 2), (4, 1), (5, 2), (3, 2), (5, 3)  # and strides; "same" padding
MOST_MULTIPLICATIONS = 1e9  # of a direct convolution
DRAWN = 50  # for each shape that is kept: large ones are rare
COARSE = 4  # points a side of a smooth picture


def shapes(rng, kernel, stride, count):
    """{way: [(geometry, batch, C, K), ...]}: up to `count` for each way."""
    found = {}
    for _ in range(DRAWN * count):
        size, n, c, k = (
            round(np.exp(rng.uniform(*np.log(limits))))
            for limits in ((4, 64), (1, 128), (8, 512), (8, 512))
        )
        g = geometry(size, kernel, stride, "same")
        if n * np.prod((*g.output, *g.kernel, c, k), dtype=float) <= MOST_MULTIPLICATIONS:
            found.setdefault(way(g, n, c, k), []).append((g, n, c, k))
    return {name: its_shapes[:count] for name, its_shapes in sorted(found.items())}


def way(g, n, c, k):
    """How minigan does this convolution."""
    if convolution._path(g, n, c, k) is im2col:
        return "im2col"
    pairs = zip(g.kernel, g.stride, g.output, strict=True)
    tile = (filtering.choose(*axis, n * np.prod(g.output)).outputs for axis in pairs)
    return "tiles {}x{}".format(*tile)


def normal(rng, g, n, c, k):
    """x (N, H, W, C), w (kh, kw, C, K) and dy (N, oh, ow, K) in float32."""
    sizes = (n, *g.size, c), (*g.kernel, c, k), (n, *g.output, k)
    return [rng.standard_normal(size, np.float32) for size in sizes]


def smooth(rng, g, n, c, k):
    """The same arrays, x and dy of neighbours that are alike."""

    def pictures(size, channels, low):
        places = np.linspace(0, COARSE - 1, size)
        between = np.maximum(0, 1 - abs(places[:, None] - np.arange(COARSE)))  # linear
        coarse = rng.uniform(low, 1, (n, COARSE, COARSE, channels))
        return np.einsum("ia,jb,nabc->nijc", between, between, coarse, optimize=True)

    _, w, _ = normal(rng, g, 1, c, k)
    return [a.astype(np.float32) for a in (pictures(g.size[0], c, 0), w,
                                           pictures(g.output[0], k, -1))]  # fmt: skip


def errors(x, w, dy, g):
    """{side: the errors of conv, dx and dw}."""
    x64, w64, dy64 = (a.astype(np.float64) for a in (x, w, dy))
    wanted = [plain.conv(x64, w64, g), plain.conv_dx(dy64, w64, g), plain.conv_dw(x64, dy64, g)]
    sides = {"minigan": [part() for part in minigan_parts(x, w, dy, g)]}
    for name, layout in LAYOUTS.items():
        y, dx, dw = (part() for part in torch_parts(x, w, dy, g, layout))
        dx = dx[..., : g.size[0], : g.size[1]]  # without TensorFlow's odd zero
        sides[f"PyTorch, {name}"] = [
            y.permute(0, 2, 3, 1).numpy(), dx.permute(0, 2, 3, 1).numpy(),
            dw.permute(2, 3, 1, 0).numpy(),
        ]  # fmt: skip
    return {
        side: [abs(a - b).max() / abs(b).max() for a, b in zip(results, wanted, strict=True)]
        for side, results in sides.items()
    }


def over_shapes(count):
    """Print the errors over `count` shapes of every kernel and way, on both kinds of numbers."""
    form = "{:<10} {:<10} {:<7} {:>6}  {:<22}" + " {:>13}" * 3
    print(form.format("kernel", "minigan's", "numbers", "shapes", "", *PARTS))
    for kernel, stride in KERNELS:
        rng = np.random.default_rng(0)
        for name, its_shapes in shapes(rng, kernel, stride, count).items():
            for numbers in (normal, smooth):
                found = [errors(*numbers(rng, *each), each[0]) for each in its_shapes]
                for side in found[0]:
                    parts = zip(*(each[side] for each in found), strict=True)
                    cells = [f"{1e6 * median(p):.2f} ({1e6 * max(p):.2f})" for p in parts]
                    what = f"k{kernel} s{stride}", name, numbers.__name__, len(its_shapes)
                    print(form.format(*what, side, *cells), flush=True)


def growth(title, cases):
    """Print the errors of each case, {its name: (geometry, batch, C, K)}, on normal numbers."""
    print(f"\n{title}")
    for name, shape in cases.items():
        for side, found in errors(*normal(np.random.default_rng(0), *shape), shape[0]).items():
            cells = " ".join(f"{1e6 * error:>6.2f}" for error in found)
            print(f"{name:>6} {way(*shape):<10} {side:<22} {cells}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", type=int, default=20, help="of a kernel and way (20)")
    options = parser.parse_args()
    with torch.no_grad():
        over_shapes(options.shapes)
        for kernel, stride in KERNELS[:2]:
            g = geometry(16, kernel, stride, "same")
            named = f"k{kernel} s{stride}, 16x16 pixels"
            channels = {c: (g, 32, c, c) for c in (8, 16, 32, 64, 128, 256)}
            growth(f"{named}, 32 images: channels, errors of {', '.join(PARTS)}", channels)
            batches = {n: (g, n, 32, 32) for n in (32, 128, 512, 2048)}
            growth(f"{named}, 32 channels: images, errors", batches)


if __name__ == "__main__":
    main()
