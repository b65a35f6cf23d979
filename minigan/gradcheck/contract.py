"""The contract of a layer beyond its derivatives, promise by promise.

Each function below is a promise, which its docstring says.  It tries a layer in float32, as one
trains, and yields what it finds broken.
"""

import copy

import numpy as np

from ..arrays import to_host


class Trial:
    """A layer, an input and gradients for it to be tried with.

    x, dy, dx_bar: float32 arrays.  train: the mode.  second_order: False for a layer without
    double_backward.
    """

    def __init__(self, layer, x, dy, dx_bar, train, second_order):
        self.layer, self.train, self.second_order = layer, train, second_order
        self.x, self.dy, self.dx_bar = (a.astype(np.float32) for a in (x, dy, dx_bar))
        self.buffers = layer.buffers.copy()

    def forward(self, x=None, step=0):
        self.layer.begin_step(step)
        self.layer.buffers = self.buffers  # each pass begins with the same
        return self.layer.forward(self.x if x is None else x, self.train)

    def grads(self, *passes):
        """The gradients of the parameters after these passes, each a function."""
        self.layer.zero_grad()
        for run in passes:
            run()
        return to_host(self.layer.grads).copy()


def broken_promises(trial):
    """What the layer does not keep, a list of sentences.

    A promise that cannot be tried, because a pass raises an exception, is broken by that.
    """
    found = []
    for promise in PROMISES:
        try:
            found += [f"{promise.__doc__} {detail}" for detail in promise(trial)]
        except Exception as error:
            found.append(f"{promise.__doc__} {type(error).__name__}: {error}")
    return found


def results_fit(trial):
    """Every result has the shape and dtype of what it belongs to:"""
    layer, x, dy = trial.layer, trial.x, trial.dy
    y, cache = trial.forward()
    yield from _misfit("y", y, dy.shape)
    yield from _misfit("dx", layer.backward(dy, cache), x.shape)
    if trial.second_order:
        dy_bar, x_bar = layer.double_backward(trial.dx_bar, dy, cache)
        yield from _misfit("dy_bar", dy_bar, dy.shape)
        if x_bar is not None:
            yield from _misfit("x_bar", x_bar, x.shape)


def output_shape_is_true(trial):
    """output_shape tells the shape of the output:"""
    y, _ = trial.forward()
    told = tuple(trial.layer.output_shape(trial.x.shape[1:]))
    if told != y.shape[1:]:
        yield f"it says {told}, the output's samples are {y.shape[1:]}"


def randomness_is_addressed(trial):
    """The same step gives the same random numbers:"""
    if not _equal(trial.forward()[0], trial.forward()[0]):
        yield "two passes of one step differ"


def arguments_are_left_alone(trial):
    """No pass writes its arguments:"""
    layer = trial.layer
    given = {"x": trial.x.copy()}
    _, cache = trial.forward(given["x"])
    yield from _written(given, {"x": trial.x}, "forward")
    given |= {"dy": trial.dy.copy(), "the cache": cache}
    before = copy.deepcopy(given)
    layer.backward(given["dy"], cache)
    yield from _written(given, before, "backward")
    if trial.second_order:
        given = {"dx_bar": trial.dx_bar.copy(), "dy": trial.dy.copy(), "x": given["x"],
                 "the cache": trial.forward(given["x"])[1]}  # fmt: skip
        before = copy.deepcopy(given)
        layer.double_backward(given["dx_bar"], given["dy"], given["the cache"])
        yield from _written(given, before, "double_backward")


def tensors_are_left_alone(trial):
    """Nothing but an optimizer writes parameters, nothing but forward in training the averages:"""
    layer = trial.layer
    params = layer.params.copy()
    _, cache = trial.forward()
    if not trial.train and not _equal(layer.buffers, trial.buffers):
        yield "forward in evaluation writes the averages"
    buffers = layer.buffers.copy()
    layer.backward(trial.dy, cache)
    if trial.second_order:
        layer.double_backward(trial.dx_bar, trial.dy, cache)
    if not _equal(layer.buffers, buffers):
        yield "a way back writes the averages"
    if not _equal(layer.params, params):
        yield "the parameters have changed"


def gradients_accumulate(trial):
    """Gradients are added to what is there:"""
    layer, (_, cache) = trial.layer, trial.forward()
    passes = {"backward": lambda: layer.backward(trial.dy, cache)}
    if trial.second_order:
        passes["double_backward"] = lambda: layer.double_backward(trial.dx_bar, trial.dy, cache)
    for name, run in passes.items():
        if not _close(trial.grads(run, run), 2 * trial.grads(run)):
            yield f"twice {name} is not twice the gradient"


def frozen_means_frozen(trial):
    """params=False leaves the gradients alone and changes nothing else:"""
    layer, (_, cache) = trial.layer, trial.forward()
    once = trial.grads(lambda: layer.backward(trial.dy, cache))
    dx = layer.backward(trial.dy, cache, False)
    if not _equal(layer.grads, once):
        yield "the gradients have changed"
    if not _close(dx, layer.backward(trial.dy, cache)):
        yield "dx is another"


def unwanted_is_not_computed(trial):
    """need_dx=False returns None and changes nothing else:"""
    layer, (_, cache) = trial.layer, trial.forward()
    once = trial.grads(lambda: layer.backward(trial.dy, cache))
    dx = []
    alone = trial.grads(lambda: dx.append(layer.backward(trial.dy, cache, True, False)))
    if dx[0] is not None:
        yield "dx comes all the same"
    if not _close(alone, once):
        yield "the gradients are others"


def nothing_is_kept_on_the_layer(trial):
    """All that a pass keeps is in its cache:"""
    layer = trial.layer

    def way_back(cache):
        layer.zero_grad()
        result = [layer.backward(trial.dy, cache)]
        if trial.second_order:
            dy_bar, x_bar = layer.double_backward(trial.dx_bar, trial.dy, cache)
            result += [dy_bar] + [x_bar] * (x_bar is not None)
        return [*result, layer.grads.copy()]

    _, cache = trial.forward()
    alone = way_back(cache)
    _, cache = trial.forward()
    _, other = trial.forward(trial.x[::-1] * 2 + 1)
    layer.backward(-trial.dy, other)
    if not all(map(_equal, alone, way_back(cache))):
        yield "after another pass, the way back of the first one is another"


PROMISES = (
    results_fit, output_shape_is_true, randomness_is_addressed, arguments_are_left_alone,
    tensors_are_left_alone, gradients_accumulate, frozen_means_frozen, unwanted_is_not_computed,
    nothing_is_kept_on_the_layer,
)  # fmt: skip


def _misfit(name, array, shape):
    if getattr(array, "shape", None) != shape:
        yield f"{name} has shape {getattr(array, 'shape', None)}, not {shape}"
    elif array.dtype != np.float32:
        yield f"{name} is {array.dtype} in a float32 network"


def _written(given, before, name):
    for what in given:
        if not _same(given[what], before[what]):
            yield f"{name} writes {what}"


def _same(a, b):
    """Do two caches hold the same?"""
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    return _equal(a, b) if hasattr(a, "dtype") and hasattr(a, "shape") else True


def _equal(a, b):
    return np.array_equal(to_host(a), to_host(b), equal_nan=True)


def _close(a, b):
    a, b = to_host(a), to_host(b)
    return a.shape == b.shape and np.abs(a - b).max(initial=0) <= 1e-4 * np.abs(b).max(initial=0)
