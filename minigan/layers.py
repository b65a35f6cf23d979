"""The layers: which function of `kernels` each pass is, and what is kept for the way back.

Read beside `kernels/plain.py`, which has the formulas, in the same order.
"""

import math

from . import init, processes, random
from .arrays import get_array_module
from .errors import check_setting
from .kernels import geometry, settings, transposed_geometry
from .kernels.plain import alone
from .network import Layer

__all__ = [
    "BatchNorm", "Conv2d", "ConvTranspose2d", "Dense", "Dropout", "Flatten", "Layer", "LayerNorm",
    "LeakyReLU", "RandomShift", "ReLU", "Reshape", "Sigmoid", "SpectralNorm", "Tanh", "UpSample2d",
]  # fmt: skip


class Dense(Layer):
    """y = x W + b, with x (..., inputs), W (inputs, outputs), b (outputs,).

    use_bias: False leaves b out.  weight_init, bias_init: see `minigan.init`.
    """

    def __init__(
        self,
        inputs,
        outputs,
        *,
        use_bias=True,
        weight_init=init.GlorotUniform(),
        bias_init=init.Constant(0.0),
    ):
        super().__init__()
        self.inputs, self.outputs = self.size("inputs", inputs), self.size("outputs", outputs)
        self.use_bias, self.weight_init, self.bias_init = use_bias, weight_init, bias_init
        self.declare("weight", (inputs, outputs), weight_init)
        if use_bias:
            self.declare("bias", (outputs,), bias_init)

    def output_shape(self, input_shape):
        return (*input_shape[:-1], self.outputs)

    def forward(self, x, train=True):
        k = self.kernels[type(x)]
        self.check_input(x, self.inputs)
        return k.dense(x, self.weight, self.bias if self.use_bias else None), x

    def backward(self, dy, cache, params=True, need_dx=True):
        k, x, dx = self.kernels[type(dy)], cache, None
        self.check_gradient(dy, self.output_shape(x.shape), x.dtype)
        if not params:
            return k.dense_dx(dy, self.weight) if need_dx else None
        place = self.place_for_grad("weight_grad")
        if need_dx:
            dx, dw = k.dense_dx_dw(x, dy, self.weight, place)
        else:
            dw = k.dense_dw(x, dy, place)
        self.add_grad("weight_grad", dw)
        if self.use_bias:
            self.add_grad("bias_grad", k.sum_rows(dy))
        return dx

    def double_backward(self, dx_bar, dy, cache):
        # dx = dy W^T is bilinear in dy and W, and does not contain x.
        k, x = self.kernels[type(dy)], cache
        self.check_gradients(dx_bar, x.shape, dy, self.output_shape(x.shape), x.dtype)
        self.add_grad("weight_grad", k.dense_dw(dx_bar, dy))
        return k.dense(dx_bar, self.weight), None


# Activations keep y.


class ReLU(Layer):
    """y = max(x, 0)."""

    def forward(self, x, train=True):
        y = self.kernels[type(x)].relu(x)
        return y, y

    def backward(self, dy, cache, params=True, need_dx=True):
        self.check_gradient(dy, cache.shape, cache.dtype)
        return self.kernels[type(dy)].relu_backward(dy, cache) if need_dx else None

    def double_backward(self, dx_bar, dy, cache):
        self.check_gradients(dx_bar, cache.shape, dy, cache.shape, cache.dtype)
        return self.kernels[type(dy)].relu_backward(dx_bar, cache), None


class LeakyReLU(Layer):
    """y = x where x > 0, slope x elsewhere (Maas et al. 2013).  0 <= slope < 1."""

    def __init__(self, slope=0.01):
        super().__init__()
        check_setting(self, "slope", slope, 0, 1)
        self.slope = float(slope)

    def forward(self, x, train=True):
        y = self.kernels[type(x)].leaky_relu(x, self.slope)
        return y, y

    def backward(self, dy, cache, params=True, need_dx=True):
        self.check_gradient(dy, cache.shape, cache.dtype)
        k = self.kernels[type(dy)]
        return k.leaky_relu_backward(dy, cache, self.slope) if need_dx else None

    def double_backward(self, dx_bar, dy, cache):
        self.check_gradients(dx_bar, cache.shape, dy, cache.shape, cache.dtype)
        return self.kernels[type(dy)].leaky_relu_backward(dx_bar, cache, self.slope), None

    def fused_with(self, following, kernels):
        if (type(self), type(following)) == (LeakyReLU, Dropout) and hasattr(kernels, "gate"):
            return _Gate(self, following), Dropout(0.0)
        return None


