"""The numeric check: does `backward` return the derivative of `forward`?

For a scalar R of some tensors, the derivative along a direction v is

    (R(x + h v) - R(x - h v)) / 2h  =  <dR/dx, v>  +  O(h^2).

The left side needs forward passes only, the right side is what backward claims.
To make a scalar of a layer's output y, project it on a fixed random direction:
R = <y, r>, so dy = r.  (A plain sum would not do: the sum of a BatchNorm's output
does not depend on its input at all, and any bug would pass.)

Each tensor - the input, every parameter - is moved by itself along a few random
directions, in float64.  The second order is the same check once more: there R is
a projection of dx, and `double_backward` claims its derivatives.

    python -m minigan gradcheck        checks every layer and loss and prints a table
"""

import numpy as np

from . import losses
from .arrays import get_array_module, to_host
from .layers import (
    BatchNorm,
    Conv2d,
    ConvTranspose2d,
    Dense,
    Dropout,
    Flatten,
    LayerNorm,
    LeakyReLU,
    ReLU,
    Reshape,
    Sigmoid,
    Tanh,
    UpSample2d,
)
from .network import Sequential

STEP = 1e-6  # h; in float64 truncation is near 1e-12 and rounding near 1e-10
DIRECTIONS = 3
TOLERANCE = 1e-7
SECOND_ORDER_TOLERANCE = 1e-6
FLOAT32_TOLERANCE = 1e-4


class Check:
    """The result of one check.

    title: what was checked.  mode: "train", "eval" or "".
    errors, second: relative errors of backward and of double_backward in float64,
    dicts by tensor name; `second` is empty where the second order was not checked.
    float32: errors of the float32 gradients against the float64 ones, likewise.
    ok: whether all are within tolerance.
    """

    def __init__(self, title, mode, errors, second=None, float32=None):
        self.title, self.mode = title, mode
        self.errors, self.second, self.float32 = errors, second or {}, float32 or {}

    @property
    def ok(self):
        # Every comparison is false for a NaN.
        return (
            all(error <= TOLERANCE for error in self.errors.values())
            and all(error <= SECOND_ORDER_TOLERANCE for error in self.second.values())
            and all(error <= FLOAT32_TOLERANCE for error in self.float32.values())
        )

    def __repr__(self):
        named = self.errors | {f"second order {name}": e for name, e in self.second.items()}
        text = ", ".join(f"{name} {error:.1e}" for name, error in named.items())
        return f"{'ok' if self.ok else 'FAILED'}: {self.title} {self.mode}: {text}"


def numeric_errors(scalar, tensors, gradients, *, seed=0):
    """Relative errors of claimed gradients, a dict name -> float.

    scalar: a function without arguments that returns R as a number and reads the
    tensors.  tensors: dict name -> float64 array, moved in place and put back.
    gradients: dict name -> the claimed dR/d(tensor).

    The error of a tensor is |numeric - claimed| over its directional derivatives,
    relative to the larger of the two, or to |R| / 100 where both nearly vanish.
    """
    # Streams of their own: a direction equal to the input would prove nothing of a
    # BatchNorm, whose output does not change along it.
    rng = np.random.default_rng((seed, 2))
    floor = abs(float(scalar())) / 100 + np.finfo(np.float64).tiny
    errors = {}
    for name, tensor in tensors.items():
        numeric, claimed = [], []
        for _ in range(DIRECTIONS):
            v = rng.standard_normal(tensor.shape)
            direction = get_array_module(tensor).asarray(v)
            before = tensor.copy()
            tensor += STEP * direction
            above = float(scalar())
            tensor[...] = before - STEP * direction
            below = float(scalar())
            tensor[...] = before
            numeric.append((above - below) / (2 * STEP))
            claimed.append(float(np.vdot(to_host(gradients[name]), v)))
        scale = max(np.linalg.norm(numeric), np.linalg.norm(claimed), floor)
        errors[name] = float(np.linalg.norm(np.subtract(numeric, claimed)) / scale)
    return errors


def check_layer(layer, x, *, train=True, second_order=True, seed=0):
    """Check backward and double_backward of a layer or network at input x.

    layer: built or not; it is copied in float64 and left alone.  x: (N, ...), real
    numbers, away from kinks.  train: the mode to check.  second_order: False for a
    layer without `double_backward`.
    Returns a Check with errors "input" and one for each parameter tensor.
    """
    if layer.params is None:
        layer = layer.clone().build(seed=seed)
    layer64 = layer.clone("float64")
    xp = get_array_module(layer64.params)
    rng = np.random.default_rng((seed, 1))
    x = xp.asarray(x, dtype=np.float64)

    def forward():
        layer64.begin_step(0)  # the same dropout masks every time
        return layer64.forward(x, train)

    y, cache = forward()
    dy = xp.asarray(rng.standard_normal(y.shape))
    layer64.zero_grad()
    dx = layer64.backward(dy, cache)
    params = {name: param for name, param, _ in layer64.named_tensors()}
    grads = {name: grad.copy() for name, _, grad in layer64.named_tensors()}
    errors = numeric_errors(
        lambda: (forward()[0] * dy).sum(), {"input": x, **params}, {"input": dx, **grads}, seed=seed
    )
    float32 = _float32_errors(layer64, x, dy, train, {"input": dx, **grads})
    if not second_order:
        return Check(repr(layer), _mode(train), errors, float32=float32)

    dx_bar = xp.asarray(rng.standard_normal(dx.shape))
    layer64.zero_grad()
    dy_bar, x_bar = layer64.double_backward(dx_bar, dy, cache)
    grads = {name: grad.copy() for name, _, grad in layer64.named_tensors()}
    claimed = {"dy": dy_bar, "input": xp.zeros_like(x) if x_bar is None else x_bar, **grads}
    second = numeric_errors(
        lambda: (layer64.backward(dy, forward()[1], params=False) * dx_bar).sum(),
        {"dy": dy, "input": x, **params},
        claimed,
        seed=seed,
    )
    return Check(repr(layer), _mode(train), errors, second, float32)


