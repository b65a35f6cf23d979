"""Activations, Dropout, and the two in one pass, in blocks on all cores."""

import numpy as np

from ...threads import parallel
from .. import plain
from .blocks import blockwise, in_blocks


def relu(x):
    return blockwise(lambda y, x: np.maximum(x, 0, out=y), x)


def relu_backward(dy, y):
    def derivative(dx, dy, y):
        np.greater(y, 0, out=dx)
        dx *= dy

    return blockwise(derivative, dy, y)


def leaky_relu(x, slope):
    def leaky(y, x):
        np.multiply(x, slope, out=y)
        np.maximum(x, y, out=y)

    return blockwise(leaky, x)


def leaky_relu_backward(dy, y, slope):
    def derivative(dx, dy, y):
        # 1 or slope by arithmetic on 1 or 0: a branch an element costs ten times more.
        np.greater(y, 0, out=dx)
        dx *= 1 - slope
        dx += slope
        dx *= dy

    return blockwise(derivative, dy, y)


def dropout(x, keep, address):
    mask = keep_mask(x.shape, keep, **address)
    return dropout_backward(x, mask, keep), mask


def dropout_backward(dy, mask, keep):
    def masked(dx, dy, mask):
        np.copyto(dx, mask)  # as numbers first: a product with booleans is slower
        dx *= 1 / keep
        dx *= dy

    return blockwise(masked, dy, mask)


def keep_mask(shape, keep, seed, where, step=0, call=0, share=None):
    mask = np.empty(np.prod(shape, dtype=int), bool)
    size = plain.MASK_BLOCK
    for here, there, count in plain.runs(shape, share):
        part, first = mask[here : here + count], there // size

        def draw(start, stop):
            for block in range(first + start, first + stop):
                plain.draw_mask(part, there, block, keep, seed, where, step, call)

        parallel(draw, -(-(there + count) // size) - first, count)
    return mask.reshape(shape)


# LeakyReLU and the Dropout behind it.  Both multiply every element by a number, 1 or the slope,
# and 0 or 1 / keep.  Their product, the factor f, is all that the ways up and down need of either:
# y = f x, dx = f dy, dy_bar = f dx_bar.


def gate(x, slope, keep, address):
    """(y, f) of dropout(leaky_relu(x)); address: None where nothing is dropped."""
    masks = [] if address is None else [keep_mask(x.shape, keep, **address)]
    keep = keep if masks else 1.0

    def factor(y, f, x, *masks):
        np.greater(x, 0, out=f)
        f *= (1 - slope) / keep
        f += slope / keep
        for mask in masks:
            np.copyto(y, mask)  # as numbers first: a product with booleans is slower
            f *= y
        np.multiply(f, x, out=y)

    y, f = np.empty_like(x), np.empty_like(x)
    in_blocks(factor, y, f, x, *masks)
    return y, f


def gate_backward(dy, f):
    return blockwise(lambda dx, f, dy: np.multiply(f, dy, out=dx), f, dy)


def from_pixels(pixels, low, high, dtype):
    x = pixels.astype(dtype)
    x *= (high - low) / 255
    x += low
    return x