class Sigmoid(Layer):
    """y = 1 / (1 + exp(-x))."""

    def forward(self, x, train=True):
        y = self.kernels[type(x)].sigmoid(x)
        return y, y

    def backward(self, dy, cache, params=True, need_dx=True):
        self.check_gradient(dy, cache.shape, cache.dtype)
        return self.kernels[type(dy)].sigmoid_backward(dy, cache) if need_dx else None

    def double_backward(self, dx_bar, dy, cache):
        self.check_gradients(dx_bar, cache.shape, dy, cache.shape, cache.dtype)
        return self.kernels[type(dy)].sigmoid_double_backward(dx_bar, dy, cache)


class Tanh(Layer):
    """y = tanh(x)."""

    def forward(self, x, train=True):
        y = self.kernels[type(x)].tanh(x)
        return y, y

    def backward(self, dy, cache, params=True, need_dx=True):
        self.check_gradient(dy, cache.shape, cache.dtype)
        return self.kernels[type(dy)].tanh_backward(dy, cache) if need_dx else None

    def double_backward(self, dx_bar, dy, cache):
        self.check_gradients(dx_bar, cache.shape, dy, cache.shape, cache.dtype)
        return self.kernels[type(dy)].tanh_double_backward(dx_bar, dy, cache)


class Drawing(Layer):
    """A layer that draws random numbers in training mode: others in every pass.

    Those of a pass are a function of (seed, the layer's place, training step, number of the pass
    within that step): `begin_step` sets the step and restarts the count, so a resumed run draws
    the same ones.  Passes in evaluation mode have a count of their own: drawing pictures changes
    no training.
    """

    def __init__(self):
        super().__init__()
        self.begin_step(0)

    def begin_step(self, step):
        self.step, self.calls = step, {True: 0, False: 0}  # in training, in evaluation

    def next_address(self, x, train):
        """The address of the numbers of a pass."""
        call, share = self.calls[train], processes.here.share
        self.calls[train] += 1
        if share is not None and len(x) % share[0]:
            raise ValueError(
                f"{self!r} ({self.where}) got {len(x)} samples in a step where each process has "
                f"{share[0]} of a batch: pass others within processes.by_itself()"
            )
        where = self.where if train else f"{self.where}/evaluation"
        return dict(seed=self.seed, where=where, step=self.step, call=call)


class Dropout(Drawing):
    """Inverted dropout: kept elements are divided by the share kept (Srivastava 2014).

    rate: the probability to *drop* an element, in [0, 1), taken to 16 bits.
    always: keep dropping in evaluation mode too (samples drawn with dropout on).
    """

    def __init__(self, rate, *, always=False):
        super().__init__()
        check_setting(self, "rate", rate, 0, 1 - 2**-16)
        self.rate, self.always = float(rate), always
        self.keep = random.kept_share(1 - self.rate)

    def next_address(self, x, train):
        """The address of the next mask; None where nothing is dropped."""
        if not (train or self.always) or self.rate == 0:
            return None
        return dict(super().next_address(x, train), share=processes.here.share)

    def forward(self, x, train=True):
        address, y, mask = self.next_address(x, train), x, None
        if address is not None:
            y, mask = self.kernels[type(x)].dropout(x, self.keep, address)
        return y, (mask, x.shape, x.dtype)

    def backward(self, dy, cache, params=True, need_dx=True):
        mask, shape, dtype = cache
        self.check_gradient(dy, shape, dtype)
        if mask is None or not need_dx:
            return dy if need_dx else None
        return self.kernels[type(dy)].dropout_backward(dy, mask, self.keep)

    def double_backward(self, dx_bar, dy, cache):
        _, shape, dtype = cache
        self.check_gradients(dx_bar, shape, dy, shape, dtype)
        return self.backward(dx_bar, cache), None


