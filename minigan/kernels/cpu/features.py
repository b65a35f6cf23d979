"""Channels-last arrays, feature by feature: few passes over memory, on all cores.

    add:        y += beta
    total:      dbeta = sum(dy)

and batch normalisation: for x (..., C) with n = x.size / C rows, and one mean, scale, gamma
and beta a feature,

    moments:    mean = sum(x) / n,   variance = sum((x - mean)^2) / n
    normalize:  y = (x - mean) * (scale gamma) + beta
    backward:   dbeta = sum(dy),   dgamma = sum(dy h),   h = (x - mean) * scale
                dx = (scale gamma) (dy - dbeta / n - h dgamma / n)

Each line is one pass, in blocks of rows that stay in the cache, and h is never stored.
The sums over a block's rows are products with a vector of ones, added up in float64.

A row of few channels is too short for NumPy's inner loop, so rows are joined to wide
ones, and the vectors of a feature each repeated to match.
"""

import math

import numpy as np

from ...threads import parallel
from .blocks import unbuffered

WIDE = 1024  # elements of a joined row, at most
BLOCK = 2**19  # elements: 2 MB of float32; sums of smaller blocks wait longer than they work


def moments(x):
    """x (..., C) -> mean and biased variance, (C,) each, of x's dtype."""
    channels = x.shape[-1]
    n = x.size // channels
    (rows,) = _wide(x)
    mean = (_sums(rows, _itself, channels)[0] / n).astype(x.dtype)
    wide_mean = _repeat(mean, rows)

    def squares(block):
        d = block - wide_mean
        return (np.multiply(d, d, out=d),)

    return mean, (_sums(rows, squares, channels)[0] / n).astype(x.dtype)


def normalize(x, mean, factor, beta):
    """y = (x - mean) * factor + beta, for x (..., C) and three vectors (C,)."""
    y = np.empty(x.shape, x.dtype)
    rows, y_rows = _wide(x, y)
    mean, factor, beta = (_repeat(vector, rows) for vector in (mean, factor, beta))

    def work(start, stop):
        with unbuffered():
            out = np.subtract(rows[start:stop], mean, out=y_rows[start:stop])
            out *= factor
            out += beta

    parallel(work, len(rows), rows.size, _block(rows))
    return y


def gradient_sums(dy, x, mean, scale):
    """(sum of dy, sum of dy h) over all rows, (C,) each; dy, x (..., C), mean, scale (C,)."""
    dy_rows, rows = _wide(dy, x)
    wide_mean = _repeat(mean, rows)

    def terms(dy_block, x_block):
        d = x_block - wide_mean
        return dy_block, np.multiply(d, dy_block, out=d)

    dbeta, sum_d = _sums(dy_rows, terms, x.shape[-1], rows)
    return dbeta.astype(x.dtype), (sum_d * scale).astype(x.dtype)


def gradient(dy, x, mean, scale, gamma, dbeta, dgamma):
    """dx (..., C), given the sums of `gradient_sums`; vectors (C,)."""
    dx = np.empty(x.shape, x.dtype)
    dy_rows, rows, dx_rows = _wide(dy, x, dx)
    n, factor = x.size // x.shape[-1], scale * gamma
    mean, factor, slope, shift = (
        _repeat(vector, rows)
        for vector in (mean, factor, factor * scale * dgamma / n, factor * dbeta / n)
    )

    def work(start, stop):
        with unbuffered():
            along_h = rows[start:stop] - mean
            along_h *= slope
            along_h += shift
            out = np.multiply(dy_rows[start:stop], factor, out=dx_rows[start:stop])
            out -= along_h

    parallel(work, len(rows), rows.size, _block(rows))
    return dx


def add(y, vector):
    """y += vector, for y (..., C) and a vector (C,).  Raises ValueError unless y is contiguous."""
    if not y.flags.c_contiguous:
        raise ValueError("y is not contiguous")
    (rows,) = _wide(y)
    wide_vector = _repeat(vector, rows)

    def work(start, stop):
        with unbuffered():
            rows[start:stop] += wide_vector

    parallel(work, len(rows), rows.size, _block(rows))


def total(x):
    """The sum (C,) over all rows of x (..., C), of x's dtype."""
    if not x.size:
        return np.zeros(x.shape[-1], x.dtype)
    (rows,) = _wide(x)
    return _sums(rows, _itself, x.shape[-1])[0].astype(x.dtype)


def _itself(block):
    return (block,)


def _wide(*arrays):
    """The arrays (..., C) as matrices of joined rows (m, k * C)."""
    channels = arrays[0].shape[-1]
    n = arrays[0].size // channels
    joined = math.gcd(n, 2 ** max(0, (WIDE // channels).bit_length() - 1))
    return [array.reshape(n // joined, joined * channels) for array in arrays]


def _repeat(vector, rows):
    """vector (C,) as often as it goes into a row of rows (m, k * C)."""
    return np.tile(vector.astype(rows.dtype, copy=False), rows.shape[1] // len(vector))


def _block(rows):
    """How many of the rows are a block."""
    return max(1, BLOCK // rows.shape[1])


def _sums(rows, terms, channels, *more):
    """The sums over all rows of each of terms(block of rows, ...): float64 (C,) each."""

    def work(start, stop):
        ones = np.ones(stop - start, rows.dtype)
        with unbuffered():
            parts = terms(*(array[start:stop] for array in (rows, *more)))
        return np.stack([ones @ part for part in parts]).astype(np.float64)

    found = sum(parallel(work, len(rows), rows.size, _block(rows)))
    return found.reshape(len(found), -1, channels).sum(axis=1)
