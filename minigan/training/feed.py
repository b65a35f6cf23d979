"""The images of a run for its device: resident where they fit, else brought by the batch."""

import numpy as np

SHARE = 0.5  # of the device's free memory that images may take; the rest is for the step


class Feed:
    """Images, uint8 (N, H, W, C), of which batches are taken.

    images: a NumPy array.  xp: the array module of the run.  Images that do not fit into the
    device's memory stay on the host; a batch of them is uploaded as bytes, a quarter of floats,
    which CuPy does through pinned memory and without waiting for the device.
    """

    def __init__(self, images, xp):
        self.xp = xp
        self.resident = xp is np or images.nbytes <= SHARE * xp.cuda.runtime.memGetInfo()[0]
        self.images = xp.asarray(images) if self.resident else images

    def take(self, chosen, on_host):
        """Images uint8 (n, H, W, C) on the device.

        chosen, on_host: the same indices (n,), or slice, on the device and on the host.
        """
        if self.resident:
            return self.images[chosen]
        return self.xp.asarray(self.images[on_host])
