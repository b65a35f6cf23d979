"""Every function of the GPU against the plain formula, at real sizes; then what calls cost.

    python benchmarks/gpu_smoke.py            exit 1 where one disagrees or does not repeat
    python benchmarks/gpu_smoke.py --small    the same in seconds

Formulas are taken in float64 on the CPU.  Products must repeat bit for bit, and use TF32 where
CUPY_TF32=1 says so and nowhere else.
"""

import argparse
import os
import subprocess
import sys
import time
import traceback
from functools import partial

import numpy as np

from minigan.arrays import array_module, to_host
from minigan.kernels import geometry, gpu, plain
from minigan.kernels.gpu import convolution, cublas, im2col, minimal

FLOATS = (("float32", 1e-6), ("float64", 1e-13))
# size, kernel, stride, padding, C, K: layers of the models, and odd ones
LAYERS = [
    (64, 4, 2, "same", 1, 64), (64, 4, 2, "same", 3, 64), (32, 4, 2, "same", 64, 128),
    (16, 4, 2, "same", 128, 256), (8, 4, 2, "same", 256, 512), (4, 4, 1, "valid", 512, 1),
    (28, 5, 2, "same", 1, 256), (14, 3, 2, "same", 128, 256), (28, 3, 1, "same", 40, 20),
    (28, 1, 1, 0, 50, 1), ((7, 9), 4, 2, "same", 17, 19), ((12, 5), 5, 3, 1, 3, 5),
]  # fmt: skip
PRODUCTS = [(100, 784, 1024), (200, 256, 1), (1, 7, 5), (512, 8192, 1), (4096, 512, 1024)]


