"""Conditions: telling a network which kind of picture is meant (Mirza and Osindero 2014).

A label becomes a one-hot code, and the code stands beside the network's input on the
feature axis: more numbers behind z, or, repeated at every pixel, planes behind the colours
of an image.

    code = one_hot(labels, 10)                        (N, 10)
    fake, _ = G.forward(join(z, code))                (N, 100) -> (N, 110)
    scores, cache = D.forward(join(fake, code))       (N, H, W, 3) -> (N, H, W, 13)
    dfake, _ = join_backward(D.backward(dscores, cache, params=False), 3)

What D makes of the planes is its own affair.  Convolutions may read them as colours, one more a
class, or a `ByClass` may give each class a score of its own.
"""

import numpy as np

from . import kernels
from .arrays import get_array_module
from .network import Sequential


def one_hot(labels, classes, *, dtype="float32"):
    """Codes (N, classes) of `dtype`: 1 in the column of the label, 0 elsewhere.

    labels: integers (N,) in [0, classes), NumPy or CuPy.
    Raises ValueError unless they are integers on one axis, and in range.  To know the range of
    labels on a GPU is to wait for it: there a number out of range gives a row of NaN, which
    every loss shows.
    """
    xp = get_array_module(labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ValueError(f"labels must be integers (N,), got {labels.dtype} {labels.shape}")
    code = (labels[:, None] == xp.arange(classes)).astype(dtype)
    outside = code.sum(axis=1) == 0
    if xp is not np:
        return xp.where(outside[:, None], np.nan, code)
    if outside.any():
        first = labels[outside][0]
        raise ValueError(f"class {first} is not one of {classes}: they count from 0")
    return code


def join(x, code):
    """x (N, ..., C) with its code (N, K) behind the features: (N, ..., C + K).

    The code is repeated along the axes between, so that a pixel knows as much as its image.
    Both have one dtype and one module.  The map is linear; its second derivative is none.
    Raises ValueError unless there is one code for each sample, TypeError for two dtypes.
    """
    if code.ndim != 2 or len(code) != len(x):
        raise ValueError(f"codes {code.shape} do not fit an input {x.shape}: give one a sample")
    if code.dtype != x.dtype:
        raise TypeError(f"codes of {code.dtype} do not fit an input of {x.dtype}")
    return kernels.default[type(x)].join(x, code)


def join_backward(dy, features):
    """The gradients (dx, dcode) at the inputs of `join`, given dy (N, ..., C + K).

    features: C, the size of x's last axis.  dx (N, ..., C) is a view of dy; dcode (N, K) is a
    sum, because every pixel reads the same code.
    """
    return kernels.default[type(dy)].join_backward(dy, features)


class ByClass(Sequential):
    """A discriminator that has one score for each class: the label says which one counts.

    layers: those of a Sequential from images (N, H, W, C) to scores (N, classes).  It reads images
    and planes (N, H, W, C + classes), as any conditional D, but its layers see the images alone;
    the largest plane chooses the score, (N, 1).  As the choice is not moved by a small change, the
    gradient at the planes is zero.  name, seed, dtype, kernels: as of a Sequential.  A pass raises
    ValueError for an input without planes, and for layers that make another number of scores.

    Planes are copied and nothing is computed on them, so that many classes cost little, and no
    layer has to learn first what they are about.  Source: Mescheder et al. 2018
    (arXiv:1801.04406), their conditional experiments; the projection of Miyato and Koyama 2018
    (arXiv:1802.05637) is the same up to a score that all classes share.
    """

    def __init__(self, layers, *, classes, **settings):
        self.classes = self.size("classes", classes)
        super().__init__(layers, **settings)

    def config(self):
        return super().config() | dict(classes=self.classes)

    def output_shape(self, input_shape):
        *size, features = input_shape
        return (*super().output_shape((*size, features - self.classes))[:-1], 1)

    def forward(self, x, train=True, trace=None):
        k = self.kernels[type(x)]
        if x.ndim != 4 or x.shape[-1] <= self.classes:
            raise ValueError(
                f"{self!r} got {x.shape}, which is not (N, H, W, C + {self.classes}): images with "
                "the planes of their codes, as `condition.join` makes them"
            )
        images, planes = x[..., : -self.classes], x[:, 0, 0, -self.classes :]
        chosen = (planes == planes.max(axis=-1, keepdims=True)).astype(x.dtype)
        scores, inner = super().forward(images, train, trace)
        if scores.shape != chosen.shape:
            raise ValueError(f"{self!r} has scores {scores.shape} for {self.classes} classes")
        return k.choose(scores, chosen), (inner, chosen)

    def backward(self, dy, cache, params=True, need_dx=True, trace=None):
        k, (inner, chosen) = self.kernels[type(dy)], cache
        self.check_gradient(dy, (len(chosen), 1), chosen.dtype)
        dscores = k.choose_backward(dy, chosen)
        return self._above_planes(super().backward(dscores, inner, params, need_dx, trace), chosen)

    def double_backward(self, dx_bar, dy, cache):
        k, (inner, chosen) = self.kernels[type(dx_bar)], cache
        if not isinstance(dy, list):
            self.check_gradient(dy, (len(chosen), 1), chosen.dtype)
            dscores, dy = k.choose_backward(dy, chosen), []
            super().backward(dscores, inner, params=False, trace=dy)
        dscores_bar, x_bar = super().double_backward(dx_bar[..., : -self.classes], dy, inner)
        return k.choose(dscores_bar, chosen), self._above_planes(x_bar, chosen)

    def _above_planes(self, gradient, chosen):
        """A gradient at the images, before that at the planes, which is zero; None of None."""
        return None if gradient is None else join(gradient, self.xp.zeros_like(chosen))
