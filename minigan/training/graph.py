"""A training step as one CUDA graph: recorded once, from then on launched as a whole.

To launch a kernel takes the host some microseconds, and a GPU has done a small model's kernels in
less.  A CUDA graph holds all launches of a step, and one call gives them to the GPU.

    step = Recorded(train_step, lambda: run.step, print)
    values = step(G, D, opt_g, opt_d, real, z_d, z_g)

A graph is fixed to the last address and number.  So what is another at every step lies in memory
of the graph's own, which is written before each launch:

    arrays among the arguments                                      copied
    random numbers of the step's address, keys of dropout masks     drawn again: `changing.of_step`
    Adam's rates, functions of its count of updates                 made again: `changing.of_update`

All else must be as it was: the same launches in the same order, whatever the arrays hold.  Whether
it is so is tried at the first launch, of a later step than the recorded one, against the function
itself: every parameter, moving average and sum of an optimizer must come out the same, bit for
bit.  A step that cannot be recorded, or fails that, is launched kernel by kernel as before, and a
line says why.
"""

import contextlib
from collections import Counter
from copy import copy
from functools import partial

import numpy as np

from .. import changing
from ..arrays import get_array_module
from ..network import Sequential
from ..optim import Adam, Optimizer

EAGER = 3  # first calls: kernels are compiled, lasting memory is taken, then it is recorded
MOST_KINDS = 16  # of arguments
MEMORY = 2**18  # bytes for the numbers that change, of one graph
ALIGNED = 16


class CannotRecord(Exception):
    """What a step does, in a few words, that a graph cannot."""


class Recorded:
    """A training step, function(*arguments), whose later calls are launches of a graph.

    The arguments are networks, optimizers, arrays on the GPU, and settings; what is returned holds
    numbers and arrays in dicts, tuples and lists.  Arguments of another kind, or arrays of another
    shape, have a graph of their own; an address (a dict or a `partial` with a `step`) may be of
    another step.

    clock: called for the step that it is.  notify: called with each line the user should see.
    """

    def __init__(self, function, clock, notify):
        self.function, self.clock, self.notify = function, clock, notify
        self.calls, self.place = Counter(), None
        self.graphs = {}  # what kind of arguments -> the graph for such
        self.refused = False

    def __call__(self, *arguments):
        if self.refused:
            return self.function(*arguments)
        try:
            graph = self._graph(arguments)
        except Exception as error:  # whatever it is: one of the step's own comes again
            self._refuse(error)
            graph = None
        if graph is None:
            return self.function(*arguments)
        if graph.tried:
            return graph.launch(arguments, self.clock())
        return self._tried(graph, arguments)

    def _graph(self, arguments):
        """That of such arguments, recorded at the last of their first calls; None at these."""
        kind = _kind(arguments)
        if kind in self.graphs:
            return self.graphs[kind]
        self.calls[kind] += 1
        if len(self.calls) > MOST_KINDS:
            raise CannotRecord("its arguments are of ever other kinds")
        if self.calls[kind] == EAGER:
            self.place = self.place or _Place(arguments)
            self.graphs[kind] = _Graph(self.function, arguments, self.clock(), self.place)
        return None

    def _tried(self, graph, arguments):
        """The first launch, which must do what the function does."""
        before = graph.state.copy()
        expected = self.function(*arguments)
        after = graph.state.copy()
        graph.state.put_back(before)
        values = graph.launch(arguments, self.clock())
        if graph.state.is_as(after) and _same(values, expected):
            graph.tried = True
            self.notify(f"{self.function.__name__}: one CUDA graph from now on")
            return values
        graph.state.put_back(after)
        self._refuse(CannotRecord("launched again it does something else"))
        return expected

    def _refuse(self, error):
        reason = (str(error) or type(error).__name__).splitlines()[0]
        self.notify(f"{self.function.__name__}: no CUDA graph ({reason})")
        self.refused = True
        self.graphs.clear()
        self.place = None  # and with it the memory