class _Gate(Layer):
    """A LeakyReLU and the Dropout behind it, where the kernels do both in one pass.

    It keeps the factor f of each element, which all its ways up and down multiply by.
    """

    def __init__(self, leaky, dropout):
        super().__init__()
        self.leaky, self.dropout = leaky, dropout
        self.kernels = leaky.kernels

    def forward(self, x, train=True):
        leaky, dropout = self.leaky, self.dropout
        k = self.kernels[type(x)]
        return k.gate(x, leaky.slope, dropout.keep, dropout.next_address(x, train))

    def backward(self, dy, cache, params=True, need_dx=True):
        self.check_gradient(dy, cache.shape, cache.dtype)
        return self.kernels[type(dy)].gate_backward(dy, cache) if need_dx else None

    def double_backward(self, dx_bar, dy, cache):
        self.check_gradients(dx_bar, cache.shape, dy, cache.shape, cache.dtype)
        return self.kernels[type(dy)].gate_backward(dx_bar, cache), None


# Normalisation keeps x and its statistics.


class Normalization(Layer):
    """What BatchNorm and LayerNorm share: y = gamma h + beta around a normalising map.

    A subclass says along which axes of x its `groups` lie, along which one element of gamma and
    beta is `shared`, how these are shaped to broadcast against x (`along`), and what takes means
    `across` processes, where a group has its elements on all of them.
    """

    across = staticmethod(alone)

    def backward(self, dy, cache, params=True, need_dx=True):
        k, (x, mean, scale, fixed) = self.kernels[type(dy)], cache
        self.check_gradient(dy, x.shape, x.dtype)
        gamma, shared = self.along(self.gamma, x), self.shared(x)
        if fixed:
            grads = k.fixed_normalize_backward(dy, x, mean, scale, gamma, shared)
        else:
            grads = k.normalize_backward(
                dy, x, mean, scale, gamma, self.groups(x), shared, self.across
            )
        return self.wanted(grads, params, need_dx)

    def wanted(self, grads, params, need_dx):
        """Of grads (dx, dgamma, dbeta) what `backward` is asked for."""
        dx, dgamma, dbeta = grads
        if params:
            self.add_grad("gamma_grad", dgamma)
            self.add_grad("beta_grad", dbeta)
        return dx if need_dx else None

    def double_backward(self, dx_bar, dy, cache):
        k, (x, mean, scale, fixed) = self.kernels[type(dy)], cache
        self.check_gradients(dx_bar, x.shape, dy, x.shape, x.dtype)
        gamma, shared, x_bar = self.along(self.gamma, x), self.shared(x), None
        if fixed:
            dy_bar, dgamma = k.fixed_normalize_double_backward(dx_bar, dy, scale, gamma, shared)
        else:
            dy_bar, x_bar, dgamma = k.normalize_double_backward(
                dx_bar, dy, x, mean, scale, gamma, self.groups(x), shared, self.across
            )
        self.add_grad("gamma_grad", dgamma)
        return dy_bar, x_bar


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
        if axis not in (-3, -2, -1, 1, 2, 3):
            raise ValueError(f"BatchNorm axis {axis!r} is none of an image's, 1 to 3 or -3 to -1")
        self.features, self.axis = self.size("features", features), int(axis)
        self.momentum, self.eps = float(momentum), float(eps)
        check_setting(self, "momentum", self.momentum, 0, 1)
        check_setting(self, "eps", self.eps, 0, math.inf)
        self.declare("gamma", (features,), init.Constant(1.0))
        self.declare("beta", (features,), init.Constant(0.0))
        self.declare_buffer("moving_mean", (features,), init.Constant(0.0))
        self.declare_buffer("moving_variance", (features,), init.Constant(1.0))

    def groups(self, x):
        return tuple(axis for axis in range(x.ndim) if axis != self.axis % x.ndim)

    shared = groups

    @property
    def across(self):
        return processes.here.mean_of_moments

    def along(self, tensor, x):
        shape = [1] * x.ndim
        shape[self.axis] = self.features
        return tensor.reshape(shape)

    def forward(self, x, train=True):
        k, (mean, scale) = self.kernels[type(x)], self.statistics(x, train)
        gamma, beta = self.along(self.gamma, x), self.along(self.beta, x)
        return k.normalize(x, mean, scale, gamma, beta), (x, mean, scale, not train)

    def statistics(self, x, train):
        """(mean, scale) of the batch, which the moving ones follow; or the moving ones'."""
        k = self.kernels[type(x)]
        self.check_input(x, self.features, self.axis)
        if train:
            if not x.size:
                raise ValueError(f"{self!r} ({self.where}): an empty batch {x.shape} has no mean")
            moving = self.moving_mean, self.moving_variance
            return k.batch_statistics(
                x, self.groups(x), self.eps, *moving, self.momentum, self.across
            )
        mean, variance = self.moving_mean, self.moving_variance
        return self.along(mean, x), k.inverse_deviation(self.along(variance, x), self.eps)

    def fused_with(self, following, kernels):
        pair = type(self) is BatchNorm and type(following) in (ReLU, LeakyReLU)
        if pair and self.axis == -1 and hasattr(kernels, "normalize_leaky"):
            return _NormLeaky(self, following), Dropout(0.0)
        return None


