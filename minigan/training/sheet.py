"""The sheet of pictures that shows how far a generator is: of the same z every time."""

import numpy as np

from ..arrays import to_host
from . import pictures

SAMPLES = 16  # pictures on a sheet, of each class
CLASS_GAP = 6  # pixels between the sheets of two classes


def draw(generator, latent, *, seed, xp):
    """What the generator makes in evaluation mode, (kinds, SAMPLES, H, W, C) on the host.

    latent: its `Latent`; each of its classes is a kind, of the same z, and without classes there
    is one.  xp: the array module that the generator is on.
    """
    z = latent.draw(SAMPLES, seed=seed, where="samples", dtype=generator.dtype, xp=xp)
    kinds = [latent.labelled(z, xp.full(SAMPLES, k)) for k in range(len(latent.classes))] or [z]
    return np.stack([to_host(generator.forward(z, train=False)[0]) for z in kinds])


def sheet(images, value_range):
    """A contact sheet, uint8 (H, W, C), of what `draw` made; of several kinds side by side."""
    several = len(images) > 1
    levels = pictures.to_uint8(images, value_range)
    sheets = [pictures.grid(kind, scale=1 if several else None) for kind in levels]
    return pictures.grid(np.stack(sheets), gap=CLASS_GAP) if several else sheets[0]
