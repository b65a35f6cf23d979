"""The pointwise passes on a GPU: each formula in one launch.

A launch costs ten microseconds or more, and a pass over memory is all that these formulas
take: NumPy's way, a pass for each operator, would be several times slower.  What each computes
is said by the layer, loss or optimizer that calls it.

Arrays are of one float dtype T and of one shape, unless it says otherwise; results are new.
"""

import math

import numpy as np

from ... import changing
from ...arrays import get_array_module
from ..plain import random_bits
from .cuda import Kernel

# Activations.

_leaky_relu = Kernel("leaky_relu", "T x, T slope", "T y", "y = x > 0 ? x : x * slope;")
_leaky_relu_backward = Kernel(
    "leaky_relu_backward", "T dy, T y, T slope", "T dx", "dx = y > 0 ? dy : dy * slope;"
)
_tanh_backward = Kernel("tanh_backward", "T dy, T y", "T dx", "dx = dy * (1 - y * y);")
_sigmoid_backward = Kernel("sigmoid_backward", "T dy, T y", "T dx", "dx = dy * y * (1 - y);")
# exp(x) / (1 + exp(x)) for x < 0 and 1 / (1 + exp(-x)) above: never a positive exponent.
_sigmoid = Kernel("sigmoid", "T x", "T y", "y = exp(x < 0 ? x : T(0)) / (1 + exp(-fabs(x)));")
_softplus = Kernel("softplus", "T x", "T y", "y = (x > 0 ? x : T(0)) + log1p(exp(-fabs(x)));")


def leaky_relu(x, slope):
    """y = x where x > 0, slope x elsewhere."""
    return _leaky_relu(x, slope)


def leaky_relu_backward(dy, y, slope):
    """dx = dy where y > 0, slope dy elsewhere."""
    return _leaky_relu_backward(dy, y, slope)


def relu_backward(dy, y):
    """dx = dy where y > 0, 0 elsewhere."""
    return _leaky_relu_backward(dy, y, 0.0)


def tanh_backward(dy, y):
    """dx = dy (1 - y^2)."""
    return _tanh_backward(dy, y)


def sigmoid(x):
    """1 / (1 + exp(-x))."""
    return _sigmoid(x)


def sigmoid_backward(dy, y):
    """dx = dy y (1 - y)."""
    return _sigmoid_backward(dy, y)


def softplus(x):
    """log(1 + exp(x))."""
    return _softplus(x)


# Dropout.  The hash mixes the element's index with the key: multiply-and-shift rounds of the
# murmur family (constants of Wellons' search for a low-bias 32-bit hash, 2018), run twice with
# the key between.

_MASK = "uint32 key, uint32 threshold, int64 run, int32 rank, int32 processes"
_KEPT = """
    unsigned int bits = (i / run * processes + rank) * run + i % run;  // its place in the whole
    for (int round = 0; round < 2; ++round) {
        bits ^= round == 0 ? key : key ^ 0x9E3779B9u;
        bits ^= bits >> 16;
        bits *= 0x7FEB352Du;
        bits ^= bits >> 15;
        bits *= 0x846CA68Bu;
        bits ^= bits >> 16;
    }
    const bool kept = (bits >> 16) < threshold;
"""
_dropout = Kernel(
    "dropout",
    f"T x, T scale, {_MASK}",
    "T y, bool mask",
    _KEPT + "mask = kept; y = kept ? x * scale : T(0);",
)
_masked = Kernel("masked", "T x, bool mask, T scale", "T y", "y = mask ? x * scale : T(0);")


def dropout(x, keep, address):
    """(y, mask): y = x / keep where mask, 0 elsewhere.

    mask: bool, True where the hash of the element's index and the key has upper 16 bits below
    65536 keep.  The key: 32 bits drawn at the address.
    """
    return _dropout(x, 1 / keep, *_mask(x, keep, address))


