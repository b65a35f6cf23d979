"""A check: the derivatives and the contract of a layer, a loss or a step, and what came of it.

To make a scalar R of a layer's output y, project it on a fixed random direction: R = <y, r>, so
dy = r.  (A plain sum would not do: the sum of a BatchNorm's output does not depend on its input
at all, and any bug would pass.)  The second order is the same check once more: there R is a
projection of dx, and `double_backward` claims its derivatives.
"""

import contextlib

import numpy as np

from ..arrays import get_array_module, on_gpu, to_host
from ..kernels import PLAIN
from ..network import Sequential
from .contract import Trial, broken_promises
from .numeric import diagnosis, numeric_errors

TOLERANCE = 1e-7
SECOND_ORDER_TOLERANCE = 1e-6
FLOAT32_TOLERANCE = 1e-4
PLAIN_TOLERANCE = 1e-10  # the same formulas in another order


class Check:
    """The result of one check.

    title: what was checked.  mode: "train", "eval" or "".
    errors, second: relative errors of backward and of double_backward in float64,
    dicts by tensor name; `second` is empty where the second order was not checked.
    float32: errors of the float32 gradients against the float64 ones, likewise.
    plain: how far all results are from those of the plain kernels, likewise.
    broken: promises of the contract that are not kept, sentences; None where there is no contract.
    notes: what is wrong and where, sentences.
    ok: whether all errors are within tolerance, and all promises kept.
    """

    def __init__(
        self, title, mode, errors, second=None, float32=None, *, plain=None, broken=None, notes=()
    ):
        self.title, self.mode = title, mode
        self.errors, self.second, self.float32 = errors, second or {}, float32 or {}
        self.plain, self.broken, self.notes = plain or {}, broken, [*notes, *(broken or ())]

    @property
    def ok(self):
        # Every comparison is false for a NaN.
        return not self.notes and (
            all(error <= TOLERANCE for error in self.errors.values())
            and all(error <= SECOND_ORDER_TOLERANCE for error in self.second.values())
            and all(error <= FLOAT32_TOLERANCE for error in self.float32.values())
            and all(error <= PLAIN_TOLERANCE for error in self.plain.values())
        )

    def __repr__(self):
        named = self.errors | {f"second order {name}": e for name, e in self.second.items()}
        text = ", ".join(f"{name} {error:.1e}" for name, error in named.items())
        head = f"{'ok' if self.ok else 'FAILED'}: {self.title} {self.mode}: {text}"
        return "\n    ".join([head, *self.notes])


def check_layer(layer, x, *, train=True, second_order=True, seed=0):
    """Check the derivatives and the contract of a layer or network at input x.

    layer: built or not; it is copied and left alone.  x: (N, ...), real
    numbers, away from kinks.  train: the mode to check.  second_order: False for a
    layer without `double_backward`.
    Returns a Check with errors "input" and one for each parameter tensor.  What a pass of the
    layer raises is raised.
    """
    if layer.params is None:
        layer = layer.clone().build(seed=seed)
    layer64, xp = layer.clone("float64"), layer.xp
    rng = np.random.default_rng((seed, 1))
    x = xp.asarray(to_host(x).astype(np.float64))
    y, _ = _forward(layer64, x, train)
    dy = xp.asarray(rng.standard_normal(y.shape))
    dx_bar = xp.asarray(rng.standard_normal(x.shape))
    tensors = {"input": x} | {name: param for name, param, _ in layer64.named_tensors()}

    first = _first_order(layer64, x, dy, train)
    errors, notes = _compare(
        lambda: (_forward(layer64, x, train)[0] * dy).sum(), tensors, first, TOLERANCE, len(x), seed
    )
    second, float32, plain = {}, {}, {}
    has_plain = layer.kernels is not PLAIN and not (on_gpu(x) and _is_random(layer64, x, train))
    by_the_book, layer32 = layer64.clone(), layer.clone("float32")
    by_the_book.use_kernels(PLAIN)
    if np.isfinite(errors["input"]):  # else there is no dx to go on with
        single = _first_order(layer32, x.astype(np.float32), dy.astype(np.float32), train)
        float32 = _distances(single, first)
        if has_plain:
            plain = _distances(first, _first_order(by_the_book, x, dy, train))
        if second_order:

            def slope():
                _, cache = _forward(layer64, x, train)
                return (layer64.backward(dy, cache, params=False) * dx_bar).sum()

            claimed = _second_order(layer64, x, dy, dx_bar, train)
            second, more = _compare(
                slope, {"dy": dy, **tensors}, claimed, SECOND_ORDER_TOLERANCE, len(x), seed,
                "second order, ",
            )  # fmt: skip
            notes += more
            if has_plain:
                there = _second_order(by_the_book, x, dy, dx_bar, train)
                plain |= {f"2nd {name}": d for name, d in _distances(claimed, there).items()}
    notes += _beyond(float32, FLOAT32_TOLERANCE, "is {} off in float32")
    notes += _beyond(plain, PLAIN_TOLERANCE, "is {} from that of the plain kernels")
    broken = broken_promises(Trial(layer32, x, dy, dx_bar, train, second_order))
    if isinstance(layer64, Sequential) and (notes or broken):
        notes += _first_wrong_layer(layer64, x, train, second_order, seed)
    mode, more = "train" if train else "eval", dict(plain=plain, broken=broken, notes=notes)
    return Check(repr(layer), mode, errors, second, float32, **more)


