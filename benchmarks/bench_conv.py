"""The conv triple, layer by layer, against PyTorch: one command, one table.

    python benchmarks/bench_conv.py                    all layers of M2 to M6, batch 128
    python benchmarks/bench_conv.py m5 --rounds 9      the models that begin so
    python benchmarks/bench_conv.py --batch 8

For every convolution of the models, `conv`, its adjoint in the images and its adjoint in the
weights are timed by turns in one process: minigan, PyTorch in its default layout, PyTorch
channels last.  Printed are medians in ms and the median of the rounds' ratios to PyTorch's better
layout, above 1 where minigan is faster.  A layer of several models comes once, a transposed
convolution as the convolution that it is the adjoint of.

Run it with nothing else on the machine.
"""

import argparse
import sys
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from steps_minigan import build  # noqa: E402  (first: it imports minigan before NumPy)
from torch.nn.functional import conv2d, pad  # noqa: E402
from torch.nn.grad import conv2d_input, conv2d_weight  # noqa: E402

import minigan as mg  # noqa: E402
from minigan.kernels.cpu import conv, conv_dw, conv_dx  # noqa: E402

MODELS = ("m2", "m3", "m4", "m5", "m6")
PARTS = ("conv", "dx", "dw")
LAYOUTS = {"default": torch.contiguous_format, "channels last": torch.channels_last}
PAUSE = 0.1  # seconds between two turns: the other side's threads spin on for a while


def layers(models):
    """{(geometry, C, K): names of the models that have it} of the networks of `models`."""
    found = {}
    for name in models:
        _, latent, G, D = build(name)
        shape = (latent.size,)
        for layer in (*G.layers, *D.layers):
            before, shape = shape, layer.output_shape(shape)
            if isinstance(layer, (mg.Conv2d, mg.ConvTranspose2d)):
                key = (layer.geometry(tuple(before[:2])), *layer.weight.shape[2:])
                names = found.setdefault(key, [])
                if name not in names:
                    names.append(name)
    return found


def minigan_parts(x, w, dy, geometry):
    """The three functions on x (N, H, W, C), w (kh, kw, C, K), dy (N, oh, ow, K)."""
    return (
        lambda: conv(x, w, geometry),
        lambda: conv_dx(dy, w, geometry),
        lambda: conv_dw(x, dy, geometry),
    )


def torch_parts(x, w, dy, geometry, layout):
    """The same in PyTorch, on its own copies of the arrays in the given layout.

    It pads alike on all sides: TensorFlow's odd zero is put on in advance, and not timed.
    """
    (top, bottom), (left, right) = geometry.padding
    padding = min(top, bottom), min(left, right)
    x, dy = (torch.from_numpy(a).permute(0, 3, 1, 2) for a in (x, dy))
    w = torch.from_numpy(w).permute(3, 2, 0, 1)
    x = pad(x, (left - padding[1], right - padding[1], top - padding[0], bottom - padding[0]))
    x, w, dy = (a.contiguous(memory_format=layout) for a in (x, w, dy))
    how = dict(stride=geometry.stride, padding=padding)
    return (
        lambda: conv2d(x, w, **how),
        lambda: conv2d_input(x.shape, w, dy, **how),
        lambda: conv2d_weight(x, w.shape, dy, **how),
    )


def alternate(functions, rounds):
    """Seconds of each function in each round: lists of `rounds`."""
    times = [[] for _ in functions]
    for _ in range(rounds):
        for function, its_times in zip(functions, times):
            time.sleep(PAUSE)
            function()  # its threads must wake up
            start = time.perf_counter()
            function()
            its_times.append(time.perf_counter() - start)
    return times


def compare(geometry, inputs, outputs, batch, rounds):
    """Yields (part, our times, PyTorch's better layout, its times) of one layer."""
    rng = np.random.default_rng(0)
    x, w, dy = (
        rng.standard_normal(shape, np.float32)
        for shape in (
            (batch, *geometry.size, inputs),
            (*geometry.kernel, inputs, outputs),
            (batch, *geometry.output, outputs),
        )
    )
    sides = [minigan_parts(x, w, dy, geometry)]
    sides += [torch_parts(x, w, dy, geometry, layout) for layout in LAYOUTS.values()]
    for part, functions in zip(PARTS, zip(*sides)):
        ours, *theirs = alternate(functions, rounds)
        best, times = min(zip(LAYOUTS, theirs), key=lambda named: median(named[1]))
        yield part, ours, best, times


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", help=f"of {', '.join(MODELS)}, by prefix (all)")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batch", type=int, default=128, help="images (128)")
    options = parser.parse_args()
    models = [name for name in MODELS if name.startswith(tuple(options.models or [""]))]
    form = "{:<12} {:<34} {:<5} {:>10} {:>10} {:>6}  {}"
    print(f"batch {options.batch}; {options.rounds} rounds")
    print(form.format("models", "layer", "part", "minigan ms", "PyTorch ms", "ratio", "layout"))
    with torch.no_grad():
        for (geometry, inputs, outputs), names in layers(models).items():
            (h, w), (kh, kw), (stride, _) = geometry.size, geometry.kernel, geometry.stride
            layer = f"{inputs} to {outputs}, {h}x{w}, k{kh}x{kw} s{stride}"
            for part, ours, best, theirs in compare(
                geometry, inputs, outputs, options.batch, options.rounds
            ):
                ratio = median(their / own for own, their in zip(ours, theirs))
                print(
                    form.format(
                        ",".join(names),
                        layer,
                        part,
                        f"{median(ours) * 1e3:.2f}",
                        f"{median(theirs) * 1e3:.2f}",
                        f"{ratio:.2f}",
                        best,
                    ),
                    flush=True,
                )


if __name__ == "__main__":
    main()
