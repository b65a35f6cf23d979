"""Dense: a matrix product over the last axis."""

from .. import init
from ..kernels import matmul
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
        x = cache
        if params == "set":  # the product goes where it belongs, without a copy in between
            matmul(rows(x).T, rows(dy), out=self.weight_grad)
        elif params:
            self.weight_grad += matmul(rows(x).T, rows(dy))
        if params and self.use_bias:
            self.put_grad(self.bias_grad, rows(dy).sum(axis=0), params)
        return matmul(dy, self.weight.T) if inputs else None

    def double_backward(self, dx_bar, dy, cache):
        # dx = dy W^T is bilinear in dy and W, and does not contain x.
        self.weight_grad += matmul(rows(dx_bar).T, rows(dy))
        return matmul(dx_bar, self.weight), None


def rows(x):
    """x (..., F) as a matrix (n, F)."""
    return x.reshape(-1, x.shape[-1])