class _NormLeaky(Layer):
    """A BatchNorm and the (leaky) ReLU behind it, where the kernels do both in one pass.

    What lies between them is not kept: its sign can be had from x.
    """

    def __init__(self, norm, leaky):
        super().__init__()
        self.norm, self.leaky = norm, leaky
        self.slope = getattr(leaky, "slope", 0.0)
        self.kernels = norm.kernels

    def forward(self, x, train=True):
        norm, k = self.norm, self.kernels[type(x)]
        mean, scale = norm.statistics(x, train)
        y = k.normalize_leaky(x, mean, scale, norm.gamma, norm.beta, self.slope)
        return y, (x, mean, scale, not train)

    def backward(self, dy, cache, params=True, need_dx=True):
        norm, k, (x, mean, scale, fixed) = self.norm, self.kernels[type(dy)], cache
        norm.check_gradient(dy, x.shape, x.dtype)
        if fixed:
            return norm.backward(self._between(dy, cache)[1], cache, params, need_dx)
        grads = k.normalize_leaky_backward(
            dy, x, mean, scale, norm.gamma, norm.beta, self.slope, norm.across
        )
        return norm.wanted(grads, params, need_dx)

    def double_backward(self, dx_bar, dy, cache):
        h, dh = self._between(dy, cache)
        dh_bar, x_bar = self.norm.double_backward(dx_bar, dh, cache)
        return self.leaky.backward(dh_bar, h), x_bar

    def _between(self, dy, cache):
        """(h, dh): what the BatchNorm gave the rectifier, and its gradient."""
        x, mean, scale, _ = cache
        k, norm = self.kernels[type(x)], self.norm
        h = k.normalize(x, mean, scale, norm.gamma, norm.beta)
        return h, self.leaky.backward(dy, h)  # a rectifier's output has the sign of its input


class LayerNorm(Normalization):
    """Layer normalisation (Ba et al. 2016), one mean and variance a sample.

    shape: the trailing axes to normalise over, an int or a tuple; gamma and beta
    have this shape.  Training and evaluation are the same.
    """

    def __init__(self, shape, *, eps=1e-5):
        super().__init__()
        self.shape = self.sizes("shape", shape)
        self.eps = float(eps)
        check_setting(self, "eps", self.eps, 0, math.inf)
        self.declare("gamma", self.shape, init.Constant(1.0))
        self.declare("beta", self.shape, init.Constant(0.0))

    def groups(self, x):
        return tuple(range(x.ndim - len(self.shape), x.ndim))

    def shared(self, x):
        return tuple(range(x.ndim - len(self.shape)))

    def along(self, tensor, x):
        return tensor

    def forward(self, x, train=True):
        k = self.kernels[type(x)]
        for axis, size in enumerate(reversed(self.shape), start=1):
            self.check_input(x, size, -axis)
        mean, scale = k.statistics(x, self.groups(x), self.eps)
        return k.normalize(x, mean, scale, self.gamma, self.beta), (x, mean, scale, False)


# Convolutions keep x.  With conv(x, w), its adjoint in x, conv_dx(dy, w), and its adjoint in w,
# conv_dw(x, dy), every pass of both layers is one of the three:
#
#                      Conv2d              ConvTranspose2d
#     y                conv(x, w)          conv_dx(x, w)
#     dx               conv_dx(dy, w)      conv(dy, w)
#     dw               conv_dw(x, dy)      conv_dw(dy, x)
#
# The maps are linear in each argument, so the second order is the same three again.  Two that are
# wanted together are taken as a pair, which does once what they have in common.


