"""Is a file a right plain engine?  The checks, with that file in place of kernels/plain.py.

Two kinds: derivatives, which `gradcheck` compares with the function beside them, and facts, which
say what the function itself should be.  A function and its derivative may be wrong together; only
a fact can see that.
"""

import contextlib
import math
from types import ModuleType

import numpy as np

from .. import kernels
from ..errors import UserError
from ..gradcheck import check_all
from ..kernels import PLAIN, geometry
from ..layers import BatchNorm

TOLERANCE = 1e-6


def load(path):
    """The module in a file.  UserError where it is missing or no Python."""
    module = ModuleType(path.stem)
    try:
        # Not by importing it: two edits within a second would be one to Python's cache.
        exec(compile(path.read_bytes(), str(path), "exec"), vars(module))
    except FileNotFoundError as error:
        raise UserError(f"no {path}: `minigan puzzle N` writes it") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except SyntaxError as error:
        raise UserError(f"{path}, line {error.lineno}: {error.msg}") from error
    except Exception as error:  # whatever the file does at its top
        raise UserError(f"{path} cannot be imported: {_text(error)}") from error
    return module


@contextlib.contextmanager
def in_place_of_plain(module):
    """All that is computed on NumPy's arrays is computed by this module, until the block ends."""
    before, default = dict(PLAIN), kernels.default
    PLAIN.clear()
    PLAIN[np.ndarray] = module
    kernels.use("plain")
    try:
        yield
    finally:
        PLAIN.clear()
        PLAIN.update(before)
        kernels.use(default.name)


def judge(module):
    """(failed, count, broken): failed checks, how many there were, facts that raised something.

    failed: Checks of derivatives, and (title, found, expected) of facts.  broken: lines.
    """
    failed, broken, count = [], [], 0
    with in_place_of_plain(module), np.errstate(all="ignore"):
        for check in check_all():
            count += 1
            if not check.ok:
                failed.append(check)
        for title, fact in FACTS.items():
            count += 1
            try:
                found, expected = (np.asarray(value, float) for value in fact(module))
                if not np.allclose(found, expected, rtol=TOLERANCE, atol=TOLERANCE):
                    failed.append((title, found, expected))
            except Exception as error:  # of a file that is being edited
                broken.append(f"{title}: {_text(error)}")
    return failed, count, broken


def _text(error):
    return f"{type(error).__name__}: {error}"


# Facts: title -> function of the engine k, which returns what is found and what is expected.

FACTS = {}


def fact(title):
    def register(function):
        FACTS[title] = function
        return function

    return register


X = np.array([[-3.0, -0.5, 0.25], [2.0, 0.125, -1.0]])


@fact("the activations of -1, 0 and 2")
def _activations(k):
    x = np.array([-1.0, 0.0, 2.0])
    e = math.e
    return (
        [k.relu(x), k.leaky_relu(x, 0.2), k.sigmoid(x), k.tanh(x)],
        [[0, 0, 2], [-0.2, 0, 2], [1 / (1 + e), 0.5, 1 / (1 + e**-2)],
         [(1 - e**2) / (1 + e**2), 0, (e**4 - 1) / (e**4 + 1)]],
    )  # fmt: skip


@fact("Dense is x W + b")
def _dense(k):
    w, b = np.arange(6.0).reshape(3, 2), np.array([1.0, -1.0])
    return k.dense(X, w, b), [[x @ w[:, j] + b[j] for j in range(2)] for x in X]


@fact("the mean of what dropout makes of ones, to 0.02, and the share that is 0")
def _dropout(k):
    y, _ = k.dropout(np.ones((256, 512)), 0.75, dict(seed=0, where="fact"))
    return np.round([y.mean() / 0.04, (y == 0).mean() / 0.04]) * 0.04, [1.0, 0.24]


@fact("binary cross-entropy: log 2 at a logit of 0, and the same for a batch said twice")
def _bce(k):
    x = np.array([[0.0], [1.5]])
    twice = np.concatenate([x, x])
    return (
        [k.bce_with_logits(x[:1], 1.0)[0], k.bce_with_logits(twice, 0.3)[0],
         k.bce(twice, 0.3, 0.1)[0]],
        [math.log(2), k.bce_with_logits(x, 0.3)[0], k.bce(x, 0.3, 0.1)[0]],
    )  # fmt: skip


@fact("the losses of the scores -3, 0.5 and 2")
def _losses(k):
    x = np.array([[-3.0], [0.5], [2.0]])
    p = 1 / (1 + np.exp(-x))
    return (
        [k.bce_with_logits(x, 1.0)[0], k.bce_with_logits(x, 0.0)[0], k.minimax(x)[0],
         k.wasserstein(x, -1)[0], k.hinge(x, +1)[0], k.hinge(x, -1)[0], k.least_squares(x, 1.0)[0]],
        [-np.log(p).mean(), -np.log(1 - p).mean(), np.log(1 - p).mean(),
         0.5 / 3, 4.5 / 3, 4.5 / 3, 8.625 / 3],
    )  # fmt: skip


