"""The Frechet distance of two sets of features, each taken for a Gaussian.

Heusel et al. 2017, eq. 6; Dowson and Landau 1982.  With means m, w and covariances C, D

    d^2 = |m - w|^2 + Tr(C + D - 2 (C D)^(1/2))

C D is not symmetric, but C^(1/2) D C^(1/2) has the same eigenvalues and is: eigh finds them, real
and without a root of a matrix that need not exist.  What rounding leaves below 0 is 0.
"""

import numpy as np


def frechet_distance(a, b):
    """d^2 of features a (n, F) and b (m, F), float64, at least 0.

    A covariance of so few rows that it has no inverse makes every distance large and no sense:
    raises ValueError unless n and m are above F.
    """
    if a.shape[1] != b.shape[1] or min(len(a), len(b)) <= a.shape[1]:
        raise ValueError(f"more rows than columns are needed, and as many: {a.shape}, {b.shape}")
    return distance_of_gaussians(a.mean(0), np.cov(a.T, ddof=1), b.mean(0), np.cov(b.T, ddof=1))


def distance_of_gaussians(m, C, w, D):
    """d^2 of N(m, C) and N(w, D); means (F,), covariances (F, F)."""
    C, D = np.atleast_2d(C), np.atleast_2d(D)
    values, vectors = np.linalg.eigh(C)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T  # C^(1/2)
    product = root @ D @ root
    values = np.linalg.eigvalsh((product + product.T) / 2)
    trace_of_root = np.sqrt(np.maximum(values, 0)).sum()
    return max(0.0, float(((m - w) ** 2).sum() + np.trace(C) + np.trace(D) - 2 * trace_of_root))