class Convolution(Layer):
    """What Conv2d and ConvTranspose2d share: the settings and the bias.

    inputs, outputs: channels.  kernel, stride: an int or a pair (vertical, horizontal).
    padding: "same" (TensorFlow's), "valid", an int, a pair, or ((top, bottom),
    (left, right)).  use_bias: False leaves the bias (outputs,) out.

    Raises ValueError for sizes that make no convolution, at once or when the size of the
    images is known.
    """

    def __init__(
        self,
        inputs,
        outputs,
        kernel,
        *,
        stride=1,
        padding="same",
        use_bias=True,
        weight_init=init.GlorotUniform(),
        bias_init=init.Constant(0.0),
    ):
        super().__init__()
        self.inputs, self.outputs = self.size("inputs", inputs), self.size("outputs", outputs)
        self.kernel, self.stride, self.padding, self.use_bias = kernel, stride, padding, use_bias
        self.weight_init, self.bias_init = weight_init, bias_init
        taps, _, _ = settings(kernel, stride, padding)
        self.declare("weight", (*taps, *self.weight_channels()), weight_init)
        if use_bias:
            self.declare("bias", (outputs,), bias_init)

    def weight_channels(self):
        """The last two axes of the weights: channels the conv reads, channels it makes."""
        raise NotImplementedError(self._missing("weight_channels"))

    def check_images(self, x):
        """Raise ValueError/TypeError unless x is (N, H, W, inputs) of our dtype."""
        self.check_input(x, self.inputs)
        if x.ndim != 4:
            raise ValueError(f"{self!r} ({self.where}) got {x.shape}, which is not (N, H, W, C)")

    def add_bias(self, k, y):
        return k.add_bias(y, self.bias) if self.use_bias else y

    def add_grads(self, k, dw, dy):
        self.add_grad("weight_grad", dw)
        if self.use_bias:
            self.add_grad("bias_grad", k.sum_rows(dy))


class Conv2d(Convolution):
    """y[n, o, p, k] = sum over i, j, c of x[n, o s - top + i, p s - left + j, c] w[i, j, c, k].

    x (N, H, W, inputs) -> y (N, H', W', outputs); weight (kh, kw, inputs, outputs).
    """

    def weight_channels(self):
        return self.inputs, self.outputs

    def geometry(self, x):
        """The sizes of the conv over images x."""
        return geometry(x.shape[1:3], self.kernel, self.stride, self.padding)

    def output_shape(self, input_shape):
        size = tuple(input_shape[:2])
        return (*geometry(size, self.kernel, self.stride, self.padding).output, self.outputs)

    def forward(self, x, train=True):
        k = self.kernels[type(x)]
        self.check_images(x)
        return self.add_bias(k, k.conv(x, self.weight, self.geometry(x))), x

    def backward(self, dy, cache, params=True, need_dx=True):
        k, x, w, g, dx = self.kernels[type(dy)], cache, self.weight, self.geometry(cache), None
        self.check_gradient(dy, (len(x), *g.output, self.outputs), x.dtype)
        if not params:
            return k.conv_dx(dy, w, g) if need_dx else None
        if need_dx:
            dx, dw = k.conv_dx_dw(x, dy, w, g)
        else:
            dw = k.conv_dw(x, dy, g)
        self.add_grads(k, dw, dy)
        return dx

    def double_backward(self, dx_bar, dy, cache):
        k, x, g = self.kernels[type(dy)], cache, self.geometry(cache)
        self.check_gradients(dx_bar, x.shape, dy, (len(x), *g.output, self.outputs), x.dtype)
        dy_bar, dw = k.conv_y_dw(dx_bar, dy, self.weight, g)
        self.add_grad("weight_grad", dw)
        return dy_bar, None