class Smoke:
    """The checks on a device's arrays.  wrong: what failed."""

    def __init__(self, xp, small):
        self.xp, self.small, self.wrong = xp, small, []
        self.rng = np.random.default_rng(0)

    def normal(self, *shape, dtype="float32"):
        return self.rng.standard_normal(shape).astype(dtype)

    def verdict(self, name, ok, words):
        if not ok:
            self.wrong.append(name)
        print(f"  {'ok  ' if ok else 'FAIL'} {name:<60} {words}")

    def check(self, name, tolerance, *arguments, module=gpu, note=""):
        """module.name(*arguments) against plain's, and what both write to their arguments."""
        here = [double(value) for value in arguments]
        there = [self.up(value) for value in arguments]
        wanted = [*results(getattr(plain, name)(*here)), *here]
        got = [*results(getattr(module, name)(*there)), *there]
        errors = []
        for one, other in zip(got, wanted, strict=True):
            if isinstance(other, (np.ndarray, np.floating)):
                one = np.asarray(to_host(one), "float64").reshape(np.shape(other))
                if one.size:
                    errors.append(np.abs(one - other).max() / max(np.abs(other).max(), 1e-300))
        words = f"{max(errors):.1e} <= {tolerance:.0e}"
        self.verdict(f"{name} {note}", max(errors) <= tolerance, words)

    def up(self, value):
        return self.xp.asarray(value) if isinstance(value, np.ndarray) else value

    # The list of kernels.

    def pointwise(self):
        for dtype, tolerance in FLOATS:

            def check(name, *arguments, times=1, dtype=dtype, tolerance=tolerance):
                self.check(name, times * tolerance, *arguments, note=dtype)

            x, y, dy = (self.normal(37, 41, dtype=dtype) for _ in range(3))
            t, p = np.abs(y) / 5, 1 / (1 + np.exp(-x))
            for name in ("relu", "sigmoid", "tanh", "softplus"):
                check(name, x)
            for name in ("relu", "sigmoid", "tanh"):
                check(f"{name}_backward", dy, p)
            check("leaky_relu", x, 0.2)
            check("leaky_relu_backward", dy, y, 0.2)
            check("sigmoid_double_backward", x, dy, p)
            check("tanh_double_backward", x, dy, p)
            for name in ("bce_with_logits", "least_squares", "softmax_cross_entropy"):
                check(name, x, t, times=4)
            check("bce", p, t, 1e-7, times=16)
            for name in ("wasserstein", "hinge"):
                check(name, x, -1, times=4)
            check("minimax", x, times=4)
            check("distance_from_one", x, 10.0, False, times=8)
            check("half_square", x, 10.0, times=4)
            check("interpolate", x, y, p)
            check("sum_rows", self.normal(700, 41, dtype=dtype), times=4)
            state = (
                x.reshape(-1).copy(),
                dy.reshape(-1),
                *np.abs(self.normal(2, x.size, dtype=dtype)),
            )
            check("adam", *state, 3, 1e-3, 0.5, 0.9, 1e-8, times=2)
            check("rmsprop", *state[:3], 1e-3, 0.9, 1e-8, times=2)
            check("sgd", *state[:3], 1e-3, 0.9)
            check("average", *state[:2], 0.9)
            check("clip", state[0], 0.5)
            images = self.normal(3, 4, 6, 5, dtype=dtype)
            check("upsample", images, 2)
            check("upsample_backward", images, 2, times=4)
            check("join", images, self.normal(3, 2, dtype=dtype))
            check("join_backward", images, 3, times=4)
            pixels = self.rng.integers(0, 256, (3, 5, 7, 1), np.uint8)
            check("from_pixels", pixels, -1.0, 1.0, dtype)
            address = dict(seed=1, where="here", step=2, call=3)
            dropped, mask = gpu.dropout(self.up(x), 0.75, address)
            self.check("dropout_backward", tolerance, x, to_host(mask), 0.75, note=dtype)
            same = to_host(dropped == gpu.dropout_backward(self.up(x), mask, 0.75)).all()
            self.verdict(f"dropout {dtype}", same, f"keeps {to_host(mask).mean():.3f} of 0.75")
            gated, f = gpu.gate(self.up(x), 0.2, 0.75, address)
            two = gpu.dropout(gpu.leaky_relu(self.up(x), 0.2), 0.75, address)[0]
            same = np.allclose(to_host(gated), to_host(two), tolerance, tolerance)
            back = gpu.gate_backward(self.up(x), f)
            self.verdict(f"gate {dtype}", same and bool((back == gated).all()), "is the two layers")

    def normalisation(self):
        sizes = (
            [(500, 64), (3, 70), (4000, 3)]
            if self.small
            else [(50000, 64), (3, 39200), (400000, 3)]
        )
        for dtype, tolerance in FLOATS:
            for shape in sizes:
                note = f"{'x'.join(map(str, shape))} {dtype}"
                x, dy = 2 * self.normal(*shape, dtype=dtype) + 1, self.normal(*shape, dtype=dtype)
                gamma, beta = self.normal(2, shape[1], dtype=dtype)
                moving = np.zeros(shape[1], dtype), np.ones(shape[1], dtype)
                more = dict(note=note)
                self.check("batch_statistics", 4 * tolerance, x, (0,), 1e-3, *moving, 0.9, **more)
                own = [
                    np.asarray(value, dtype) for value in plain.statistics(double(x), (0,), 1e-3)
                ]
                self.check("normalize", 4 * tolerance, x, *own, gamma, beta, **more)
                backward = (dy, x, *own, gamma, (0,), (0,))
                self.check("normalize_backward", 32 * tolerance, *backward, **more)
                leaky = gpu.normalize_leaky(*map(self.up, (x, *own, gamma, beta)), 0.2)
                two = plain.leaky_relu(plain.normalize(x, *own, gamma, beta), 0.2)
                same = np.allclose(to_host(leaky), two, 0, 16 * tolerance)
                self.verdict(f"normalize_leaky {note}", same, "is the two layers")
                second = (self.normal(*shape, dtype=dtype), *backward)
                self.check("normalize_double_backward", 256 * tolerance, *second, **more)

    def products(self):
        for dtype, tolerance in FLOATS:
            for m, k, n in PRODUCTS[: 3 if self.small else None]:
                x, w, dy = (self.normal(*s, dtype=dtype) for s in ((m, k), (k, n), (m, n)))
                note = f"{m}x{k}x{n} {dtype}"
                self.check("dense", 4 * tolerance, x, w, dy[0].copy(), note=note)
                self.check("dense_dx_dw", 4 * tolerance, x, dy, w, note=note)

    def convolutions(self):
        for dtype, tolerance in FLOATS:
            for size, kernel, stride, padding, C, K in LAYERS[-2 if self.small else None :]:
                g = geometry(size, kernel, stride, padding)
                x = self.normal(4, *g.size, C, dtype=dtype)
                dy = self.normal(4, *g.output, K, dtype=dtype)
                w = self.normal(*g.kernel, C, K, dtype=dtype) / kernel
                for path in (im2col, minimal)[: 1 + minimal.applies(g)]:
                    note = f"{short(path)} {g.size} k{kernel} s{stride} {C}->{K} {dtype}"
                    for name, arrays in triple(x, w, dy).items():
                        self.check(name, 6 * tolerance, *arrays, g, module=path, note=note)
                        self.repeats(path, name, [*map(self.up, arrays), g])

    def repeats(self, path, name, arguments):
        """Bit for bit, also where other memory is used."""
        first = getattr(path, name)(*arguments)
        other = self.xp.empty(1000003, "float32")
        if not to_host(first == getattr(path, name)(*arguments)).all():
            self.verdict(f"{name} repeats", False, path.__name__)
        del other

    def tf32(self):
        for asked in "01":
            command = [sys.executable, __file__, "--tf32"]
            done = subprocess.run(command, env=os.environ | {"CUPY_TF32": asked}, text=True,
                                  capture_output=True)  # fmt: skip
            errors = dict(line.split() for line in done.stdout.splitlines())
            for name, error in errors.items():
                ok = (float(error) > 1e-5) == (asked == "1")
                self.verdict(f"CUPY_TF32={asked}: {name}", ok, f"error {error}")
            self.verdict(f"CUPY_TF32={asked}", len(errors) == 6, done.stderr[-500:])

    def errors_of_products(self):
        """Print the relative error of each product in float32."""
        wide = geometry(16, 4, 2, 1)
        x, w, dy = self.normal(8, 16, 16, 64), self.normal(4, 4, 64, 64), self.normal(8, 8, 8, 64)
        for name, arguments in (
            ("conv", (x, w, wide)),
            ("conv_dx", (dy, w, wide)),
            ("conv_dw", (x, dy, wide)),
            ("dense", (x, w[0, 0])),
            ("dense_dx", (dy, w[0, 0])),
            ("dense_dw", (x, self.normal(*x.shape))),
        ):
            wanted = getattr(plain, name)(*map(double, arguments))
            got = to_host(getattr(gpu, name)(*map(self.up, arguments)))
            print(name, f"{np.abs(got - wanted).max() / np.abs(wanted).max():.1e}")

    # What calls and passes cost: needs a device that tells its time.

    def microseconds(self, work, count):
        """(device, host) of a call, over `count` calls."""
        event, device = self.xp.cuda.Event, self.xp.cuda.Device()
        for _ in range(5):
            work()
        device.synchronize()
        start, stop = event(), event()
        host = time.perf_counter()
        start.record()
        for _ in range(count):
            work()
        stop.record()
        host = time.perf_counter() - host
        stop.synchronize()
        return self.xp.cuda.get_elapsed_time(start, stop) * 1e3 / count, host * 1e6 / count

    def costs(self):
        x, nine = self.up(self.normal(100, 100)), self.up(self.normal(9, 32, 32))
        matmul, xp, out = cublas.matmul, self.xp, self.xp.empty((100, 100), "float32")
        for name, work in (
            ("a kernel of ours", lambda: gpu.leaky_relu(x, 0.2)),
            ("an operator of CuPy", lambda: x + x),
            ("a sum of CuPy", lambda: x.sum(axis=0)),
            ("a product", lambda: matmul(x, x, out)),
            ("a product of CuPy", lambda: xp.matmul(x, x, out=out)),
            ("nine products, one transposed", lambda: matmul(nine.swapaxes(1, 2), nine)),
            ("the same of CuPy", lambda: xp.matmul(nine.swapaxes(1, 2), nine)),
            ("memory", lambda: xp.empty((100, 100), "float32")),
        ):
            device, host = self.microseconds(work, 20 if self.small else 2000)
            print(f"  {name:<32} host {host:6.1f} us, device {device:6.1f} us a call")
        count, repeats = (2**12, 2) if self.small else (2**26, 10)
        x, dy = (self.up(self.normal(count // 64, 64)) for _ in range(2))
        three = x.reshape(-1)[: count // 3 * 3].reshape(-1, 3)
        v, mask, axes = self.up(np.ones(64, "float32")), x > 0, ((0,), (0,))
        address = dict(seed=1, where="here", step=2, call=3)
        for name, size, work in (
            ("leaky_relu", 8, lambda: gpu.leaky_relu(x, 0.2)),
            ("leaky_relu_backward", 12, lambda: gpu.leaky_relu_backward(x, dy, 0.2)),
            ("dropout", 9, lambda: gpu.dropout(x, 0.7, address)),
            ("dropout_backward", 9, lambda: gpu.dropout_backward(x, mask, 0.7)),
            ("gate", 12, lambda: gpu.gate(x, 0.2, 0.7, address)),
            ("gate_backward", 12, lambda: gpu.gate_backward(x, dy)),
            ("add_bias", 8, lambda: gpu.add_bias(x, v)),
            ("normalize", 8, lambda: gpu.normalize(x, v, v, v, v)),
            ("normalize_leaky", 8, lambda: gpu.normalize_leaky(x, v, v, v, v, 0.2)),
            ("sum_rows of 64", 4, lambda: gpu.sum_rows(x)),
            ("sum_rows of 3", 4, lambda: gpu.sum_rows(three)),
            ("batch_statistics", 4, lambda: gpu.batch_statistics(x, (0,), 1e-3, v, v, 1.0)),
            ("normalize_backward", 20, lambda: gpu.normalize_backward(dy, x, v, v, v, *axes)),
        ):
            device, _ = self.microseconds(work, repeats)
            print(f"  {name:<24} {device:8.0f} us, {count * size / device * 1e-3:6.0f} GB/s")
        for size, C, K in ((32, 64, 128), (16, 128, 256), (8, 256, 512)):
            g, n = geometry(size, 4, 2, "same"), 2 if self.small else 128
            x, w, dy = (
                self.up(self.normal(*s)) for s in ((n, *g.size, C), (4, 4, C, K), (n, *g.output, K))
            )
            for path in (minimal, im2col):
                times = [
                    self.microseconds(partial(getattr(path, name), *arrays, g), repeats)[0]
                    for name, arrays in triple(x, w, dy).items()
                ]
                words = " / ".join(f"{us:.0f}" for us in times)
                chosen = "(chosen)" * (convolution._path(g, C, K) is path)
                print(f"  {C}->{K} at {size}x{size}, {short(path)}: {words} us {chosen}")


def triple(x, w, dy):
    """Of the three convolutions the arrays that each takes."""
    return {"conv": (x, w), "conv_dx": (dy, w), "conv_dw": (x, dy)}


def short(module):
    return module.__name__.rpartition(".")[-1]


def double(value):
    """Arrays of floats in float64, with a memory of their own."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return value.astype("float64")
    return value


def results(value):
    return value if isinstance(value, tuple) else (value,)


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="small sizes, few repeats")
    parser.add_argument("--tf32", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("parts", nargs="*", help="pointwise, normalisation, products, ... (all)")
    options = parser.parse_args(words)
    smoke = Smoke(array_module("gpu"), options.small)
    if options.tf32:
        return smoke.errors_of_products()
    parts = "pointwise", "normalisation", "products", "convolutions", "tf32", "costs"
    for part in options.parts or parts:
        start = time.perf_counter()
        try:
            getattr(smoke, part)()
        except Exception:
            smoke.wrong.append(part)
            traceback.print_exc()
        print(f"-- {part}: {time.perf_counter() - start:.1f} s", flush=True)
    print("FAILED: " + ", ".join(smoke.wrong) if smoke.wrong else "all as the plain formulas say")
    return int(bool(smoke.wrong))


if __name__ == "__main__":
    sys.exit(main())
