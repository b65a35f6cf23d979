"""Normalisation of the features on the last axis, in few passes over memory: see features.py.

Other groups (LayerNorm, BatchNorm on another axis), evaluation and the second order are rare
enough for the plain formulas.
"""

import numpy as np

from .. import plain
from . import features


def batch_statistics(x, axes, eps, moving_mean, moving_variance, momentum, across=plain.alone):
    if not features_last(x, axes):
        return plain.batch_statistics(x, axes, eps, moving_mean, moving_variance, momentum, across)
    mean, variance = plain.pooled(*features.moments(x), across)
    plain.average(moving_mean, mean, momentum)
    plain.average(moving_variance, variance, momentum)
    return mean, plain.inverse_deviation(variance, eps)


def normalize(x, mean, scale, gamma, beta):
    if mean.size != x.shape[-1] or gamma.size != mean.size:
        return plain.normalize(x, mean, scale, gamma, beta)
    factor = scale.reshape(-1) * gamma.reshape(-1)
    return features.normalize(x, mean.reshape(-1), factor, beta.reshape(-1))


def normalize_backward(dy, x, mean, scale, gamma, axes, shared, across=plain.alone):
    if not features_last(x, axes):
        return plain.normalize_backward(dy, x, mean, scale, gamma, axes, shared, across)
    mean, scale, gamma = (vector.reshape(-1) for vector in (mean, scale, gamma))
    dbeta, dgamma = features.gradient_sums(dy, x, mean, scale)
    dx = features.gradient(dy, x, mean, scale, gamma, *across(np.stack([dbeta, dgamma])))
    return dx, dgamma, dbeta


def features_last(x, axes):
    """Are the groups along `axes` of x those of the features on its last axis?"""
    return axes == tuple(range(x.ndim - 1))
