"""Signs that a training has gone wrong, though every number is finite: no silence about them."""

import numpy as np

WON = 1e-3  # D is this near to 1 on real and to 0 on generated images
VANISHED = 1e-10  # of G's gradient: below it Adam, whose eps is 1e-8, no longer moves anything
NEAR_OVERFLOW = 1e-6  # of the largest number of a dtype


def warning(columns, generator, images, value_range, arrays):
    """One line with the figures that show what is wrong; None where nothing is.

    columns: of the history, those of the last epoch.  generator: in training.  images:
    (kinds, N, H, W, C), what it draws, in value_range.  arrays: dict name -> everything that
    training writes.
    """
    found = [
        *_won(columns),
        *_vanished(generator),
        *_collapsed(images, value_range),
        *_nearly_overflown(arrays),
    ]
    return "; ".join(found) or None


def _won(columns):
    if {"d_real", "d_fake"} <= columns.keys() and len(columns["d_real"]):
        real, fake = np.median(columns["d_real"]), np.median(columns["d_fake"])
        if real > 1 - WON and fake < WON:
            yield f"D has won: D(x) is {real:.4g}, D(G(z)) {fake:.2g}"


def _vanished(generator):
    size = _size(generator.grads)
    if size < VANISHED:
        yield f"G learns nothing: its gradient is {size:.2g} at most"


def _collapsed(images, value_range):
    """All pictures of a kind the same: to less than what a byte can tell apart."""
    low, high = value_range
    levels = float(np.ptp(images, axis=1).max()) * 255 / (high - low)
    if levels < 1:
        yield f"G has collapsed: its pictures differ by {levels:.2g} of 255 grey levels"


def _nearly_overflown(arrays):
    for name, array in arrays.items():
        size, largest = _size(array), float(np.finfo(array.dtype).max)
        if size > NEAR_OVERFLOW * largest:
            yield f"{name} reaches {size:.2g}, and {array.dtype} ends at {largest:.2g}"
            return


def _size(array):
    """The largest absolute value, without an array of them."""
    return max(float(array.max()), -float(array.min())) if array.size else 0.0