def check_loss(loss, x, title=None):
    """Check a loss, a function x -> (loss, dx), at x (any shape).  Returns a Check."""
    x = get_array_module(x).asarray(x, dtype=np.float64).copy()
    before, claimed = x.copy(), loss(x)[1]
    errors, notes = _compare(
        lambda: loss(x)[0], {"input": x}, {"input": claimed}, TOLERANCE, len(x)
    )
    if not np.array_equal(to_host(x), to_host(before)):
        notes.append("the loss writes its argument")
    value, gradient = loss(x.astype(np.float32))
    for name, result in (("loss", value), ("gradient", gradient)):
        if result.dtype != np.float32:
            notes.append(f"the {name} is {result.dtype} where the scores are float32")
    return Check(title or loss.__name__, "", errors, notes=notes)


def check_step(step, network, title, samples):
    """Check the gradients of a whole step, such as a penalty, or G's through D.

    step: a function without arguments that runs its passes, adds to `network.grads`, and returns
    the loss; each call with the same random numbers.  network: built, in float64.
    samples: the size of the batch.
    Returns a Check with an error for each parameter tensor.
    """
    network.zero_grad()
    with _unmoved(network):
        step()
    params = {name: param for name, param, _ in network.named_tensors()}
    grads = {name: grad.copy() for name, _, grad in network.named_tensors()}

    def loss():
        with _unmoved(network):
            return step()

    second, notes = _compare(loss, params, grads, SECOND_ORDER_TOLERANCE, samples)
    return Check(title, "", {}, second, notes=notes)


def _forward(layer, x, train):
    layer.begin_step(0)  # the same dropout masks every time
    with _unmoved(layer):
        return layer.forward(x, train)


@contextlib.contextmanager
def _unmoved(layer):
    """Put back what the passes within make of the buffers, which later ones may begin with."""
    buffers = layer.buffers.copy()
    yield
    layer.buffers = buffers


def _first_order(layer, x, dy, train):
    """What backward claims, by name."""
    _, cache = _forward(layer, x, train)
    layer.zero_grad()
    return {"input": layer.backward(dy, cache)} | _grads(layer)


def _second_order(layer, x, dy, dx_bar, train):
    """What double_backward claims, by name."""
    _, cache = _forward(layer, x, train)
    layer.zero_grad()
    dy_bar, x_bar = layer.double_backward(dx_bar, dy, cache)
    return {"dy": dy_bar, "input": 0 * x if x_bar is None else x_bar} | _grads(layer)


def _grads(layer):
    return {name: grad.copy() for name, _, grad in layer.named_tensors()}


def _compare(scalar, tensors, claimed, tolerance, samples, seed=0, order=""):
    """(errors, a note on the worst one beyond tolerance, which names the others)."""
    errors = numeric_errors(scalar, tensors, claimed, seed=seed)
    wrong = [name for name, error in errors.items() if not error <= tolerance]
    if not wrong:
        return errors, []
    worst = max(wrong, key=lambda name: np.nan_to_num(errors[name], nan=np.inf))
    note = f"{order}{worst} {diagnosis(scalar, tensors[worst], claimed[worst], samples)}"
    others = ", ".join(name for name in wrong if name != worst)
    return errors, [f"{note}; wrong too: {others}" if others else note]


def _distances(found, there):
    """How far each array is from the one it should be, relative to the largest of these."""
    if any(getattr(found[name], "shape", None) != there[name].shape for name in there):
        return dict.fromkeys(there, np.inf)
    largest = max(float(np.linalg.norm(to_host(array))) for array in there.values()) or 1.0
    return {
        name: float(np.linalg.norm(to_host(found[name]) - to_host(there[name])) / largest)
        for name in there
    }


def _beyond(distances, tolerance, what):
    return [
        f"{name} {what.format(f'{distance:.0e}')}"
        for name, distance in distances.items() if not distance <= tolerance
    ]  # fmt: skip


def _is_random(layer, x, train):
    """Does the layer draw random numbers?  On a GPU these are not those of the plain kernels."""
    y, _ = _forward(layer, x, train)
    layer.begin_step(1)
    return not np.array_equal(to_host(y), to_host(layer.forward(x, train)[0]))


def _first_wrong_layer(network, x, train, second_order, seed):
    """Which layer of the network fails by itself, at the input that it has there."""
    for index, layer in enumerate(network.layers):
        check = check_layer(layer, x, train=train, second_order=second_order, seed=seed)
        if not check.ok:
            return [f"the first wrong layer is {index}, {layer!r}: {check.notes[0]}"]
        x, _ = layer.forward(x, train)
    return ["each layer is right by itself: what is wrong lies between them"]
