"""The layer contract: forward, backward and double_backward as plain methods.

    y, cache = layer.forward(x, train=True)
    dx = layer.backward(dy, cache)                  # adds to the parameter gradients
    dx = layer.backward(dy, cache, params=False)    # frozen: only dx
    dy_bar, x_bar = layer.double_backward(dx_bar, dy, cache)

The cache is a value: forward returns it, backward reads it, nobody changes it,
so one layer can have several passes pending.  A layer's parameters are one flat
vector `params`, its gradients another, its moving averages a third (`buffers`);
the tensors `layer.weight`, `layer.weight_grad`, ... are views of them.
"""

import inspect
import math

import numpy as np

from .. import random
from ..arrays import float_type, get_array_module, to_device


class Layer:
    """Base of all layers.

    A subclass declares its tensors in `__init__` and keeps every constructor
    argument as an attribute of the same name: that is how `config()` knows them,
    and how a checkpoint rebuilds the layer.
    """

    def __init__(self):
        self.param_specs = {}  # name -> (shape, initialiser)
        self.buffer_specs = {}
        self.params = self.grads = self.buffers = None
        self.seed, self.where = 0, type(self).__name__.lower()

    # The three passes.

    def forward(self, x, train=True):
        """(y, cache).  `train` selects batch statistics and dropout masks."""
        raise NotImplementedError

    def backward(self, dy, cache, params=True, inputs=True):
        """dx, the loss gradient at the input, given dy, the one at the output.

        params: True adds the parameter gradients to `grads`; "set" puts them there, which
        spares a zero_grad() before and two passes over memory; False leaves them alone.
        inputs: False where nobody needs dx; it is then not computed and None.
        """
        raise NotImplementedError

    def double_backward(self, dx_bar, dy, cache):
        """The derivative of `backward`: (dy_bar, x_bar).

        Let R be a scalar function of dx = backward(dy, cache), and dx_bar =
        dR/d(dx).  Returns dR/d(dy) and dR/dx (None where it is exactly zero), and
        adds dR/d(parameters) to `grads`.
        """
        raise NotImplementedError

    def output_shape(self, input_shape):
        """The shape of one output sample, given that of one input sample."""
        return input_shape

    # Tensors.

    def declare(self, name, shape, initializer):
        """A trainable tensor: `self.<name>` and `self.<name>_grad` once built."""
        self.param_specs[name] = (self._check_shape(name, shape), initializer)

    def declare_buffer(self, name, shape, initializer):
        """A tensor that is saved with the layer but not trained: `self.<name>`."""
        self.buffer_specs[name] = (self._check_shape(name, shape), initializer)

    def _check_shape(self, name, shape):
        if not all(isinstance(size, int) and size > 0 for size in shape):
            raise ValueError(
                f"{type(self).__name__}: {name} would have shape {tuple(shape)}; "
                "sizes are integers of at least 1"
            )
        return tuple(shape)

    @property
    def param_count(self):
        """Number of trainable parameters."""
        return sum(math.prod(shape) for shape, _ in self.param_specs.values())

    @property
    def buffer_count(self):
        """Number of moving statistics: saved, not trained."""
        return sum(math.prod(shape) for shape, _ in self.buffer_specs.values())

    def build(self, *, seed=0, dtype="float32"):
        """Allocate and initialise the tensors of a layer used on its own; returns it.

        A Sequential does this for its layers.  dtype: "float32" or "float64".
        """
        self.allocate(dtype)
        self.place(seed, self.where)
        self.initialize()
        return self

    def allocate(self, dtype):
        """Fresh zero tensors of `dtype` ("float32" or "float64") on the CPU."""
        dtype = float_type(dtype)
        params, grads = (np.zeros(self.param_count, dtype) for _ in range(2))
        self.bind(params, grads, np.zeros(self.buffer_count, dtype))

    def bind(self, params, grads, buffers):
        """Take these flat vectors as storage; the named tensors become their views."""
        self.params, self.grads, self.buffers = params, grads, buffers
        for name, view, grad in _views(self.param_specs, params, grads):
            setattr(self, name, view)
            setattr(self, f"{name}_grad", grad)
        for name, view in _views(self.buffer_specs, buffers):
            setattr(self, name, view)

    def place(self, seed, where):
        """Set the layer's address: all its random numbers are drawn under it."""
        self.seed, self.where = seed, where

    def initialize(self):
        """Draw the initial values of all tensors under the layer's address."""
        for name, (shape, initializer) in (self.param_specs | self.buffer_specs).items():
            tensor = getattr(self, name)
            values = initializer(shape, random.generator(self.seed, f"{self.where}/{name}"))
            tensor[...] = get_array_module(tensor).asarray(values.astype(self.dtype))

    def named_tensors(self):
        """Yields (name, parameter, gradient) of every parameter tensor."""
        for name in self.param_specs:
            yield name, getattr(self, name), getattr(self, f"{name}_grad")

    @property
    def dtype(self):
        """The dtype of the parameters, or None before `build`."""
        return None if self.params is None else self.params.dtype

    def to(self, device):
        """Move the tensors to "cpu" or "gpu" in place; returns the layer.

        Raises UserError where there is no such device.
        """
        self.bind(*(to_device(flat, device) for flat in (self.params, self.grads, self.buffers)))
        return self

    def zero_grad(self):
        """Set the parameter gradients to zero."""
        self.grads.fill(0)

    def put_grad(self, grad, value, params):
        """Add a value to a parameter gradient, or set it: what `params` of backward says."""
        if params == "set":
            grad[...] = value
        else:
            grad += value

    def begin_step(self, step):
        """Tell layers that draw random numbers which training step this is."""

    # Description and copies.

    def config(self):
        """The constructor's arguments as a dict."""
        signature = inspect.signature(type(self).__init__)
        return {name: getattr(self, name) for name in list(signature.parameters)[1:]}

    def unbuilt(self):
        """A new layer with the same arguments."""
        return type(self)(**self.config())

    def clone(self, dtype=None):
        """An independent copy with the same values on the same device, or unbuilt likewise.

        dtype: "float32" or "float64"; the layer's own where None.
        """
        copy = self.unbuilt()
        copy.place(self.seed, self.where)
        if self.params is None:
            return copy
        dtype = float_type(dtype or self.dtype)
        copy.bind(*(flat.astype(dtype) for flat in (self.params, self.grads, self.buffers)))
        return copy

    def __repr__(self):
        """The call that makes the layer, without arguments left at their defaults."""
        parameters = inspect.signature(type(self).__init__).parameters
        words = []
        for name, value in self.config().items():
            parameter = parameters[name]
            if parameter.kind is parameter.KEYWORD_ONLY:
                if repr(value) != repr(parameter.default):
                    words.append(f"{name}={value!r}")
            elif value is not parameter.default:
                words.append(repr(value))
        return f"{type(self).__name__}({', '.join(words)})"

    def __getattr__(self, name):
        # Reached only for a missing attribute: name the mistake behind the usual one.
        specs = self.__dict__.get("param_specs", {}) | self.__dict__.get("buffer_specs", {})
        if name.removesuffix("_grad") in specs:
            raise AttributeError(
                f"{type(self).__name__} has no {name!r} yet: call build(), "
                "or put the layer into a Sequential"
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    # Checks that every layer with tensors makes of its input.

    def check_input(self, x, features, axis=-1):
        """Raise ValueError/TypeError unless x has `features` on `axis` and our dtype."""
        if x.ndim < 2 or x.shape[axis] != features:
            raise ValueError(
                f"{self!r} ({self.where}) got an input of shape {tuple(x.shape)}: "
                f"axis {axis} must have {features} elements"
            )
        if x.dtype != self.dtype:
            raise TypeError(
                f"{self!r} ({self.where}) holds {self.dtype}, its input is {x.dtype}: "
                f"convert the input, or build the network with dtype={str(x.dtype)!r}"
            )


def _views(specs, *flats):
    """Yields (name, view of each flat vector) for consecutive tensors of `specs`."""
    start = 0
    for name, (shape, _) in specs.items():
        stop = start + math.prod(shape)
        yield name, *(flat[start:stop].reshape(shape) for flat in flats)
        start = stop
