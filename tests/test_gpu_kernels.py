"""Every kernel of the GPU, compiled for the CPU and compared with the CPU's path.

With `--device gpu` the same tests run on the real thing.
"""

import host_kernels
import numpy as np
import pytest
from test_conv_kernels import geometries, random_triple

from minigan import functions, kernels, losses, random
from minigan.kernels import gpu_pointwise, reference

pytestmark = pytest.mark.skipif(not host_kernels.COMPILER, reason=host_kernels.NO_COMPILER)
RNG = np.random.default_rng(11)
X, Y = RNG.standard_normal((7, 5)), RNG.standard_normal((7, 5))


def close(on_device, on_host, tolerance=1e-13):
    np.testing.assert_allclose(on_device.get(), on_host, rtol=tolerance, atol=tolerance)


def uploaded(gpu, *arrays):
    return [gpu.asarray(array) for array in arrays]


class TestConvTriple:
    def test_agrees_with_the_reference(self, gpu):
        for seed, g in enumerate(geometries()):
            if seed % 3:
                continue
            x, w, dy = random_triple(seed, g)
            there = dict(zip("xwd", uploaded(gpu, x, w, dy)))
            for name, here, a, b in (
                ("conv", (x, w), "x", "w"), ("conv_dx", (dy, w), "d", "w"),
                ("conv_dw", (x, dy), "x", "d"),
            ):  # fmt: skip
                close(
                    getattr(kernels, name)(there[a], there[b], g),
                    getattr(reference, name)(*here, g), 1e-12,
                )  # fmt: skip