def check_loss(loss, x, title=None):
    """Check a loss, a function x -> (loss, dx), at x (any shape).  Returns a Check."""
    x = get_array_module(x).asarray(x, dtype=np.float64).copy()
    errors = numeric_errors(lambda: loss(x)[0], {"input": x}, {"input": loss(x)[1]})
    return Check(title or loss.__name__, "", errors)


def _mode(train):
    return "train" if train else "eval"


def _float32_errors(layer64, x, dy, train, exact):
    """Errors of the float32 gradients, relative to the largest exact one, by tensor name."""
    layer32 = layer64.clone("float32")
    layer32.begin_step(0)
    _, cache = layer32.forward(x.astype(np.float32), train)
    layer32.zero_grad()
    grads = {"input": layer32.backward(dy.astype(np.float32), cache)}
    grads |= {name: grad for name, _, grad in layer32.named_tensors()}

    def norm(array):
        return float(np.linalg.norm(to_host(array)))

    largest = max(map(norm, exact.values()))
    return {name: norm(grads[name] - exact[name]) / largest for name in exact}


def check_all(seed=0):
    """Yields the Check of every layer in both modes, of whole networks, and of every loss."""
    rng = np.random.default_rng(seed)
    vectors, images = rng.standard_normal((6, 10)), rng.standard_normal((3, 4, 5, 2))
    cases = [
        (Dense(10, 7), vectors),
        (Dense(2, 3, use_bias=False), images),
        (Conv2d(2, 3, 3), images),
        (Conv2d(2, 3, (4, 2), stride=2, use_bias=False), images),
        (Conv2d(2, 3, (4, 5), padding="valid"), images),
        (ConvTranspose2d(2, 3, 4, stride=2), images),
        (ConvTranspose2d(2, 3, (3, 2), stride=(1, 3), padding=1, use_bias=False), images),
        (UpSample2d(2), images),
        (BatchNorm(10), vectors),
        (BatchNorm(2), images),
        (BatchNorm(5, axis=2), images),
        (LayerNorm(10), vectors),
        (LayerNorm((4, 5, 2)), images),
        (ReLU(), vectors),
        (LeakyReLU(0.2), vectors),
        (Sigmoid(), vectors),
        (Tanh(), vectors),
        (Dropout(0.3), vectors),
        (Dropout(0.3, always=True), vectors),
        (Flatten(), images),
        (Reshape((8, 5)), images),
        (_example_network(), vectors),
    ]
    for layer, x in cases:
        for train in (True, False):
            yield check_layer(layer, x, train=train, seed=seed)

    logits = 3 * rng.standard_normal((6, 1))
    targets = rng.uniform(size=(6, 1))
    classes = rng.integers(0, 10, 6)
    for title, loss, x in (
        ("bce_with_logits", lambda x: losses.bce_with_logits(x, targets), logits),
        ("bce", lambda p: losses.bce(p, targets), rng.uniform(0.1, 0.9, (6, 1))),
        ("softmax_cross_entropy", lambda x: losses.softmax_cross_entropy(x, classes), vectors),
        ("wasserstein", lambda x: losses.wasserstein(x, -1), logits),
        ("hinge", lambda x: losses.hinge(x, -1), logits),
        ("least_squares", lambda x: losses.least_squares(x, targets), logits),
        ("non_saturating", losses.non_saturating, logits),
        ("minimax", losses.minimax, logits),
    ):
        yield check_loss(loss, x, title)


def _example_network():
    """A network with every kind of layer, one of them a network."""
    inner = Sequential([BatchNorm(8), Sigmoid(), Dropout(0.2)])
    gated = [LeakyReLU(0.1), Dropout(0.2)]  # one pass where they are together
    return Sequential([Dense(10, 8), Tanh(), inner, LayerNorm(8), Dense(8, 8), *gated, Dense(8, 2)])


def table(checks):
    """Checks as lines of text, one for each precision of each check, yielded as they come."""
    form = "{:<46} {:<5} {:<7} {:>8} {:>8}  {}"
    yield form.format("layer or loss", "mode", "dtype", "input", "2nd", "parameters (2nd order)")
    for check in checks:
        params = [name for name in check.errors if name != "input"]
        second = max((check.second[name] for name in ("dy", "input") if check.second), default=None)
        notes = [
            f"{name} {check.errors[name]:.0e}"
            + (f" ({check.second[name]:.0e})" if check.second else "")
            for name in params
        ]
        yield form.format(
            check.title, check.mode, "float64", f"{check.errors['input']:.0e}",
            "" if second is None else f"{second:.0e}",
            ", ".join(notes) + ("" if check.ok else "  FAILED"),
        ).rstrip()
        if check.float32:
            notes = [f"{name} {check.float32[name]:.0e}" for name in params]
            yield form.format(
                "", "", "float32", f"{check.float32['input']:.0e}", "", ", ".join(notes)
            ).rstrip()
