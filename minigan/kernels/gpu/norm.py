"""Normalisation of the features on the last axis: reductions and one launch each way.

Other groups, evaluation and the second order take the plain formulas, a launch an operator.
"""

from .. import plain
from ..cpu.norm import features_last
from ..plain import rows
from . import pointwise


def batch_statistics(x, axes, eps, moving_mean, moving_variance, momentum, across=plain.alone):
    if not features_last(x, axes) or across is not plain.alone:
        return plain.batch_statistics(x, axes, eps, moving_mean, moving_variance, momentum, across)
    return pointwise.batch_statistics(rows(x), eps, momentum, moving_mean, moving_variance)


def normalize(x, mean, scale, gamma, beta):
    return pointwise.normalize_leaky(x, mean, scale, gamma, beta, 1.0)


def normalize_backward(dy, x, mean, scale, gamma, axes, shared, across=plain.alone):
    if not features_last(x, axes):
        return plain.normalize_backward(dy, x, mean, scale, gamma, axes, shared, across)
    mean, scale, gamma = (vector.reshape(-1) for vector in (mean, scale, gamma))
    return normalize_leaky_backward(dy, x, mean, scale, gamma, gamma, 1.0, across)


def normalize_leaky_backward(dy, x, mean, scale, gamma, beta, slope, across):
    """(dx, dgamma, dbeta), features on the last axis.  With a slope of 1 any beta will do."""
    dx, dgamma, dbeta = pointwise.batch_norm_backward(
        rows(dy), rows(x), mean, scale, gamma, beta, slope, across
    )
    return dx.reshape(dy.shape), dgamma, dbeta
