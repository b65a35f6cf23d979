"""Worlds: distributions in the plane that a GAN is to learn, and how well it has.

All lie within about [-1, 1] x [-1, 1]; `EXTENT` is what pictures show.  Ring and grid are those of
VEEGAN (Srivastava et al. 2017, arXiv:1705.07761) and PacGAN (Lin et al. 2018, arXiv:1712.04086) in
these units: spread over distance is theirs, and so is the measure, `World.quality`.

The numbers are addressed (`minigan.random`): the same (seed, where, step) are the same points.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import random
from ..arrays import get_array_module

EXTENT = 1.4  # pictures show [-1.4, 1.4] in both directions
GOOD = 3.0  # standard deviations from the nearest centre within which a sample is good
COUNT = 2500  # samples by which a generator is judged
CELLS = 30  # a side of the grid on which `divergences` counts


@dataclass(frozen=True, eq=False)
class World:
    """A distribution: points on a skeleton, and normal noise around them.

    name: a word.  skeleton: function of u (n,), uniform in [0, 1) -> points (n, 2).  sd: of the
    noise in each direction.  centres: (k, 2), the modes; (0, 2) where there are none.
    """

    name: str
    skeleton: Any
    sd: float
    centres: Any = field(default_factory=lambda: np.empty((0, 2)))

    def sample(self, n, *, seed, where="points", step=0, dtype="float32", xp=np):
        """Points (n, 2) of `dtype` and module `xp` at an address (see `minigan.random`)."""
        u = random.uniform((n,), seed=seed, where=f"{where}/skeleton", step=step, dtype="float64")
        noise = random.normal((n, 2), seed=seed, where=where, step=step, dtype="float64")
        return xp.asarray((self.skeleton(u) + self.sd * noise).astype(dtype))

    def quality(self, samples):
        """(modes, good) of samples (n, 2): the number of modes found, the share of good samples.

        As VEEGAN and PacGAN count: a sample is good within three standard deviations of the centre
        that is nearest to it, the only one that it can be so near to, and a mode is found where
        there is a good sample.  Both are 0-d results of the samples' own module and dtype: nothing
        waits for a GPU.  Raises ValueError for a world without modes.
        """
        if not len(self.centres):
            raise ValueError(f"world {self.name} has no modes: its samples are not good or bad")
        centres = get_array_module(samples).asarray(self.centres.astype(samples.dtype))
        squared = ((samples[:, None] - centres) ** 2).sum(axis=-1)  # (n, k)
        good = (squared <= (GOOD * self.sd) ** 2).astype(samples.dtype)
        return good.max(axis=0).sum(), good.sum(axis=1).mean()


def divergences(samples, data):
    """(KL, JS) in nats of two sets of points, NumPy (n, 2) and (m, 2), counted on a grid.

    KL is that of the data from the samples, sum p log(p / q) with the data's shares p, large where
    data has no samples; JS is the mean of both from their mean, between 0 and log 2.  The grid has
    30 x 30 cells over the plane that pictures show; what lies outside counts in the cell at the
    edge.  One point, spread evenly over all cells, is added to each set: KL remains finite.
    GAN Lab shows both in this way (Kahng et al. 2018, arXiv:1809.01587).  Raises ValueError for a
    point that is not a number.
    """
    p, q = _shares(data), _shares(samples)
    middle = (p + q) / 2
    kl = (p * np.log(p / q)).sum()
    return kl, ((p * np.log(p / middle)).sum() + (q * np.log(q / middle)).sum()) / 2


def _shares(points):
    if np.isnan(points).any():
        raise ValueError("a point that is not a number (nan) lies in no cell: leave it out")
    cells = np.clip(np.floor((points + EXTENT) * (CELLS / (2 * EXTENT))), 0, CELLS - 1).astype(int)
    counts = np.bincount(cells @ [1, CELLS], minlength=CELLS**2)
    return (counts + CELLS**-2) / (len(points) + 1)


def given(points):
    """The world of points given by hand, (n, 2): sampling draws from them, with a little noise.

    Raises ValueError for another shape, for none, and for one that pictures would not show.
    """
    points = np.asarray(points, float)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        raise ValueError(f"points given by hand are an array (n, 2), n >= 1; got {points.shape}")
    outside = ~(np.abs(points) <= EXTENT).all(axis=1)  # true for a NaN
    if outside.any():
        x, y = points[outside][0]
        raise ValueError(f"point ({x:g}, {y:g}) is not within {EXTENT} of 0: scale the points")
    return World("points", lambda u: points[(u * len(points)).astype(int)], 0.02)


def _modes(name, centres, sd):
    centres = np.array(centres, float)
    return World(name, lambda u: centres[(u * len(centres)).astype(int)], sd, centres)


def _on_circle(turns, radius=1.0):
    angle = 2 * np.pi * np.asarray(turns)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)


def _moons(u):
    """Two half circles that reach into each other: u goes along the upper, then the lower one."""
    apart = np.where(u[:, None] < 0.5, (-0.3, -0.15), (0.3, 0.15))
    return _on_circle(u, 0.6) + apart


def _spiral(u):
    """One and three quarters turns outwards, evenly along the way: the radius is a root of u."""
    radius = np.sqrt(u)
    return _on_circle(1.75 * radius, radius)


WORLDS = {
    world.name: world
    for world in (
        _modes("ring", _on_circle(np.arange(8) / 8), 0.01),
        _modes("grid", [(x / 2, y / 2) for x in range(-2, 3) for y in range(-2, 3)], 0.0125),
        World("moons", _moons, 0.03),
        World("spiral", _spiral, 0.02),
        World("line", lambda u: np.stack([2 * u - 1, 2 * u - 1], axis=-1) * 0.8, 0.02),
    )
}