class ConvTranspose2d(Convolution):
    """The adjoint of the Conv2d with this kernel, stride and padding: it makes images larger.

    x (N, H, W, inputs) -> y (N, H', W', outputs), H' = H stride for "same", else
    (H - 1) stride + kernel - padding.  The weights are those of that conv, which reads
    our outputs and makes our inputs: (kh, kw, outputs, inputs).
    """

    def weight_channels(self):
        return self.outputs, self.inputs

    def geometry(self, x):
        """The sizes of the conv whose output is our input x."""
        return transposed_geometry(x.shape[1:3], self.kernel, self.stride, self.padding)

    def output_shape(self, input_shape):
        size = tuple(input_shape[:2])
        made = transposed_geometry(size, self.kernel, self.stride, self.padding).size
        return (*made, self.outputs)

    def forward(self, x, train=True):
        k = self.kernels[type(x)]
        self.check_images(x)
        return self.add_bias(k, k.conv_dx(x, self.weight, self.geometry(x))), x

    def backward(self, dy, cache, params=True, need_dx=True):
        # The adjoint's input is our dy, its output our x.
        k, x, w, g, dx = self.kernels[type(dy)], cache, self.weight, self.geometry(cache), None
        self.check_gradient(dy, (len(x), *g.size, self.outputs), x.dtype)
        if not params:
            return k.conv(dy, w, g) if need_dx else None
        if need_dx:
            dx, dw = k.conv_y_dw(dy, x, w, g)
        else:
            dw = k.conv_dw(dy, x, g)
        self.add_grads(k, dw, dy)
        return dx

    def double_backward(self, dx_bar, dy, cache):
        k, x, g = self.kernels[type(dy)], cache, self.geometry(cache)
        self.check_gradients(dx_bar, x.shape, dy, (len(x), *g.size, self.outputs), x.dtype)
        dy_bar, dw = k.conv_dx_dw(dy, dx_bar, self.weight, g)
        self.add_grad("weight_grad", dw)
        return dy_bar, None


# Spectral normalisation is a layer around one of the above, which it hands other weights.


class SpectralNorm(Layer):
    """A layer whose weights are divided by their largest singular value (Miyato et al. 2018).

    layer: a Dense, Conv2d or ConvTranspose2d, or one of your own with a tensor `weight` (..., O),
    not built: its tensors become ours.  As a matrix with O columns the weight then has norm 1, so
    that a Dense layer stretches no difference between two inputs.

    The singular value is followed by one power iteration a forward pass, from the unit vector `u`
    (O,), a buffer, in which training keeps where it has got to; as the weights change little from
    step to step, so does u.  In the way back u and v are constants, as in the paper: the gradient
    is the weight's exact one as soon as u has settled.

    Raises TypeError for a layer without weights, ValueError for one that is built or has buffers.
    """

    def __init__(self, layer):
        super().__init__()
        if "weight" not in getattr(layer, "param_specs", ()):
            raise TypeError(f"SpectralNorm: {layer!r} has no weight to normalise")
        if layer.params is not None or layer.buffer_specs:
            raise ValueError(f"SpectralNorm: {layer!r} is built already, or has buffers of its own")
        self.layer = layer.unbuilt()
        for name, (shape, initializer) in layer.param_specs.items():
            self.declare(name, shape, initializer)
        self.declare_buffer("u", self.param_specs["weight"][0][-1:], init.Normal(1.0))

    def output_shape(self, input_shape):
        return self.layer.output_shape(input_shape)

    def forward(self, x, train=True):
        k = self.kernels[type(x)]
        u, v, sigma = k.power_iteration(self.weight, self.u)
        if train:
            self.u = u
        weight = self.weight / sigma
        y, cache = self._layer_with(weight).forward(x, train)
        return y, (cache, weight, u, v, sigma)

    def backward(self, dy, cache, params=True, need_dx=True):
        inner, weight, *_ = cache
        layer = self._layer_with(weight)
        dx = layer.backward(dy, inner, params, need_dx)
        if params:
            self._add_grads_of(layer, cache)
        return dx

    def double_backward(self, dx_bar, dy, cache):
        # R depends on the weight through the normalised one alone: the same way back.
        inner, weight, *_ = cache
        layer = self._layer_with(weight)
        result = layer.double_backward(dx_bar, dy, inner)
        self._add_grads_of(layer, cache)
        return result

    def normalized(self):
        """The layer within, with the weight that it has in evaluation: as good without this one."""
        *_, sigma = self.kernels[type(self.params)].power_iteration(self.weight, self.u)
        return self._layer_with(self.weight / sigma)

    def _layer_with(self, weight):
        """The layer with this weight, our other parameters, and gradients of its own, zero."""
        layer, params = self.layer.unbuilt(), self.params.copy()
        layer.place(self.seed, self.where)
        layer.use_kernels(self.kernels)
        layer.bind(params, self.xp.empty_like(params), self.buffers[:0])
        layer.weight = weight
        layer.zero_grad()
        return layer

    def _add_grads_of(self, layer, cache):
        k = self.kernels[type(self.params)]
        for name, _, grad in layer.named_tensors():
            if name == "weight":
                grad = k.spectral_normalize_backward(grad, *cache[1:])
            self.add_grad(f"{name}_grad", grad)