def _mask(x, keep, address):
    """The numbers of `_MASK`; address: None keeps all."""
    if address is None:
        return 0, 65536, 1, 0, 1
    share = address.get("share") or (len(x), 0, 1)
    address = {name: value for name, value in address.items() if name != "share"}
    key = changing.of_step(lambda step: _key(address | {"step": step}), address.get("step", 0))
    n, rank, size = share
    run = n * (x.size // len(x)) if x.size else 1
    return key, round(keep * 65536), run, rank, size


def _key(address):
    return np.uint32(random_bits(**address).random_raw() & 0xFFFFFFFF)


def dropout_backward(dy, mask, keep):
    """dy / keep where mask, 0 elsewhere."""
    return _masked(dy, mask, 1 / keep)


# LeakyReLU and the Dropout behind it: see kernels/cpu/pointwise.py.

_gate = Kernel(
    "gate",
    f"T x, T high, T low, {_MASK}",
    "T y, T f",
    _KEPT + "f = kept ? (x > 0 ? high : low) : T(0); y = f * x;",
)


def gate(x, slope, keep, address):
    """(y, f), y = f x = dropout(leaky_relu(x)); address: None where nothing is dropped."""
    keep = 1.0 if address is None else keep
    return _gate(x, 1 / keep, slope / keep, *_mask(x, keep, address))


def gate_backward(dy, f):
    """dx = f dy."""
    return f * dy


# Sums over the rows of x (rows, features).  One thread adds up one feature of a run of rows,
# neighbours reading neighbouring features; CuPy then adds up the runs.  Sums are in float64, so
# those of squares keep their digits, and each depends on the sizes alone: results repeat.

MOST_RUNS = 2048
LEAST_ROWS = 16  # of a run: the sums are twice as wide as x and must not take as long as it
THREADS = 2**18  # about what it takes to keep the largest GPUs reading

_RUN = """
    const int f = i % features, run = i / features;
    const int first = (long long)rows * run / runs, last = (long long)rows * (run + 1) / runs;
"""

_column_sums = Kernel(
    "column_sums",
    "raw T x, int32 rows, int32 features, int32 runs",
    "raw float64 sums",
    _RUN
    + """
    double sum = 0;
    for (int r = first; r < last; ++r) sum += x[(ptrdiff_t)r * features + f];
    sums[i] = sum;
    """,
)

# Of x - shift and its square, the shift being the first row: a feature that hardly varies far
# from zero keeps its variance.
_moments = Kernel(
    "moments",
    "raw T x, int32 rows, int32 features, int32 runs",
    "raw float64 sums",
    _RUN
    + """
    const double shift = x[f];
    double sum = 0, squares = 0;
    for (int r = first; r < last; ++r) {
        const double d = x[(ptrdiff_t)r * features + f] - shift;
        sum += d;
        squares += d * d;
    }
    sums[run * 2 * features + f] = sum;
    sums[(run * 2 + 1) * features + f] = squares;
    """,
)

_batch_statistics = Kernel(
    "batch_statistics",
    "raw T x, float64 sum, float64 squares, int32 rows, T eps, float64 momentum",
    "T mean, T scale, T moving_mean, T moving_variance",
    """
    const double from_shift = sum / rows, spread = squares / rows - from_shift * from_shift;
    const double average = x[i] + from_shift, variance = spread > 0 ? spread : 0;
    mean = average;
    scale = 1 / sqrt(variance + eps);
    moving_mean = momentum * moving_mean + (1 - momentum) * average;
    moving_variance = momentum * moving_variance + (1 - momentum) * variance;
    """,
)

# y = leaky(h), h = gamma (x - mean) scale + beta; with a slope of 1 it is h.  Backward, h is had
# from x again: to read it, or a mask, would take longer.

_normalize = Kernel(
    "normalize",
    "T x, T mean, T scale, T gamma, T beta, T slope",
    "T y",
    "const T h = (x - mean) * scale * gamma + beta; y = h > 0 ? h : h * slope;",
)

_gradient_sums = Kernel(
    "gradient_sums",
    "raw T dy, raw T x, raw T mean, raw T scale, raw T gamma, raw T beta, T slope, "
    "int32 rows, int32 features, int32 runs",
    "raw float64 sums",
    _RUN
    + """
    const double center = mean[f], factor = scale[f];
    double sum = 0, products = 0;
    for (int r = first; r < last; ++r) {
        const ptrdiff_t at = (ptrdiff_t)r * features + f;
        const double n = (x[at] - center) * factor;
        const double dh = n * gamma[f] + beta[f] > 0 ? dy[at] : dy[at] * slope;
        sum += dh;
        products += dh * n;
    }
    sums[run * 2 * features + f] = sum;
    sums[(run * 2 + 1) * features + f] = products;
    """,
)

_batch_norm_backward = Kernel(
    "batch_norm_backward",
    "T dy, T x, T mean, T scale, T gamma, T beta, T slope, "
    "float64 sum, float64 products, int32 rows",
    "T dx",
    """
    const double n = (x - mean) * scale;
    const double dh = n * gamma + beta > 0 ? dy : dy * slope;
    dx = scale * gamma * (dh - sum / rows - n * products / rows);
    """,
)


_rounded = Kernel("rounded", "float64 a, float64 b", "T x, T y", "x = a; y = b;")


def column_sum(x):
    """The sum of x (rows, features) over its rows: (features,)."""
    return _summed(_column_sums, 1, x)[0].astype(x.dtype)


def batch_statistics(x, eps, momentum, moving_mean, moving_variance):
    """(mean, scale), each (features,), of x (rows, features); moves the moving ones in place.

    scale = 1 / sqrt(variance + eps) with the biased variance;
    moving = momentum moving + (1 - momentum) latest.
    """
    xp = get_array_module(x)
    x, (sum, squares) = xp.ascontiguousarray(x), _summed(_moments, 2, x)
    mean, scale = xp.empty_like(moving_mean), xp.empty_like(moving_mean)
    _batch_statistics(
        x, sum, squares, len(x), eps, momentum, mean, scale, moving_mean, moving_variance
    )
    return mean, scale


def normalize_leaky(x, mean, scale, gamma, beta, slope):
    """leaky(gamma (x - mean) scale + beta), x (..., features), the other arrays (features,)."""
    return _normalize(x, mean, scale, gamma, beta, slope)


def batch_norm_backward(dy, x, mean, scale, gamma, beta, slope, across):
    """(dx, dgamma, dbeta) of `normalize_leaky` with x's own mean and scale.

    dx, dy and x are (rows, features), the others (features,).  across: the mean over processes.
    """
    empty_like = get_array_module(x).empty_like
    sums = _summed(_gradient_sums, 2, dy, x, mean, scale, gamma, beta, numbers=(slope,))
    dgamma, dbeta = _rounded(sums[1], sums[0], empty_like(gamma), empty_like(gamma))
    sum, products = across(sums)
    dx = _batch_norm_backward(dy, x, mean, scale, gamma, beta, slope, sum, products, len(x))
    return dx, dgamma, dbeta


def _summed(kernel, count, x, *more, numbers=()):
    """What a kernel of runs adds up over the rows of x (rows, features): float64 (count, features).

    `more`: its further arrays, and `numbers` behind them.
    """
    xp = get_array_module(x)
    rows, features = x.shape
    runs = max(1, min(rows // LEAST_ROWS, MOST_RUNS, math.ceil(THREADS / features)))
    sums = xp.empty((runs, count, features), "float64")
    arrays = (xp.ascontiguousarray(array) for array in (x, *more))
    kernel(*arrays, *numbers, rows, features, runs, sums, size=runs * features)
    return sums.sum(axis=0)


# Losses: the term of each element, and the gradient of their mean.

_bce_with_logits = Kernel(
    "bce_with_logits",
    "T x, T t, T count",
    "T term, T dx",
    """
    const T small = exp(-fabs(x)), low = small / (1 + small), high = 1 / (1 + small);
    const T up = x < 0 ? low : high, down = x < 0 ? high : low;  // sigmoid(x), sigmoid(-x)
    term = log1p(small) + (x > 0 ? (1 - t) * x : -t * x);
    dx = ((1 - t) * up - t * down) / count;
    """,
)

_softmax_cross_entropy = Kernel(
    "softmax_cross_entropy",
    "raw T x, raw T t, int32 classes, int32 rows",
    "raw T term, raw T dx",
    """
    const ptrdiff_t first = (ptrdiff_t)i * classes;
    T top = x[first], total = 0, weight = 0, dot = 0;
    for (int k = 1; k < classes; ++k) top = x[first + k] > top ? x[first + k] : top;
    for (int k = 0; k < classes; ++k) total += exp(x[first + k] - top);
    const T log_total = log(total);
    for (int k = 0; k < classes; ++k) {
        weight += t[first + k];
        if (t[first + k] != 0) dot += t[first + k] * (x[first + k] - top - log_total);
    }
    term[i] = -dot;
    for (int k = 0; k < classes; ++k) {
        const T p = exp(x[first + k] - top - log_total);
        dx[first + k] = (p * weight - t[first + k]) / rows;
    }
    """,
)


def bce_with_logits(logits, target):
    """(loss, dlogits) of `losses.bce_with_logits`; target: a number or an array."""
    terms, dlogits = _bce_with_logits(logits, target, logits.size)
    return terms.mean(), dlogits


def softmax_cross_entropy(logits, target):
    """(loss, dlogits) of `losses.softmax_cross_entropy`, logits and target (N, K)."""
    xp = get_array_module(logits)
    logits, target = xp.ascontiguousarray(logits), xp.ascontiguousarray(target)
    (rows, classes), dtype = logits.shape, logits.dtype
    terms, dlogits = xp.empty((rows,), dtype), xp.empty_like(logits)
    _softmax_cross_entropy(logits, target, classes, rows, terms, dlogits, size=rows)
    return terms.mean(), dlogits


# Optimizers.

_adam = Kernel(
    "adam",
    "T g, T b1, T b2, T eps, T rate, T most",
    "T p, T m, T v",
    """
    m = b1 * m + g;
    v = b2 * v + g * g;
    T step = rate * (m / (sqrt(v) + eps));
    p -= step > most ? most : step < -most ? -most : step;  // a NaN stays one
    """,
)


def adam(p, g, m, v, t, lr, b1, b2, eps, bound=math.inf):
    """Adam's step, in one launch; divided through by the root's scale, as on the CPU."""

    def rates(t, lr):
        m_scale = (1 - b1) / (1 - b1**t)
        root_v_scale = math.sqrt((1 - b2) / (1 - b2**t))
        return eps / root_v_scale, lr * m_scale / root_v_scale, lr * bound

    _adam(g, b1, b2, *changing.of_update(rates, p, t, lr), p, m, v)


# Images.

_pixels = Kernel("pixels", "uint8 pixel, T factor, T low", "T x", "x = pixel * factor + low;")


def from_pixels(pixels, low, high, dtype):
    """pixels, uint8, as numbers in [low, high] of `dtype`."""
    x = get_array_module(pixels).empty(pixels.shape, dtype)
    return _pixels(pixels, (high - low) / 255, low, x)
