"""Dense: a matrix product over the last axis."""

from .. import init
from ..arrays import get_array_module
from ..kernels import matmul, matmuls
from .base import Layer


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
        self.inputs, self.outputs, self.use_bias = inputs, outputs, use_bias
        self.weight_init, self.bias_init = weight_init, bias_init
        self.declare("weight", (inputs, outputs), weight_init)
        if use_bias:
            self.declare("bias", (outputs,), bias_init)

    def output_shape(self, input_shape):
        return (*input_shape[:-1], self.outputs)

    def forward(self, x, train=True):
        self.check_input(x, self.inputs)
        y = matmul(x, self.weight)
        if self.use_bias:
            y += self.bias
        return y, x

    def backward(self, dy, cache, params=True, inputs=True):
        x, w, dx, xp = cache, self.weight, None, get_array_module(dy)
        wanted = []
        if params:  # dW = x^T dy
            dw = self.weight_grad if params == "set" else xp.empty_like(w)
            wanted.append((rows(x).T, rows(dy), dw))
        if inputs:  # dx = dy W^T
            dx = xp.empty(x.shape, x.dtype)
            wanted.append((rows(dy), w.T, rows(dx)))
        matmuls(wanted)  # together: each core takes one
        if params is True:
            self.weight_grad += dw
        if params and self.use_bias:
            self.put_grad(self.bias_grad, rows(dy).sum(axis=0), params)
        return dx

    def double_backward(self, dx_bar, dy, cache):
        # dx = dy W^T is bilinear in dy and W, and does not contain x.
        self.weight_grad += matmul(rows(dx_bar).T, rows(dy))
        return matmul(dx_bar, self.weight), None


def rows(x):
    """x (..., F) as a matrix (n, F)."""
    return x.reshape(-1, x.shape[-1])
