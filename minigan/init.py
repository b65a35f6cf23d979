"""Initial weights: small values that say how to draw a parameter tensor.

Each initialiser is called with a shape and a NumPy generator and returns a
float64 array.  Fans follow from the shape: the last axis is the output, the one
before it the input, axes before those are the kernel's taps, so one rule covers
Dense (in, out) and Conv2d (kh, kw, in, out).  ConvTranspose2d keeps the weights
of the conv it is the adjoint of, so its fan-in is taken from its output side,
as in PyTorch.
"""

import math

import numpy as np


class Initializer:
    """An initialiser: `values = init(shape, generator)`.  Settings are attributes."""

    def __call__(self, shape, generator):
        raise NotImplementedError

    def __repr__(self):
        settings = ", ".join(f"{key}={value!r}" for key, value in vars(self).items())
        return f"{type(self).__name__}({settings})"


class Constant(Initializer):
    """Every element is `value`."""

    def __init__(self, value=0.0):
        self.value = value

    def __call__(self, shape, generator):
        return np.full(shape, float(self.value))


class Normal(Initializer):
    """Normal with standard deviation `std`."""

    def __init__(self, std=0.02):
        self.std = std

    def __call__(self, shape, generator):
        return self.std * generator.standard_normal(shape)


class TruncatedNormal(Initializer):
    """Normal with standard deviation `std`, redrawn where it leaves two of them.

    `std` is that of the normal before the cut, as in TensorFlow's
    `truncated_normal`; what remains has 0.88 of it.
    """

    def __init__(self, std=0.02):
        self.std = std

    def __call__(self, shape, generator):
        values = generator.standard_normal(shape)
        outside = np.abs(values) > 2
        while outside.any():
            values[outside] = generator.standard_normal(int(outside.sum()))
            outside = np.abs(values) > 2
        return self.std * values


class GlorotUniform(Initializer):
    """Uniform in +-sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010, eq. 16)."""

    def __call__(self, shape, generator):
        bound = math.sqrt(6 / sum(fans(shape)))
        return generator.uniform(-bound, bound, shape)


class GlorotNormal(Initializer):
    """Truncated normal with variance 2 / (fan_in + fan_out) after the cut (Keras)."""

    def __call__(self, shape, generator):
        std = math.sqrt(2 / sum(fans(shape))) / TRUNCATED_STD
        return TruncatedNormal(std)(shape, generator)


class HeNormal(Initializer):
    """Normal with variance 2 / fan_in (He et al. 2015, eq. 10)."""

    def __call__(self, shape, generator):
        return Normal(math.sqrt(2 / fans(shape)[0]))(shape, generator)


class HeUniform(Initializer):
    """Uniform with variance 2 / fan_in: +-sqrt(6 / fan_in) (He et al. 2015)."""

    def __call__(self, shape, generator):
        bound = math.sqrt(6 / fans(shape)[0])
        return generator.uniform(-bound, bound, shape)


class UniformFanIn(Initializer):
    """Uniform in +-1 / sqrt(fan_in) (LeCun et al. 1998; PyTorch's default).

    A bias has no fan of its own: give the weight's as `fan_in`.
    """

    def __init__(self, fan_in=None):
        self.fan_in = fan_in

    def __call__(self, shape, generator):
        bound = 1 / math.sqrt(self.fan_in or fans(shape)[0])
        return generator.uniform(-bound, bound, shape)


# Standard deviation of a unit normal cut at two: sqrt(1 - 4 phi(2) / (2 Phi(2) - 1)).
TRUNCATED_STD = math.sqrt(1 - 4 * math.exp(-2) / math.sqrt(2 * math.pi) / math.erf(math.sqrt(2)))


def fans(shape):
    """(fan_in, fan_out) of a weight tensor (..., in, out).

    Raises ValueError for a tensor with fewer than two axes.
    """
    if len(shape) < 2:
        raise ValueError(f"a tensor of shape {tuple(shape)} has no fans: use Constant or Normal")
    taps = math.prod(shape[:-2])
    return taps * shape[-2], taps * shape[-1]
