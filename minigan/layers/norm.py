"""BatchNorm and LayerNorm: zero mean and unit variance over a group of elements.

Both normalise groups of n elements with the same map,

    h = s (x - mean(x)),    s = 1 / sqrt(mean((x - mean(x))^2) + eps),

and differ only in what a group is: one feature over the batch, or one sample
over its features.  Three facts give all passes (docs/derivations.md):

    the Jacobian of h is symmetric:  A(g) = s (g - mean(g) - h mean(g h)),
    the gradient at x is             dx = A(g),
    and for R(dx), with u = dR/d(dx):
        dR/dg = A(u)
        dR/dx = A(q) - s h mean(u dx),   q = -s (u mean(g h) + g mean(u h)).
"""

import math

import numpy as np

from .. import init
from ..arrays import get_array_module, on_gpu
from ..errors import check_setting
from ..kernels.cpu import features
from ..kernels.gpu import pointwise as gpu_pointwise
from .base import Layer
from .dense import rows


class Statistics:
    """A normalising map x -> h of one forward pass, with gamma and beta around it."""

    def scale_and_shift(self, gamma, beta):
        """y = gamma h + beta; gamma and beta broadcast against h."""
        y = self.h * gamma
        y += beta
        return y

    def gradients(self, dy, gamma, axes, inputs=True):
        """(dx, dgamma, dbeta) of `scale_and_shift`.

        axes: those along which gamma and beta are shared.  dx is None without inputs.
        """
        dgamma, dbeta = (dy * self.h).sum(axis=axes), dy.sum(axis=axes)
        return self.backward(dy * gamma) if inputs else None, dgamma, dbeta

    def backward(self, g):
        """The gradient at x, given g, the gradient at h."""
        raise NotImplementedError

    def double_backward(self, u, g):
        """(dR/dg, dR/dx) for a scalar R of dx = backward(g), given u = dR/d(dx)."""
        raise NotImplementedError


class BatchStatistics(Statistics):
    """The map over `axes` of x by their mean and variance."""

    def __init__(self, x, axes, eps):
        self.axes = axes
        self.mean = self.average(x)
        h = x - self.mean
        self.variance = self.average(h * h)
        self.scale = 1 / get_array_module(x).sqrt(self.variance + eps)
        h *= self.scale
        self.h = h

    def average(self, x):
        return x.mean(axis=self.axes, keepdims=True)

    def backward(self, g):
        """A(g)."""
        h = self.h
        dx = h * -self.average(g * h)
        dx += g
        dx -= self.average(g)
        dx *= self.scale
        return dx

    def double_backward(self, u, g):
        h, scale = self.h, self.scale
        dx = self.backward(g)
        q = -scale * (u * self.average(g * h) + g * self.average(u * h))
        return self.backward(u), self.backward(q) - scale * h * self.average(u * dx)


class FeatureStatistics(BatchStatistics):
    """The same for the features on the last axis of a NumPy array, in fewer passes over memory.

    It keeps x, which lives anyway, and no h: see `minigan.kernels.cpu.features`.
    """

    def __init__(self, x, eps):
        self.axes, self.x = tuple(range(x.ndim - 1)), x
        self.mean, self.variance = features.moments(x)
        self.scale = 1 / np.sqrt(self.variance + eps)

    @property
    def h(self):
        return (self.x - self.mean) * self.scale

    def scale_and_shift(self, gamma, beta):
        factor = self.scale * gamma.reshape(-1)
        return features.normalize(self.x, self.mean, factor, beta.reshape(-1))

    def gradients(self, dy, gamma, axes, inputs=True):
        x, mean, scale = self.x, self.mean, self.scale
        dbeta, dgamma = features.gradient_sums(dy, x, mean, scale)
        if not inputs:
            return None, dgamma, dbeta
        dx = features.gradient(dy, x, mean, scale, gamma.reshape(-1), dbeta, dgamma)
        return dx, dgamma, dbeta


class DeviceStatistics(FeatureStatistics):
    """The same on a GPU, where the passes are kernels; moves the layer's moving averages too."""

    def __init__(self, x, layer):
        self.axes, self.x = tuple(range(x.ndim - 1)), x
        self.mean, self.scale = gpu_pointwise.batch_statistics(
            rows(x), layer.eps, layer.momentum, layer.moving_mean, layer.moving_variance
        )

    def scale_and_shift(self, gamma, beta):
        gamma, beta = gamma.reshape(-1), beta.reshape(-1)
        return gpu_pointwise.normalize(self.x, self.mean, self.scale, gamma, beta)

    def gradients(self, dy, gamma, axes, inputs=True):
        dx, dgamma, dbeta = gpu_pointwise.batch_norm_backward(
            rows(dy), rows(self.x), self.mean, self.scale, gamma.reshape(-1), inputs
        )
        return dx.reshape(dy.shape) if inputs else None, dgamma, dbeta


