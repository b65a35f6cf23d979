"""Conv2d and ConvTranspose2d: three bilinear maps, each the derivative of another.

With conv(x, w), its adjoint in x, conv_dx(dy, w), and its adjoint in w,
conv_dw(x, dy) (see `minigan.kernels`), every pass of both layers is one of the three:

                     Conv2d              ConvTranspose2d
    y                conv(x, w)          conv_dx(x, w)
    dx               conv_dx(dy, w)      conv(dy, w)
    dw               conv_dw(x, dy)      conv_dw(dy, x)

The maps are linear in each argument, so the second order is the same three again.  Two that are
wanted together are taken as a pair, which does once what they have in common.
"""

from .. import init
from ..arrays import on_gpu
from ..kernels import (
    conv, conv_dw, conv_dx, conv_dx_dw, conv_y_dw, geometry, transposed_geometry,
)  # fmt: skip
from ..kernels.cpu import features
from ..kernels.gpu import pointwise as gpu_pointwise
from .base import Layer
from .dense import rows


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
        self.inputs, self.outputs, self.kernel = inputs, outputs, kernel
        self.stride, self.padding, self.use_bias = stride, padding, use_bias
        self.weight_init, self.bias_init = weight_init, bias_init
        # A transposed conv from one pixel takes any kernel: this checks the settings.
        taps = transposed_geometry(1, kernel, stride, padding="valid").kernel
        self.declare("weight", (*taps, *self.weight_channels()), weight_init)
        if use_bias:
            self.declare("bias", (outputs,), bias_init)

    def weight_channels(self):
        """The last two axes of the weights: channels the conv reads, channels it makes."""
        raise NotImplementedError

    def add_bias(self, y):
        if self.use_bias and on_gpu(y):
            y += self.bias
        elif self.use_bias:
            features.add(y, self.bias)
        return y

    def put_grads(self, weight_grad, dy, params):
        """The gradients of weights and bias, given that of the weights and dy."""
        self.put_grad(self.weight_grad, weight_grad, params)
        if self.use_bias:
            total = gpu_pointwise.column_sum(rows(dy)) if on_gpu(dy) else features.total(dy)
            self.put_grad(self.bias_grad, total, params)


class Conv2d(Convolution):
    """y[n, o, p, k] = sum over i, j, c of x[n, o s - top + i, p s - left + j, c] w[i, j, c, k].

    x (N, H, W, inputs) -> y (N, H', W', outputs); weight (kh, kw, inputs, outputs).
    """

    def weight_channels(self):
        return self.inputs, self.outputs

    def geometry(self, size):
        """The sizes of the conv over images of `size` (H, W)."""
        return geometry(size, self.kernel, self.stride, self.padding)

    def output_shape(self, input_shape):
        return (*self.geometry(tuple(input_shape[:2])).output, self.outputs)

    def forward(self, x, train=True):
        self.check_input(x, self.inputs)
        return self.add_bias(conv(x, self.weight, self.geometry(x.shape[1:3]))), x

    def backward(self, dy, cache, params=True, inputs=True):
        x, w, g = cache, self.weight, self.geometry(cache.shape[1:3])
        if not params:
            return conv_dx(dy, w, g) if inputs else None
        dx, dw = conv_dx_dw(x, dy, w, g) if inputs else (None, conv_dw(x, dy, g))
        self.put_grads(dw, dy, params)
        return dx

    def double_backward(self, dx_bar, dy, cache):
        dy_bar, dw = conv_y_dw(dx_bar, dy, self.weight, self.geometry(cache.shape[1:3]))
        self.weight_grad += dw
        return dy_bar, None


class ConvTranspose2d(Convolution):
    """The adjoint of the Conv2d with this kernel, stride and padding: it makes images larger.

    x (N, H, W, inputs) -> y (N, H', W', outputs), H' = H stride for "same", else
    (H - 1) stride + kernel - padding.  The weights are those of that conv, which reads
    our outputs and makes our inputs: (kh, kw, outputs, inputs).
    """

    def weight_channels(self):
        return self.outputs, self.inputs

    def geometry(self, size):
        """The sizes of the conv whose output, our input, has `size` (H, W)."""
        return transposed_geometry(size, self.kernel, self.stride, self.padding)

    def output_shape(self, input_shape):
        return (*self.geometry(tuple(input_shape[:2])).size, self.outputs)

    def forward(self, x, train=True):
        self.check_input(x, self.inputs)
        return self.add_bias(conv_dx(x, self.weight, self.geometry(x.shape[1:3]))), x

    def backward(self, dy, cache, params=True, inputs=True):
        # The adjoint's input is our dy, its output our x.
        x, w, g = cache, self.weight, self.geometry(cache.shape[1:3])
        if not params:
            return conv(dy, w, g) if inputs else None
        dx, dw = conv_y_dw(dy, x, w, g) if inputs else (None, conv_dw(dy, x, g))
        self.put_grads(dw, dy, params)
        return dx

    def double_backward(self, dx_bar, dy, cache):
        dy_bar, dw = conv_dx_dw(dy, dx_bar, self.weight, self.geometry(cache.shape[1:3]))
        self.weight_grad += dw
        return dy_bar, None