class _Graph:
    """A recorded call, and the memory through which its changing parts come.

    While it is recorded it is what `changing` asks.  Raises whatever the function raises, and what
    CUDA does not record; the networks and optimizers are then as before, and so they are when all
    goes well: a recording does nothing.
    """

    def __init__(self, function, arguments, step, place):
        optimizers = [each for each in arguments if isinstance(each, Optimizer)]
        networks = [each for each in arguments if isinstance(each, Sequential)]
        self.xp = xp = place.xp
        self.state = _State(networks, optimizers)
        self.optimizers, self.counts = optimizers, [each.t for each in optimizers]
        self.step, self.tried = step, False
        self.places = []  # (where it begins, what makes it) of each that changes
        self.used, self.memory = 0, xp.zeros((MEMORY,), "uint8")
        self.inputs = [xp.empty_like(each) for each in _arrays(arguments)]
        inputs, before = iter(self.inputs), self.state.host()
        changing.recording = self
        try:
            with place.recording():
                self.outputs = function(*_mapped(lambda _: next(inputs), arguments))
            self.graph = place.graph
        finally:
            changing.recording = None
            self.after = self.state.host()
            self.state.set_host(before)
        for (optimizer, _, t), count in zip(self.after, self.counts, strict=False):
            if t != count and type(optimizer) is not Adam:
                raise CannotRecord(f"{type(optimizer).__name__}'s rate is not read from memory")

    def launch(self, arguments, step):
        """What function(*arguments) returns at a step, done by the GPU on its own."""
        numbers = np.zeros(self.used, np.uint8)
        for start, make in self.places:
            made = make(step)
            numbers[start : start + made.nbytes] = made.reshape(-1).view(np.uint8)
        if self.used:
            self.memory[: self.used] = self.xp.asarray(numbers)
        for mine, given in zip(self.inputs, _arrays(arguments), strict=True):
            mine[...] = given
        self.graph.launch()
        self.state.advance(self.after, self.counts)
        return _mapped(lambda each: each.copy(), self.outputs)

    # What changes, while it is recorded: an array, and what makes its content for a step.

    def of_step(self, make, step):
        if step != self.step:
            raise CannotRecord(f"its random numbers are those of step {step}, not {self.step}")
        return self._place(make, np.asarray(make(step)))

    def of_update(self, make, params, t, lr):
        for optimizer, count in zip(self.optimizers, self.counts, strict=True):
            if optimizer.network.params is params:
                break
        else:
            raise CannotRecord("it updates parameters of an optimizer that is not its argument")
        ahead, dtype = t - count, params.dtype

        def made(_):
            return np.array(make(optimizer.t + ahead, optimizer.lr), dtype)

        place = self._place(made, np.array(make(t, lr), dtype))
        return [place[i : i + 1] for i in range(len(place))]

    def _place(self, make, like):
        dtype, start = like.dtype, self.used
        self.used += -(-like.nbytes // ALIGNED) * ALIGNED
        if self.used > MEMORY:
            raise CannotRecord(f"more than {MEMORY} bytes of it are others at every step")
        self.places.append((start, lambda step: np.asarray(make(step), dtype)))
        view = self.memory[start : start + like.nbytes].view(dtype)
        return view.reshape(like.shape or (1,))


class _Place:
    """Where a function's graphs are recorded: a stream, and memory that nobody else writes to.

    It is as much as the largest needs: they never run at one time.
    """

    def __init__(self, arguments):
        self.xp = xp = get_array_module(_arrays(arguments)[0])
        self.stream, self.pool = xp.cuda.Stream(non_blocking=True), xp.cuda.MemoryPool()
        self.graph = None

    @contextlib.contextmanager
    def recording(self):
        """Inside, launches are recorded, into `graph`, and nothing is done."""
        with self.xp.cuda.using_allocator(self.pool.malloc), self.stream:
            self.stream.begin_capture()
            try:
                yield
            finally:
                self.graph = self.stream.end_capture()


class _State:
    """All that a step may change in networks and optimizers, on the device and on the host."""

    def __init__(self, networks, optimizers):
        networks = dict.fromkeys([*networks, *(each.network for each in optimizers)])  # each once
        self.optimizers = optimizers
        self.layers = [layer for network in networks for layer in _layers(network)]
        self.gradients = [network.grads for network in networks]
        self.arrays = [array for network in networks for array in (network.params, network.buffers)]
        self.arrays += [array for each in optimizers for array in each.state.values()]

    def host(self):
        """(object, name, value) of what Python counts."""
        return [
            *((each, "t", each.t) for each in self.optimizers),
            *((each, "calls", dict(each.calls)) for each in self.layers if hasattr(each, "calls")),
            *((each, "_zero", set(each._zero)) for each in self.layers),
        ]

    def set_host(self, values):
        for each, name, value in values:
            setattr(each, name, copy(value))

    def advance(self, after, counts):
        """What Python would count in a call, after which it was `after`, of t from `counts`."""
        now = [each.t for each in self.optimizers]
        self.set_host(after)
        for optimizer, t, count in zip(self.optimizers, now, counts, strict=True):
            optimizer.t += t - count

    def copy(self):
        return self.host(), [array.copy() for array in [*self.arrays, *self.gradients]]

    def put_back(self, copies):
        host, arrays = copies
        self.set_host(host)
        for array, values in zip([*self.arrays, *self.gradients], arrays, strict=True):
            array[...] = values

    def is_as(self, copies):
        """Is all as in the copies?  Gradients need not be: the next step writes over them."""
        host, arrays = copies
        return self.host() == host and all(map(_equal, self.arrays, arrays))


def _layers(network):
    for layer in network.layers:
        yield from _layers(layer) if isinstance(layer, Sequential) else [layer]


# Arguments and results: arrays in dicts, tuples, lists and the like.


def _is_array(value):
    return hasattr(value, "strides") and not isinstance(value, (np.ndarray, np.generic))


def _mapped(function, value):
    """The value with function(array) in place of each array."""
    if _is_array(value):
        return function(value)
    if isinstance(value, dict):
        return {key: _mapped(function, each) for key, each in value.items()}
    if isinstance(value, (tuple, list)):
        mapped = [_mapped(function, each) for each in value]
        return mapped if isinstance(value, list) else tuple(mapped)
    return value


def _arrays(value):
    """All arrays in it, in order."""
    found = []
    _mapped(found.append, value)
    return found


def _kind(value):
    """Equal for arguments that one graph serves.  Raises CannotRecord for arrays on the host."""
    if isinstance(value, np.ndarray):
        raise CannotRecord("an argument is an array on the host")
    if _is_array(value):
        return "array", value.shape, value.dtype.str
    if isinstance(value, partial):
        return value.func, _kind(value.args), _kind(value.keywords)
    if isinstance(value, dict):
        return tuple((key, _kind(each)) for key, each in value.items() if key != "step")
    if isinstance(value, (tuple, list)):
        return tuple(map(_kind, value))
    if isinstance(value, (int, float, str, type(None))):
        return value
    return id(value)  # networks, optimizers, options: those that the recording had


def _same(one, other):
    return all(map(_equal, _arrays(one), _arrays(other)))


def _equal(one, other):
    return one.shape == other.shape and bool((one == other).all())
