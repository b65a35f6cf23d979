"""Sequential: a chain of layers that is itself a layer, on one flat vector.

The layers' tensors are views of `network.params`, their gradients of
`network.grads`, their moving averages of `network.buffers`, so an optimizer, a
checkpoint, a move to the GPU or a check for NaN is one array each.
"""

from .arrays import on_gpu
from .layers.base import Layer
from .layers.gate import with_gates


class Sequential(Layer):
    """y = layer_n(... layer_1(x)).

    layers: a list of layers, each used once; a Sequential may be among them.
    name: the network's part of every address of its random numbers, so that two
    networks of one run differ ("generator", "discriminator").
    seed: of the initial weights and of the dropout masks.
    dtype: "float32" to train, "float64" to check.
    """

    def __init__(self, layers, *, name="network", seed=0, dtype="float32"):
        super().__init__()
        self.layers = list(layers)
        for index, layer in enumerate(self.layers):
            if not isinstance(layer, Layer):
                raise TypeError(f"{name}: item {index} is {layer!r}, not a layer")
            if any(layer is other for other in self.layers[:index]):
                raise ValueError(f"{name}: {layer!r} is in the list twice; weights are not shared")
        self.name = name
        self.allocate(dtype)
        self.place(seed, name)
        self.initialize()

    # The passes: down the list, up the list, and both for the second order.

    def forward(self, x, train=True):
        """(y, cache); the cache is the list of the layers' caches."""
        caches = []
        for layer in self._passes:
            x, cache = layer.forward(x, train)
            caches.append(cache)
        return x, caches

    def backward(self, dy, cache, params=True, inputs=True, trace=None):
        """dx, as for any layer.

        trace: a list that is filled with each layer's dy (a list of its own for an
        inner Sequential): what `double_backward` needs of this pass.
        """
        lowest = 0 if inputs else self._first_with_params()
        if trace is not None:
            trace[:] = [None] * len(self.layers)
        for index in reversed(range(lowest, len(self.layers))):
            layer, wanted = self._passes[index], inputs or index > lowest
            if trace is None:
                dy = layer.backward(dy, cache[index], params, wanted)
            elif isinstance(layer, Sequential):
                trace[index] = []
                dy = layer.backward(dy, cache[index], params, wanted, trace[index])
            else:
                trace[index] = dy
                dy = layer.backward(dy, cache[index], params, wanted)
        return dy if inputs else None

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

    def _first_with_params(self):
        counts = [layer.param_count for layer in self.layers]
        return next((index for index, count in enumerate(counts) if count), len(counts))

    # One vector for all layers.

    @property
    def param_count(self):
        return sum(layer.param_count for layer in self.layers)

    @property
    def buffer_count(self):
        return sum(layer.buffer_count for layer in self.layers)

    def bind(self, params, grads, buffers):
        self.params, self.grads, self.buffers = params, grads, buffers
        # What the passes go through; a GPU spares no passes over memory by it.
        self._passes = self.layers if on_gpu(params) else with_gates(self.layers)
        at = moving_at = 0
        for layer in self.layers:
            end, moving_end = at + layer.param_count, moving_at + layer.buffer_count
            layer.bind(params[at:end], grads[at:end], buffers[moving_at:moving_end])
            at, moving_at = end, moving_end

    def place(self, seed, where):
        super().place(seed, where)
        for index, layer in enumerate(self.layers):
            layer.place(seed, f"{where}/{index}.{type(layer).__name__.lower()}")

    def initialize(self):
        for layer in self.layers:
            layer.initialize()

    def begin_step(self, step):
        for layer in self.layers:
            layer.begin_step(step)

    def named_tensors(self):
        for index, layer in enumerate(self.layers):
            for name, param, grad in layer.named_tensors():
                yield f"{index}.{type(layer).__name__.lower()}.{name}", param, grad

    # Description.

    def config(self):
        return dict(layers=self.layers, name=self.name, seed=self.seed, dtype=self.dtype.name)

    def unbuilt(self):
        layers = [layer.unbuilt() for layer in self.layers]
        return type(self)(**(self.config() | dict(layers=layers)))

    def output_shape(self, input_shape):
        for layer in self.layers:
            input_shape = layer.output_shape(input_shape)
        return input_shape

    def summary(self, input_shape=None):
        """A table of the layers with their trainable and moving parameters, as text.

        input_shape: that of one sample; adds a column of output shapes.
        """
        rows = [("layer", "output" if input_shape else "", "params", "moving")]
        shape = input_shape
        for index, layer in enumerate(self.layers):
            shape = shape and layer.output_shape(shape)
            rows.append((
                f"{index}  {layer!r}",
                " x ".join(map(str, shape or ())),
                f"{layer.param_count:,}",
                f"{layer.buffer_count:,}",
            ))
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
        from .archive import write  # here: files need modules that networks do not

        write(path, {self.name: self})

    def __repr__(self):
        return f"Sequential({self.name!r}, {len(self.layers)} layers, {self.param_count:,} params)"
