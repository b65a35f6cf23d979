"""Optimizers and the moving average: the plain formulas, in blocks that stay in the cache."""

import math
from functools import partial

import numpy as np

from .. import plain
from .blocks import in_blocks


def sgd(p, g, velocity, lr, momentum):
    in_blocks(partial(plain.sgd, lr=lr, momentum=momentum), p, g, velocity)


def rmsprop(p, g, s, lr, rho, eps):
    in_blocks(partial(plain.rmsprop, lr=lr, rho=rho, eps=eps), p, g, s)


def adam(p, g, m, v, t, lr, b1, b2, eps, bound=np.inf):
    # lr mean / (sqrt(mean square) + eps), with both sums' scales taken out of the root: divided
    # through by that of the root, one scalar beside m and one beside eps are left of them.
    m_scale = (1 - b1) / (1 - b1**t)
    root_v_scale = math.sqrt((1 - b2) / (1 - b2**t))

    def update(p, g, m, v):
        m *= b1
        m += g
        v *= b2
        scratch = g * g
        v += scratch
        np.sqrt(v, out=scratch)
        scratch += eps / root_v_scale
        np.divide(m, scratch, out=scratch)
        scratch *= lr * m_scale / root_v_scale
        if bound < np.inf:
            plain.clip(scratch, lr * bound)
        p -= scratch

    in_blocks(update, p, g, m, v)


def average(mean, latest, keep):
    in_blocks(partial(plain.average, keep=keep), mean, latest)
