"""The sheet of pictures that shows how far a generator is: of the same z every time."""

import numpy as np

from ..arrays import to_host
from . import pictures

SAMPLES = 16  # pictures on a sheet
CLASS_GAP = 6  # pixels between the sheets of two classes


def sheet(generator, latent, *, seed, value_range, xp):
    """A contact sheet, uint8 (H, W, C), of the generator in evaluation mode.

    latent: its `Latent`; where that has classes there is a sheet of each, side by side, of the
    same z.  value_range: of its images.  xp: the array module that the generator is on.
    """
    z = latent.draw(SAMPLES, seed=seed, where="samples", dtype=generator.dtype, xp=xp)

    def drawn(z, scale=None):
        images, _ = generator.forward(z, train=False)
        return pictures.grid(pictures.to_uint8(to_host(images), value_range), scale=scale)

    if not latent.classes:
        return drawn(z)
    sheets = [
        drawn(latent.labelled(z, xp.full(SAMPLES, k)), scale=1) for k in range(len(latent.classes))
    ]
    return pictures.grid(np.stack(sheets), gap=CLASS_GAP)