class FixedStatistics(Statistics):
    """The map with a given mean and variance: linear in x, so the passes are short."""

    def __init__(self, x, mean, variance, eps):
        self.scale = 1 / get_array_module(x).sqrt(variance + eps)
        self.h = (x - mean) * self.scale

    def backward(self, g):
        return g * self.scale

    def double_backward(self, u, g):
        return u * self.scale, None


class Normalization(Layer):
    """What BatchNorm and LayerNorm share: y = gamma h + beta around a normalising map."""

    def statistics(self, x, train):
        """The normalising map of this pass: BatchStatistics or FixedStatistics."""
        raise NotImplementedError

    def other_axes(self, x):
        """The axes of x along which one element of gamma and beta is shared."""
        raise NotImplementedError

    def along(self, tensor, x):
        """gamma, beta or a moving average, shaped to broadcast against x."""
        raise NotImplementedError

    def forward(self, x, train=True):
        statistics = self.statistics(x, train)
        gamma, beta = self.along(self.gamma, x), self.along(self.beta, x)
        return statistics.scale_and_shift(gamma, beta), statistics

    def backward(self, dy, cache, params=True, inputs=True):
        gamma = self.along(self.gamma, dy)
        dx, dgamma, dbeta = cache.gradients(dy, gamma, self.other_axes(dy), inputs)
        if params:
            self.put_grad(self.gamma_grad, dgamma, params)
            self.put_grad(self.beta_grad, dbeta, params)
        return dx

    def double_backward(self, dx_bar, dy, cache):
        gamma = self.along(self.gamma, dy)
        g_bar, x_bar = cache.double_backward(dx_bar, dy * gamma)
        self.gamma_grad += (dy * g_bar).sum(axis=self.other_axes(dy))
        return g_bar * gamma, x_bar


class BatchNorm(Normalization):
    """Batch normalisation (Ioffe and Szegedy 2015), one mean and variance a feature.

    features: number of elements on `axis` (the last axis unless said otherwise);
    statistics are taken over all other axes.  In training they are those of the
    batch, and the moving ones follow:
    moving = momentum * moving + (1 - momentum) * batch (biased variance, as in
    Keras; PyTorch's momentum is 1 - ours).  In evaluation mode the moving ones
    are used, and are constants in the backward pass.
    """

    def __init__(self, features, *, axis=-1, momentum=0.99, eps=1e-3):
        super().__init__()
        if axis == 0:
            raise ValueError("BatchNorm axis 0 is the batch; name a feature axis, such as -1")
        self.features, self.axis = features, axis
        self.momentum, self.eps = float(momentum), float(eps)
        check_setting(self, "momentum", self.momentum, 0, 1)
        check_setting(self, "eps", self.eps, 0, math.inf)
        self.declare("gamma", (features,), init.Constant(1.0))
        self.declare("beta", (features,), init.Constant(0.0))
        self.declare_buffer("moving_mean", (features,), init.Constant(0.0))
        self.declare_buffer("moving_variance", (features,), init.Constant(1.0))

    def other_axes(self, x):
        return tuple(axis for axis in range(x.ndim) if axis != self.axis % x.ndim)

    def along(self, tensor, x):
        shape = [1] * x.ndim
        shape[self.axis] = self.features
        return tensor.reshape(shape)

    def statistics(self, x, train):
        self.check_input(x, self.features, self.axis)
        if not train:
            mean, variance = self.along(self.moving_mean, x), self.along(self.moving_variance, x)
            return FixedStatistics(x, mean, variance, self.eps)
        last = self.axis % x.ndim == x.ndim - 1
        if last and on_gpu(x):
            return DeviceStatistics(x, self)
        if last:
            batch = FeatureStatistics(x, self.eps)
        else:
            batch = BatchStatistics(x, self.other_axes(x), self.eps)
        for moving, latest in (
            (self.moving_mean, batch.mean),
            (self.moving_variance, batch.variance),
        ):
            moving *= self.momentum
            moving += (1 - self.momentum) * latest.reshape(-1)
        return batch


class LayerNorm(Normalization):
    """Layer normalisation (Ba et al. 2016), one mean and variance a sample.

    shape: the trailing axes to normalise over, an int or a tuple; gamma and beta
    have this shape.  Training and evaluation are the same.
    """

    def __init__(self, shape, *, eps=1e-5):
        super().__init__()
        self.shape = (shape,) if isinstance(shape, int) else tuple(shape)
        self.eps = float(eps)
        check_setting(self, "eps", self.eps, 0, math.inf)
        self.declare("gamma", self.shape, init.Constant(1.0))
        self.declare("beta", self.shape, init.Constant(0.0))

    def other_axes(self, x):
        return tuple(range(x.ndim - len(self.shape)))

    def along(self, tensor, x):
        return tensor

    def statistics(self, x, train):
        for axis, size in enumerate(reversed(self.shape), start=1):
            self.check_input(x, size, -axis)
        return BatchStatistics(x, tuple(range(-len(self.shape), 0)), self.eps)
