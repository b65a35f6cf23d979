"""The kernel distance of two sets of features: nothing is assumed of their shape.

The squared maximum mean discrepancy (Gretton et al. 2012, eq. 3) with the cubic kernel of
Binkowski et al. 2018, who call it KID on Inception's features:

    k(x, y) = (x . y / F + 1)^3
    d^2 = mean of k(x, x') + mean of k(y, y') - 2 mean of k(x, y)

over pairs of different rows.  It is unbiased: of two sets of one kind it is 0 on average at any
size, so it is sometimes below 0.
"""

from .blocks import rows_of


def kernel_distance(x, y):
    """d^2 of features x (n, F) and y (m, F), float64, n and m at least 2; else ValueError."""
    n, m = len(x), len(y)
    if min(n, m) < 2:
        raise ValueError(f"two rows at least of each are needed: {n}, {m}")
    within_x = (_sum(x, x) - _kernel((x * x).sum(axis=1), x.shape[1]).sum()) / (n * (n - 1))
    within_y = (_sum(y, y) - _kernel((y * y).sum(axis=1), y.shape[1]).sum()) / (m * (m - 1))
    return float(within_x + within_y - 2 * _sum(x, y) / (n * m))


def _kernel(products, features):
    return (products / features + 1) ** 3


def _sum(x, y):
    """The sum of k over all pairs of rows."""
    return sum(_kernel(block @ y.T, x.shape[1]).sum() for block in rows_of(x))
