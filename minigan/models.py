"""A generator and a discriminator for pictures of any size: the DCGAN's way, for your own.

    G = generator((96, 64), channels=3, latent=64, classes=2)    # z and codes: (N, 64 + 2)
    D = discriminator((96, 64), channels=3, classes=2)    # images and planes: (N, 96, 64, 3 + 2)

Both are chains of halvings and doublings (Radford et al. 2016, arXiv:1511.06434).  D halves height
and width while the shorter one is at least 8, so that 4 to 7 pixels of it are left:

    n -> ceil(n / 2):       96 -> 48 -> 24 -> 12 -> 6,       27 -> 14 -> 7

by convolutions of kernel 4 and stride 2.  As 2 divides 4, every pixel is read by as many taps as
its neighbours, two a direction; the kernel 3 would read every other one twice as often, which shows
as a chequered pattern where G draws (Odena et al. 2016).  Padding makes up what the last window
lacks: a stage from n to m pixels needs 2 (m - 1) + 4 - n zeros, that is (1, 1) around an even n
and (1, 2) around an odd one.

G goes the same way up.  Its stage from m to n is the adjoint of D's from n to m, which has the same
zeros: 2 (m - 1) + 4 pixels are drawn, and what D read as zeros is cut off.  So each size comes
out, without a picture that is drawn too large and cropped at the end.
"""

import math
from numbers import Integral

from .condition import ByClass
from .kernels import geometry
from .layers import (
    BatchNorm,
    Conv2d,
    ConvTranspose2d,
    Dense,
    Flatten,
    LeakyReLU,
    RandomShift,
    ReLU,
    Reshape,
    SpectralNorm,
    Tanh,
    UpSample2d,
)
from .network import Sequential

SMALLEST, LARGEST = 16, 256  # pixels of a side
MOST = 8  # times `width` channels a stage has at most
UPSAMPLE = ("transposed", "nearest")
NORM = ("none", "batch", "spectral")


def sizes(size):
    """The sizes (H, W) of all stages, from that of the picture to the smallest one.

    Raises ValueError unless both sides have 16 to 256 pixels.
    """
    whole = isinstance(size, (tuple, list)) and all(isinstance(side, Integral) for side in size)
    if not whole or len(size) != 2 or not all(SMALLEST <= side <= LARGEST for side in size):
        raise ValueError(
            f"size {size!r} is not (H, W) with sides of {SMALLEST} to {LARGEST} pixels"
        )
    result = [tuple(size)]
    while min(result[-1]) >= 8:
        result.append(tuple(math.ceil(side / 2) for side in result[-1]))
    return result


def generator(
    size,
    *,
    channels,
    latent,
    classes=0,
    width=64,
    upsample="transposed",
    name="generator",
    seed=0,
    dtype="float32",
):
    """z (N, latent + classes) -> images (N, *size, channels) in [-1, 1], a Sequential.

    size: (H, W), 16 to 256 each.  classes: one-hot numbers behind z, 0 for pictures of one kind.
    width: channels at half the size; each stage below has twice as many, at most 8 times.
    upsample: "transposed" convolutions, or "nearest", pixels repeated and then convolved (kernel
    3), which is slower and smoother (Odena et al. 2016).
    Each stage is normalised by BatchNorm.  Raises ValueError for other sizes and words.
    """
    _check("upsample", upsample, UPSAMPLE)
    *larger, smallest = sizes(size)
    counts = _channels(width, larger)
    layers = [
        Dense(latent + classes, math.prod(smallest) * counts[-1], use_bias=False),
        Reshape((*smallest, counts[-1])),
    ]
    made = [channels, *counts]
    for stage in reversed(range(len(larger))):
        layers += [BatchNorm(made[stage + 1], momentum=0.9), ReLU()]
        layers += _enlarge(made[stage + 1], made[stage], larger[stage], upsample, last=stage == 0)
    return Sequential([*layers, Tanh()], name=name, seed=seed, dtype=dtype)


def discriminator(
    size,
    *,
    channels,
    classes=0,
    width=64,
    norm="spectral",
    shift=0.0,
    name="discriminator",
    seed=0,
    dtype="float32",
):
    """Images (N, *size, channels) -> scores (N, 1), a Sequential; with classes a `ByClass`, which
    reads the planes of the code behind the colours too, (N, *size, channels + classes).

    size, classes, width: as in `generator`.  norm: "spectral" normalisation of every weight,
    "batch" normalisation of every stage but the first, or "none", as gradient penalties want it.
    shift: the share of a `RandomShift`, which comes first; 0 for none.
    Raises ValueError for other sizes and words.
    """
    _check("norm", norm, NORM)
    *larger, smallest = sizes(size)
    counts = _channels(width, larger)
    wrap = SpectralNorm if norm == "spectral" else lambda layer: layer
    layers, read = [RandomShift(shift)] * (shift > 0), channels
    for stage, count in enumerate(counts):
        normalized = norm == "batch" and stage > 0
        layers.append(wrap(Conv2d(read, count, 4, stride=2, use_bias=not normalized)))
        layers += [BatchNorm(count, momentum=0.9)] * normalized
        layers.append(LeakyReLU(0.2))
        read = count
    layers += [Flatten(), wrap(Dense(math.prod(smallest) * read, max(1, classes)))]
    settings = dict(name=name, seed=seed, dtype=dtype)
    return (
        ByClass(layers, classes=classes, **settings) if classes else Sequential(layers, **settings)
    )


def _channels(width, larger):
    """Of each stage, from the picture down."""
    return [width * min(2**stage, MOST) for stage in range(len(larger))]


def _enlarge(inputs, outputs, size, upsample, last):
    """The layers from half a size, rounded up, to the size (H, W); a bias in the last stage."""
    odd = [side % 2 for side in size]
    if upsample == "nearest":  # an odd side is one pixel less than the repeated ones: no zero there
        padding = tuple((1, 1 - one) for one in odd) if any(odd) else "same"
        return [UpSample2d(2), Conv2d(inputs, outputs, 3, padding=padding, use_bias=last)]
    padding = geometry(size, 4, 2).padding if any(odd) else "same"
    return [ConvTranspose2d(inputs, outputs, 4, stride=2, padding=padding, use_bias=last)]


def _check(name, word, known):
    if word not in known:
        raise ValueError(f"{name} {word!r}: expected {', '.join(map(repr, known))}")
