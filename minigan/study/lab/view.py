"""What is to be seen of a duel in the plane: arrays, computed from its networks as they are.

Nothing here changes them: passes in evaluation mode, with D's parameters frozen.
"""

import base64
from statistics import NormalDist

import numpy as np

from ..plane import gradient, scores_on_grid

SHOWN = 400  # points of each kind
ARROWS = 100  # of the first so many
SIDE = 48  # of the grid of places where D is asked
CELLS = 24  # of the noise's grid, in each of two directions
COVERED = 0.98  # of the noise in each direction


def surface(duel):
    """D's scores (SIDE, SIDE) of a grid of places; row 0 is the top of the picture."""
    return scores_on_grid(duel.D, SIDE)


def samples(duel, count=SHOWN, where="shown", step=0):
    """Points (count, 2) of the generator, of the same noise whenever the address is the same."""
    return duel.generator.forward(duel.noise(count, where, step), train=False)[0]


def wishes(duel, points):
    """-dfake (N, 2) at points (N, 2): where D, and G's loss, would have each of them go."""
    return -gradient(duel.D, duel.game, points)


def noise_map(duel):
    """Where G sends a grid of noise, (rows, CELLS + 1, 2).

    The grid is over the first two numbers of z, of equal shares of the noise; other numbers are 0.
    Of one number it is a line, a grid of one row.
    """
    shares = np.linspace(1 - COVERED, COVERED, CELLS + 1)
    along = np.array([NormalDist().inv_cdf(share) for share in shares])
    if duel.latent.kind == "uniform":
        along = duel.latent.low + shares * (duel.latent.high - duel.latent.low)
    sides = [along] * min(2, duel.latent.size)
    grid = np.stack(np.meshgrid(*sides), axis=-1).reshape(-1, len(sides))
    z = np.zeros((len(grid), duel.latent.size), duel.G.dtype)
    z[:, : len(sides)] = grid
    return duel.generator.forward(z, train=False)[0].reshape(-1, CELLS + 1, 2)


def packed(array):
    """An array for JSON: its shape, and its numbers as float32 in base64."""
    array = np.asarray(array)
    return dict(shape=array.shape, numbers=base64.b64encode(array.astype("<f4").tobytes()).decode())