# Shapes keep shapes.


class UpSample2d(Layer):
    """Nearest-neighbour up-sampling: (N, H, W, C) -> (N, factor H, factor W, C)."""

    def __init__(self, factor=2):
        super().__init__()
        self.factor = self.size("factor", factor)

    def output_shape(self, input_shape):
        height, width, channels = input_shape
        return height * self.factor, width * self.factor, channels

    def forward(self, x, train=True):
        return self.kernels[type(x)].upsample(x, self.factor), (x.shape, x.dtype)

    def backward(self, dy, cache, params=True, need_dx=True):
        (n, *sample), dtype = cache
        self.check_gradient(dy, (n, *self.output_shape(sample)), dtype)
        return self.kernels[type(dy)].upsample_backward(dy, self.factor) if need_dx else None

    def double_backward(self, dx_bar, dy, cache):
        (n, *sample), dtype = cache
        self.check_gradients(dx_bar, (n, *sample), dy, (n, *self.output_shape(sample)), dtype)
        return self.kernels[type(dy)].upsample(dx_bar, self.factor), None


class RandomShift(Drawing):
    """Images as D is to see them in training, first of its layers: each moved aside at random.

    Differentiable augmentation (Zhao et al. 2020, arXiv:2006.10738), of its kinds the one that
    moves.  Real and generated images pass through it alike, each with a shift of its own, so D
    cannot tell them apart by that, nor by what stands at one pixel: over a few thousand pictures it
    wins later or never.  G learns through it.  In evaluation mode nothing is moved.

    share: up to which share of the height and of the width, in whole pixels, in [0, 1).  What
    comes in from outside is 0.  Planes behind the colours go with them.
    Raises ValueError for a share out of range, and in forward for what are no images.
    """

    def __init__(self, share=0.125):
        super().__init__()
        check_setting(self, "share", share, 0, 1)
        self.share = float(share)

    def forward(self, x, train=True):
        k, y, steps = self.kernels[type(x)], x, None
        if x.ndim != 4:
            raise ValueError(
                f"{self!r} ({self.where}) got an input of shape {x.shape}: expected images "
                "(N, H, W, C)"
            )
        if train:
            address = self.next_address(x, train) | dict(dtype="float64", xp=get_array_module(x))
            u = random.of_batch(random.uniform, (len(x), 2), **address)
            steps = k.steps_aside(x.shape, u, self.share)
            y = k.move(x, steps)
        return y, (steps, x.shape, x.dtype)

    def backward(self, dy, cache, params=True, need_dx=True):
        steps, shape, dtype = cache
        self.check_gradient(dy, shape, dtype)
        if steps is None or not need_dx:
            return dy if need_dx else None
        return self.kernels[type(dy)].move(dy, -steps)

    def double_backward(self, dx_bar, dy, cache):
        steps, shape, dtype = cache
        self.check_gradients(dx_bar, shape, dy, shape, dtype)
        return dx_bar if steps is None else self.kernels[type(dy)].move(dx_bar, steps), None


class Flatten(Layer):
    """(N, ...) -> (N, F): every sample becomes one row."""

    def output_shape(self, input_shape):
        return (math.prod(input_shape),)

    def forward(self, x, train=True):
        self.kernels[type(x)]  # refuses what is no array
        return x.reshape(len(x), *self.output_shape(x.shape[1:])), (x.shape, x.dtype)

    def backward(self, dy, cache, params=True, need_dx=True):
        (n, *sample), dtype = cache
        self.check_gradient(dy, (n, *self.output_shape(sample)), dtype)
        return dy.reshape(n, *sample) if need_dx else None

    def double_backward(self, dx_bar, dy, cache):
        (n, *sample), dtype = cache
        self.check_gradients(dx_bar, (n, *sample), dy, (n, *self.output_shape(sample)), dtype)
        return dx_bar.reshape(dy.shape), None


class Reshape(Flatten):
    """(N, ...) -> (N, *shape); shape: an int or a tuple.

    Raises ValueError in forward if a sample does not have as many elements.
    """

    def __init__(self, shape):
        super().__init__()
        self.shape = self.sizes("shape", shape)

    def output_shape(self, input_shape):
        if math.prod(input_shape) != math.prod(self.shape):
            raise ValueError(f"{self!r} ({self.where}) got samples of shape {tuple(input_shape)}")
        return self.shape
