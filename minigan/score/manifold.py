"""Precision and recall: are the pictures real ones, and are all kinds of real ones there?

Kynkaanniemi et al. 2019.  Around every feature vector of a set lies a ball that reaches to its k-th
nearest neighbour in the set; together the balls are the region of the set.  Precision is the
share of generated vectors in the region of the real ones, recall the share of real ones in the
region of the generated ones.
"""

import numpy as np

from .blocks import rows_of

NEIGHBOURS = 3


def precision_and_recall(real, fake, k=NEIGHBOURS):
    """(precision, recall) of features real (n, F) and fake (m, F), float64, each from 0 to 1.

    Raises ValueError unless n and m are above k.
    """
    if min(len(real), len(fake)) <= k:
        raise ValueError(f"more than {k} rows of each are needed: {len(real)}, {len(fake)}")
    return _share_within(fake, real, k), _share_within(real, fake, k)


def _share_within(points, centres, k):
    """The share of points in a ball around at least one of the centres."""
    radii = _radii(centres, k)
    inside = [(_squares(block, centres) <= radii).any(axis=1) for block in rows_of(points)]
    return float(np.concatenate(inside).mean())


def _radii(x, k):
    """Squared distances (n,) of the rows to their k-th nearest others; the nearest is the row."""
    return np.concatenate([np.partition(_squares(block, x), k)[:, k] for block in rows_of(x)])


def _squares(a, b):
    """Squared distances (n, m) of the rows of a and b."""
    return (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1) - 2 * (a @ b.T)