@fact("softmax cross-entropy of class 1")
def _softmax(k):
    t = np.eye(3)[[1, 1]]
    p = np.exp(X) / np.exp(X).sum(axis=1, keepdims=True)
    return k.softmax_cross_entropy(X, t)[0], -np.log(p[:, 1]).mean()


@fact("normalised values have mean 0 and mean square 1")
def _normalize(k):
    mean, scale = k.statistics(X, (0,), 0.0)
    y = k.normalize(X, mean, scale, np.ones(3), np.zeros(3))
    return [y.mean(axis=0), (y**2).mean(axis=0)], [[0] * 3, [1] * 3]


@fact("BatchNorm's moving mean and variance after a batch, from 0 and 1, momentum 0.9")
def _moving(k):
    layer = BatchNorm(3, momentum=0.9).build(dtype="float64")
    layer.forward(X)
    return (
        [layer.moving_mean, layer.moving_variance],
        [0.1 * X.mean(axis=0), 0.9 + 0.1 * X.var(axis=0)],
    )


@fact("a convolution with 1 in the middle of its kernel changes nothing, elsewhere it shifts")
def _conv(k):
    x = np.arange(20.0).reshape(1, 4, 5, 1)
    middle, corner = np.zeros((2, 3, 3, 1, 1))
    middle[1, 1], corner[0, 0] = 1, 1
    g = geometry((4, 5), 3, 1, "same")
    shifted = np.zeros_like(x)
    shifted[:, 1:, 1:] = x[:, :-1, :-1]
    return [k.conv(x, middle, g), k.conv(x, corner, g)], [x, shifted]


@fact("up-sampling repeats pixels, and a code is joined behind the features")
def _shapes(k):
    x = np.arange(4.0).reshape(1, 2, 2, 1)
    up = k.upsample(x, 2)[0, :, :, 0]
    joined = k.join(x, np.array([[7.0]]))[0, ..., 1]
    rows = [0, 0, 1, 1], [2, 2, 3, 3]
    return [*up.ravel(), *joined.ravel()], [*rows[0] * 2, *rows[1] * 2, *[7] * 4]


@fact("what reaches a code is summed over the pixels")
def _codes(k):
    dx, dcode = k.join_backward(np.arange(8.0).reshape(1, 2, 2, 2), 1)
    return [*dx.ravel(), *dcode.ravel()], [0, 2, 4, 6, 16]


@fact("interpolates between ones and zeros, of three samples")
def _interpolate(k):
    epsilon = np.array([[0.25], [0.5], [0.875]])
    return k.interpolate(np.ones((3, 2)), np.zeros((3, 2)), epsilon), epsilon.repeat(2, axis=1)


@fact("penalties of slopes of norm 1, 3 and 0.5")
def _penalties(k):
    g = np.array([[0.6, 0.8], [3.0, 0.0], [0.0, 0.5]])
    return (
        [k.distance_from_one(g, 10.0, one_sided=False)[0],
         k.distance_from_one(g, 10.0, one_sided=True)[0], k.half_square(g, 10.0)[0]],
        [10 * (0 + 4 + 0.25) / 3, 10 * 4 / 3, 5 * (1 + 9 + 0.25) / 3],
    )  # fmt: skip


@fact("three steps of SGD with momentum 0.5, gradients 1, 2, 3")
def _sgd(k):
    p, velocity = np.zeros(1), np.zeros(1)
    path = []
    for g in (1.0, 2.0, 3.0):
        k.sgd(p, np.array([g]), velocity, 0.1, 0.5)
        path.append(p[0])
    return path, [-0.1, -0.1 - 0.25, -0.1 - 0.25 - 0.425]


@fact("the first step of RMSProp is lr / sqrt(1 - rho), whatever the gradient")
def _rmsprop(k):
    p = np.zeros(2)
    k.rmsprop(p, np.array([5.0, -0.01]), np.zeros(2), 0.1, 0.99, 0.0)
    return p, [-1.0, 1.0]


@fact("the places of a weight under Adam, lr 0.1, whose gradient is always 3: -lr a step")
def _adam(k):
    p, m, v, path = np.zeros(1), np.zeros(1), np.zeros(1), []
    for t in range(1, 6):
        k.adam(p, np.array([3.0]), m, v, t, 0.1, 0.9, 0.999, 0.0)
        path.append(p[0])
    return path, [-0.1, -0.2, -0.3, -0.4, -0.5]


@fact("clipped at 0.5, and an average that keeps 0.75")
def _in_place(k):
    p, mean = np.array([-2.0, 0.25]), np.array([1.0, 2.0])
    k.clip(p, 0.5)
    k.average(mean, np.array([5.0, -2.0]), 0.75)
    return [p, mean], [[-0.5, 0.25], [2.0, 1.0]]


@fact("the bytes 0 and 255 become -1 and 1")
def _pixels(k):
    return k.from_pixels(np.array([0, 255], np.uint8), -1.0, 1.0, "float64"), [-1, 1]
