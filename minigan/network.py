"""A layer, and a chain of layers that is itself a layer.

    y, cache = layer.forward(x, train=True)
    dx = layer.backward(dy, cache)                  # adds to the parameter gradients
    dx = layer.backward(dy, cache, params=False)    # frozen: only dx
    dy_bar, x_bar = layer.double_backward(dx_bar, dy, cache)

The cache is a value: forward returns it, backward reads it, nobody changes it, so one layer can
have several passes pending.  What a pass computes is a function of `kernels`; a layer says which,
and what it keeps.

A layer's parameters are one flat vector `params`, its gradients another, its moving averages a
third (`buffers`); the tensors `layer.weight`, `layer.weight_grad`, ... are views of them.  A
network hands its layers slices of its own three vectors, so an optimizer, a checkpoint, a move to
the GPU or a check for NaN is one array each.
"""

import inspect
import itertools
import math
import weakref

import numpy as np

from . import archive, random
from .arrays import float_type, get_array_module, to_device, to_host
from .kernels import choose


class Layer:
    """Base of all layers.

    A subclass declares its tensors in `__init__` and keeps every constructor
    argument as an attribute of the same name: that is how `config()` knows them,
    and how a checkpoint rebuilds the layer.
    """

    def __init__(self):
        self.param_specs, self.buffer_specs = {}, {}  # name -> (shape, initialiser)
        self._params = self._grads = self._buffers = None
        self._names = set()  # of the tensors declared: "weight", "weight_grad", ...
        self._tensors = {}  # name -> view, once built
        self._zero = set()  # names of gradients that count as zero, whatever they hold
        self._owner = None  # a weak reference to the network that the layer is part of
        self.dtype = None  # of the tensors, once built
        self.seed, self.where = 0, type(self).__name__.lower()
        self.kernels = choose()

    # The three passes.

    def forward(self, x, train=True):
        """(y, cache).  `train` selects batch statistics and dropout masks."""
        raise NotImplementedError(self._missing("forward"))

    def backward(self, dy, cache, params=True, need_dx=True):
        """dx, the loss gradient at the input, given dy, the one at the output.

        params: False leaves the parameter gradients alone.
        need_dx: False where nobody needs dx; it is then not computed and None.
        """
        raise NotImplementedError(self._missing("backward"))

    def double_backward(self, dx_bar, dy, cache):
        """The derivative of `backward`: (dy_bar, x_bar).

        Let R be a scalar function of dx = backward(dy, cache), and dx_bar =
        dR/d(dx).  Returns dR/d(dy) and dR/dx (None where it is exactly zero), and
        adds dR/d(parameters) to `grads`.
        """
        raise NotImplementedError(
            self._missing("double_backward") + ", which gradient penalties need; "
            "gradcheck.check_layer(..., second_order=False) goes without"
        )

    def _missing(self, name):
        return f"{type(self).__name__} has no {name}"

    def output_shape(self, input_shape):
        """The shape of one output sample, given that of one input sample."""
        return input_shape

    def fused_with(self, following, kernels):
        """Two passes to stand for this layer and the following one where the `kernels` do both at
        once, else None."""

    # Gradients: zero_grad() only says that they are zero; the next one is written over them.

    def zero_grad(self):
        """Set the parameter gradients to zero."""
        self._zero = {f"{name}_grad" for name in self.param_specs}

    def add_grad(self, name, value):
        """Add a value to the gradient `name`, as "weight_grad"."""
        grad = self._tensors[name]
        if name not in self._zero:
            grad += value
        elif value is not grad:
            grad[...] = value
        self._zero.discard(name)

    def place_for_grad(self, name):
        """The gradient's own memory where a value may be written over it, before `add_grad`."""
        return self._tensors[name] if name in self._zero else None

    def write_zeros(self):
        """Write the zeros that `zero_grad` has promised."""
        for name in self._zero:
            self._tensors[name].fill(0)
        self._zero = set()

    # Tensors.

    def declare(self, name, shape, initializer):
        """A trainable tensor: `self.<name>` and `self.<name>_grad` once built."""
        self._declare(self.param_specs, name, shape, initializer)

    def declare_buffer(self, name, shape, initializer):
        """A tensor that is saved with the layer but not trained: `self.<name>`."""
        self._declare(self.buffer_specs, name, shape, initializer)

    def _declare(self, specs, name, shape, initializer):
        if not callable(initializer):
            raise TypeError(
                f"{type(self).__name__}: {name} is initialised by {initializer!r}, which is not "
                "callable: give an initialiser of minigan.init, such as init.HeNormal()"
            )
        specs[name] = self.sizes(name, shape), initializer
        self._names |= {name} if specs is self.buffer_specs else {name, f"{name}_grad"}

    def sizes(self, name, values):
        """A size, or a tuple or list of them, as a tuple of Python ints, likewise."""
        values = values if isinstance(values, (tuple, list)) else (values,)
        return tuple(self.size(name, value) for value in values)

    def size(self, name, value):
        """A size as a Python int.  Raises ValueError unless it is an integer of at least 1."""
        if not isinstance(value, (int, np.integer)) or value < 1:
            raise ValueError(
                f"{type(self).__name__}: {name} has size {value!r}; "
                "sizes are integers of at least 1"
            )
        return int(value)

    @property
    def params(self):
        """The parameters, a flat vector, or None before `build`.  Assigning copies into it."""
        return self._params

    @params.setter
    def params(self, values):
        _copy_into(self._params, values, "params")

    @property
    def grads(self):
        """The gradients of the parameters, a flat vector; as `params`."""
        self.write_zeros()
        return self._grads

    @grads.setter
    def grads(self, values):
        _copy_into(self.grads, values, "grads")

    @property
    def buffers(self):
        """The moving averages, a flat vector; as `params`."""
        return self._buffers

    @buffers.setter
    def buffers(self, values):
        _copy_into(self._buffers, values, "buffers")

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
        self._params, self._grads, self._buffers = params, grads, buffers
        self.xp, self.dtype = get_array_module(params), params.dtype
        tensors = dict(_views(self.param_specs, params)) | dict(_views(self.buffer_specs, buffers))
        self.__dict__.update(tensors)
        gradients = {f"{name}_grad": grad for name, grad in _views(self.param_specs, grads)}
        self._tensors = tensors | gradients

    def place(self, seed, where):
        """Set the layer's address: all its random numbers are drawn under it."""
        self.seed, self.where = seed, where

    def initialize(self):
        """Draw the initial values of all tensors under the layer's address."""
        for name, (shape, initializer) in (self.param_specs | self.buffer_specs).items():
            tensor = self._tensors[name]
            values = initializer(shape, random.generator(self.seed, f"{self.where}/{name}"))
            tensor[...] = get_array_module(tensor).asarray(values.astype(self.dtype))

    def named_tensors(self):
        """Yields (name, parameter, gradient) of every parameter tensor."""
        self.write_zeros()
        for name in self.param_specs:
            yield name, self._tensors[name], self._tensors[f"{name}_grad"]

    def named_state(self):
        """Yields (name, tensor) of every tensor that is saved: parameters and moving averages."""
        for name in (*self.param_specs, *self.buffer_specs):
            yield name, self._tensors[name]

    def to(self, device):
        """Move the tensors to "cpu" or "gpu" in place; returns the layer.

        Raises UserError where there is no such device.
        """
        self.bind(*(to_device(flat, device) for flat in (self.params, self.grads, self.buffers)))
        return self

    def begin_step(self, step):
        """Tell layers that draw random numbers which training step this is."""

    def __setattr__(self, name, value):
        # A tensor stays the view that it is: its values are what one assigns.
        if name not in self.__dict__.get("_names", ()):
            return super().__setattr__(name, value)
        _copy_into(getattr(self, name), value, name)

    def __getattr__(self, name):
        # Reached only for what is no attribute: a gradient, or the usual mistake.
        if "_tensors" not in self.__dict__:
            raise AttributeError(
                f"{type(self).__name__} has no {name!r}: its __init__ must begin with "
                "super().__init__()"
            )
        if name in self._tensors:
            self.write_zeros()
            return self._tensors[name]
        if name in self._names:
            raise AttributeError(
                f"{type(self).__name__} has no {name!r} yet: call build(), "
                "or put the layer into a Sequential"
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    # Description and copies.

    def config(self):
        """The constructor's arguments as a dict."""
        names = list(inspect.signature(type(self).__init__).parameters)[1:]
        if missing := [name for name in names if not hasattr(self, name)]:
            raise AttributeError(
                f"{type(self).__name__} does not keep its argument {missing[0]!r} as an attribute "
                "of that name, from which its copies and checkpoints are made"
            )
        return {name: getattr(self, name) for name in names}

    def unbuilt(self):
        """A new layer with the same arguments."""
        return type(self)(**self.config())

    def clone(self, dtype=None):
        """An independent copy with the same values on the same device, or unbuilt likewise.

        dtype: "float32" or "float64"; the layer's own where None.
        """
        copy = self.unbuilt()
        copy.place(self.seed, self.where)
        copy.use_kernels(self.kernels)
        if self.params is None:
            return copy
        dtype = float_type(dtype or self.dtype)
        copy.bind(*(flat.astype(dtype) for flat in (self.params, self.grads, self.buffers)))
        return copy

    def use_kernels(self, kernels):
        """Compute with these `Kernels` from now on."""
        self.kernels = kernels

    def __getstate__(self):
        # For copy.deepcopy and pickle: views are made anew, or they would be arrays of their own.
        self.write_zeros()
        state = {name: value for name, value in vars(self).items() if name not in self._tensors}
        return state | {"_tensors": {}, "_owner": None, "xp": None}

    def __setstate__(self, state):
        self.__dict__.update(state)
        if self._params is not None:
            self.bind(self._params, self._grads, self._buffers)

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

    # Checks of what the passes are given.

    def check_input(self, x, features, axis=-1):
        """Raise ValueError/TypeError unless x has `features` on `axis` and our dtype."""
        fits = x.ndim > abs(axis) and x.shape[axis] == features
        if not fits or x.dtype != self.dtype:
            raise self._misfit(x, fits, features, axis)

    def _misfit(self, x, fits, features, axis):
        if not fits:
            return ValueError(
                f"{self!r} ({self.where}) got an input of shape {tuple(x.shape)}: "
                f"axis {axis}, which is not the batch's, must have {features} elements"
            )
        return self._wrong_dtype(x)

    def _wrong_dtype(self, x):
        advice = f", or build the network with dtype={str(x.dtype)!r}" * (x.dtype.kind == "f")
        return TypeError(
            f"{self!r} ({self.where}) holds {self.dtype}, its input is {x.dtype}: "
            f"convert the input{advice}"
        )

    def check_gradient(self, dy, shape, dtype, name="dy", of="output"):
        """Raise ValueError unless dy (dx_bar) has the shape and dtype of the output (input)."""
        if dy.shape != shape or dy.dtype != dtype:
            raise ValueError(
                f"{self!r} ({self.where}) got a {name} of {dy.dtype} {tuple(dy.shape)} for an {of} "
                f"of {dtype} {tuple(shape)}: each backward takes the cache of its own forward"
            )

    def check_gradients(self, dx_bar, x_shape, dy, y_shape, dtype):
        """The same of both that a double_backward takes."""
        self.check_gradient(dx_bar, x_shape, dtype, "dx_bar", "input")
        self.check_gradient(dy, y_shape, dtype)


def _views(specs, flat):
    """Yields (name, view of the flat vector) for consecutive tensors of `specs`."""
    start = 0
    for name, (shape, _) in specs.items():
        stop = start + math.prod(shape)
        yield name, flat[start:stop].reshape(shape)
        start = stop


def _copy_into(array, values, name):
    if array is None:
        raise AttributeError(f"there is no {name} yet: call build(), or put it into a Sequential")
    if values is not array:  # as after `layer.weight += 1`
        values = get_array_module(array).asarray(values)
        if values.shape != array.shape:
            raise ValueError(f"{name} has shape {array.shape}, what is assigned {values.shape}")
        array[...] = values


class Sequential(Layer):
    """y = layer_n(... layer_1(x)).

    layers: a list of layers, each used once; a Sequential may be among them, and keeps its weights
    (but for one without a name that is as it was drawn: all here is drawn under our name).
    name: the network's part of every address of its random numbers, so that two
    networks of one run differ ("generator", "discriminator").
    seed: of the initial weights and of the dropout masks.
    dtype: "float32" to train, "float64" to check.
    kernels: "fast" or "plain", see `minigan.kernels`; losses take the default ones.
    Raises TypeError for what is no layer, ValueError for a layer that is part of a network.
    """

    def __init__(self, layers, *, name="network", seed=0, dtype="float32", kernels=None):
        super().__init__()
        self._layers = tuple(layers)
        for index, layer in enumerate(self._layers):
            if not isinstance(layer, Layer):
                raise TypeError(f"{name}: item {index} is {layer!r}, not a layer")
            if any(layer is other for other in self._layers[:index]):
                raise ValueError(f"{name}: {layer!r} is in the list twice; weights are not shared")
            if owner := layer._owner and layer._owner():
                raise ValueError(
                    f"{name}: {layer!r} is part of {owner!r}, whose weights it would take away: "
                    "use its clone()"
                )
        self.name = name
        self.use_kernels(choose(kernels))
        kept = [(layer, layer.params, layer.buffers) for layer in self._layers if _is_own(layer)]
        self.allocate(dtype)
        self.place(seed, name)
        self.initialize()
        for layer, params, buffers in kept:
            layer.params, layer.buffers = to_host(params), to_host(buffers)

    @property
    def layers(self):
        """The layers, a tuple."""
        return self._layers

    # The passes: down the list, up the list, and both for the second order.

    def forward(self, x, train=True, trace=None):
        """(y, cache); the cache is the list of the layers' caches.

        trace: a list that is filled with each layer's y (a list of its own for an inner
        Sequential).  Two layers that fast kernels do at once have one y; plain ones do none so.
        """
        self.kernels[type(x)]  # refuses what is no array
        if x.dtype != self.dtype:
            raise self._wrong_dtype(x)
        caches, ys = [], []
        for layer in self._passes:
            inner = [[]] if trace is not None and isinstance(layer, Sequential) else []
            x, cache = layer.forward(x, train, *inner)
            caches.append(cache)
            ys += inner or [x]
        if trace is not None:
            trace[:] = ys
        return x, caches

    def backward(self, dy, cache, params=True, need_dx=True, trace=None):
        """dx, as for any layer.

        trace: a list that is filled with each layer's dy (a list of its own for an
        inner Sequential): what `double_backward` needs of this pass.
        """
        lowest = 0 if need_dx else self._first_with_params
        if trace is not None:
            trace[:] = [None] * len(self._passes)
        for index in reversed(range(lowest, len(self._passes))):
            arguments = dy, cache[index], params, need_dx or index > lowest
            if trace is not None:
                trace[index] = dy
                if isinstance(self._passes[index], Sequential):
                    trace[index] = []
                    arguments += (trace[index],)
            dy = self._passes[index].backward(*arguments)
        return dy if need_dx else None

    def double_backward(self, dx_bar, dy, cache):
        """(dy_bar, x_bar), as for any layer, in two sweeps.

        dy: the trace of the first backward, or its dy (which is then run again).

        Up: dx_bar climbs through the layers' double_backwards and becomes dy_bar;
        each may leave an x_bar at its input.  Down: those x_bar, dR/d(activation),
        descend like any gradient.  Piecewise-linear layers leave none, and a network
        of them has no second sweep.
        """
        if not isinstance(dy, list):
            trace = []
            self.backward(dy, cache, params=False, trace=trace)
            dy = trace
        x_bars = []
        for layer, layer_dy, layer_cache in zip(self._passes, dy, cache):
            dx_bar, x_bar = layer.double_backward(dx_bar, layer_dy, layer_cache)
            x_bars.append(x_bar)
        below = None  # dR/d(output of the layer) during the way down
        for layer, layer_cache, x_bar in zip(self._passes[::-1], cache[::-1], x_bars[::-1]):
            if below is not None:
                below = layer.backward(below, layer_cache)
            if x_bar is not None:
                below = x_bar if below is None else below + x_bar
        return dx_bar, below

    def zero_grad(self):
        for layer in self._layers:
            layer.zero_grad()

    def write_zeros(self):
        for layer in self._layers:
            layer.write_zeros()

    # One vector for all layers.

    @property
    def param_count(self):
        return sum(layer.param_count for layer in self._layers)

    @property
    def buffer_count(self):
        return sum(layer.buffer_count for layer in self._layers)

    def bind(self, params, grads, buffers):
        super().bind(params, grads, buffers)
        at = moving_at = 0
        for layer in self._layers:
            end, moving_end = at + layer.param_count, moving_at + layer.buffer_count
            layer.bind(params[at:end], grads[at:end], buffers[moving_at:moving_end])
            layer._owner = weakref.ref(self)
            at, moving_at = end, moving_end
        self._find_passes()

    def _find_passes(self):
        """What the passes go through: the layers, but where the kernels do two of them at once."""
        k = self.kernels[type(self._params)]
        passes = list(self._layers)
        for i, (first, second) in enumerate(itertools.pairwise(self._layers)):
            if passes[i] is first and (fused := first.fused_with(second, k)):
                passes[i : i + 2] = fused
        self._passes = passes
        counts = [layer.param_count for layer in self._layers]
        self._first_with_params = next((i for i, count in enumerate(counts) if count), len(counts))

    def place(self, seed, where):
        super().place(seed, where)
        for index, layer in enumerate(self._layers):
            layer.place(seed, f"{where}/{index}.{type(layer).__name__.lower()}")

    def initialize(self):
        for layer in self._layers:
            layer.initialize()

    def begin_step(self, step):
        for layer in self._layers:
            layer.begin_step(step)

    def named_tensors(self):
        for place, layer in self._places():
            for name, param, grad in layer.named_tensors():
                yield f"{place}.{name}", param, grad

    def named_state(self):
        for place, layer in self._places():
            for name, tensor in layer.named_state():
                yield f"{place}.{name}", tensor

    def _places(self):
        """Yields (name, layer): "0.dense", "1.leakyrelu", ..."""
        for index, layer in enumerate(self._layers):
            yield f"{index}.{type(layer).__name__.lower()}", layer

    def use_kernels(self, kernels):
        super().use_kernels(kernels)
        for layer in self._layers:
            layer.use_kernels(kernels)
        if self._params is not None:
            self._find_passes()

    # Description.

    def config(self):
        return dict(layers=self.layers, name=self.name, seed=self.seed, dtype=self.dtype.name)

    def unbuilt(self):
        layers = [layer.unbuilt() for layer in self._layers]
        return type(self)(**(self.config() | dict(layers=layers)))

    def output_shape(self, input_shape):
        for layer in self._layers:
            input_shape = layer.output_shape(input_shape)
        return input_shape

    def summary(self, input_shape=None):
        """A table of the layers with their trainable and moving parameters, as text.

        input_shape: that of one sample; adds a column of output shapes.
        """
        rows = [("layer", "output" if input_shape else "", "params", "moving")]
        shape = input_shape
        for index, layer in enumerate(self._layers):
            shape = shape and layer.output_shape(shape)
            rows.append(
                (
                    f"{index}  {layer!r}",
                    " x ".join(map(str, shape or ())),
                    f"{layer.param_count:,}",
                    f"{layer.buffer_count:,}",
                )
            )
        rows.append((f"{self.name}", "", f"{self.param_count:,}", f"{self.buffer_count:,}"))
        widths = [max(map(len, column)) for column in zip(*rows)]
        lines = [
            f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d:>{widths[3]}}".rstrip()
            for a, b, c, d in rows
        ]
        rule = "-" * max(map(len, lines))
        return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])

    def save(self, path):
        """Write the network to `path` (.npz); `minigan.load(path)[name]` rebuilds it."""
        archive.write(path, {self.name: self})

    def __repr__(self):
        kind, layers = type(self).__name__, len(self._layers)
        return f"{kind}({self.name!r}, {layers} layers, {self.param_count:,} params)"


def _is_own(layer):
    """Has the layer values that drawing it anew would lose?"""
    if layer.params is None:
        return False
    if isinstance(layer, Sequential) and layer.name != "network":
        return True
    drawn = layer.clone()
    drawn.initialize()
    pairs = (layer.params, drawn.params), (layer.buffers, drawn.buffers)
    return not all(bool((own == fresh).all()) for own, fresh in pairs)
