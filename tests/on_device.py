"""`pytest --device gpu`: the tests' calls of the engine run on the device.

The tests are written with NumPy arrays.  Here every call of a layer, loss, penalty, optimizer
or convolution that is given host arrays takes them, and the layers it works on, to the
device, and brings results and tensors back; calls within such a call stay there.  Runs of the
examples need none of this: they get `--device gpu`.
"""

import functools
import inspect

import numpy as np

import minigan as mg
from minigan import gradcheck, losses, penalty, training
from minigan.arrays import to_device, to_host
from minigan.network import Layer
from minigan.optim import Optimizer

PASSES = ("forward", "backward", "double_backward")
inside = False  # a call that is on the device already


def install(monkeypatch):
    """Patch the engine for one test."""
    for layer in [mg.Sequential, *vars(mg.layers).values()]:
        if inspect.isclass(layer) and issubclass(layer, Layer):
            for name in PASSES:
                if name in vars(layer):
                    monkeypatch.setattr(layer, name, on_device(vars(layer)[name]))
    monkeypatch.setattr(Optimizer, "step", on_device(Optimizer.step))
    for module, names in (
        (losses, public_functions(losses)),
        (penalty, public_functions(penalty)),
    ):
        for name in names:
            monkeypatch.setattr(module, name, on_device(getattr(module, name)))
    monkeypatch.setattr(gradcheck.check, "on_gpu", lambda x: True)  # the masks are the device's
    parser = training.parser

    def device_parser(*args, **kw):
        result = parser(*args, **kw)
        result.set_defaults(device="gpu")
        return result

    monkeypatch.setattr(training, "parser", device_parser)


def public_functions(module):
    return [
        name for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and name[0] != "_"
    ]  # fmt: skip


def on_device(function):
    """The function, run on the device where it is given host arrays."""

    @functools.wraps(function)
    def run(*args, **kw):
        global inside
        given = [*args, *kw.values()]
        moved = [part for part in given if isinstance(part, (Layer, Optimizer)) and on_host(part)]
        if inside or not (moved or any(isinstance(value, np.ndarray) for value in given)):
            return function(*args, **kw)
        back = [bring(part) for part in moved]
        inside = True
        try:
            result = function(*map(up, args), **{name: up(value) for name, value in kw.items()})
        finally:
            inside = False
            for bring_back in back:
                bring_back()
            for value in given:
                if isinstance(value, list):  # the trace, which was filled
                    value[:] = down(value)
        return down(result)

    return run


def on_host(part):
    network = part.network if isinstance(part, Optimizer) else part
    return isinstance(network.params, np.ndarray)


def bring(part):
    """Take a layer's or an optimizer's tensors to the device; returns how to bring them back."""
    if isinstance(part, Optimizer):
        state, back = part.state, bring(part.network)
        part.to("gpu")

        def bring_back():
            back()
            for name, vector in part.state.items():
                state[name][...] = to_host(vector)
            part.state = state

        return bring_back
    vectors = part.params, part.grads, part.buffers
    part.to("gpu")

    def bring_back():
        for vector, there in zip(vectors, (part.params, part.grads, part.buffers)):
            if vector.flags.writeable:
                vector[...] = to_host(there)
            else:
                np.testing.assert_array_equal(to_host(there), vector)
        part.bind(*vectors)

    return bring_back


def up(value):
    """Arrays in value, which may be a cache, on the device."""
    if isinstance(value, np.ndarray):
        return to_device(value, "gpu")
    if type(value) in (list, tuple) and not (value == [] and type(value) is list):
        return type(value)(map(up, value))
    return value


def down(value):
    """Arrays in value on the host; numbers where NumPy would return numbers."""
    if type(value) in (list, tuple):
        return type(value)(map(down, value))
    if hasattr(value, "get") and hasattr(value, "dtype"):
        return value.get()[()]
    return value
