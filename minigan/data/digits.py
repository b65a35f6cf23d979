"""Built-in handwritten digits: something to train on with no data and no network.

A digit is a few strokes of a pen, so that is how it is made.  A sample takes one of its class's
ways of being written (`glyphs.py`), moves the control points a little, bends, leans, stretches
and turns the curve, fits it into the page as MNIST does (a 20 x 20 box, the centre of mass in
the middle of 28 x 28) and draws it with a soft round pen:

    ink[row, col] = sum over pieces of  length * g(row - y) * g(col - x),    g a Gaussian.

The Gaussian is separable, so a picture is one small matrix product.  Ink saturates, which gives
solid strokes with soft edges.  The amount of ink, stroke width, size and slant, and how much
they vary, were set to those of MNIST.  The page may have more pixels than 28 x 28: the curve
stays what it is and is drawn finer.
"""

import contextlib
import math
import zlib

import numpy as np

from ..regular import open_regular
from . import cache, colours, glyphs
from .dataset import Dataset, check_limit
from .fitting import fit_images, sides
from .status import say

SIDE = 28  # of MNIST's page, whose pixel is the unit of all lengths below
CLASSES = tuple("0123456789")
COUNTS = {"train": 30_000, "test": 4_000}
MOST_BYTES = 250_000_000  # of pictures: a set of large ones has fewer

VERSION = 2  # in the name of the cached file: raise it when any digit would change
BLOCK = 500  # digits that share a generator of random numbers
FEW = 20  # digits drawn at a time: their arrays stay in the processor's cache


def load(*, split="train", seed=0, size=SIDE, channels=1, limit=None, notify=say):
    """The built-in digits as a `Dataset`, images uint8 (N, H, W, channels).

    30,000 to train on, or 4,000 others for `"test"`; fewer where they would take more than
    250 MB.  size: (H, W) or one side; the page is the largest square in the middle.  channels: 1 is
    white on black; 3 is in colour, with the attribute `"Warm"` (`colours`); 4 is that, opaque.
    limit: make the first so many only; raises UserError unless there are as many.

    Those of MNIST's form are drawn once (about a second) and kept in the user's cache directory
    where that can be written; a cached file that is damaged is drawn again, and `notify` called
    with a line that says so.  Others are drawn every time.
    """
    size = sides(size)
    count = min(COUNTS[split], MOST_BYTES // (math.prod(size) * channels))
    wanted = count if limit is None else limit
    check_limit(wanted, count, "digits")
    form = f"{size[0]}x{size[1]} {'grey' if channels == 1 else 'in colour'}"
    source = f"built-in digits, {form}, {split} set, seed {seed}"
    if (*size, channels) == (SIDE, SIDE, 1):
        images, labels = (values[:wanted] for values in _kept_digits(count, split, seed, notify))
    else:
        images, labels = make_digits(wanted, split=split, seed=seed, size=size)
    attributes = {}
    if channels > 1:
        images, attributes["Warm"] = colours.paint(images, seed=[seed, list(COUNTS).index(split)])
    images = fit_images(images, size=size, channels=channels)
    return Dataset(images, labels, "digits", source, classes=CLASSES, attributes=attributes)


def make_digits(count, *, split="train", seed=0, size=SIDE):
    """Draw digits: images uint8 (count, H, W, 1), white on black, labels int64 (count,).

    Every run of ten holds each class once, so the first n are as balanced as n allows.  Digit i
    depends on (seed, split, i) alone, not on `count`, on threads or on the processor: all is
    computed in float64, whose last bits, in which processors differ, move no pixel to the next
    grey.  (In float32 one in three million moved, and one is enough for another training.)
    """
    stream = list(COUNTS).index(split)
    size = sides(size)
    images, labels = np.empty((count, *size, 1), np.uint8), np.empty(count, np.int64)
    for i, start in enumerate(range(0, count, BLOCK)):
        drawn, classes = _block(np.random.default_rng([seed, stream, i]), size)
        images[start : start + BLOCK] = drawn[: count - start]
        labels[start : start + BLOCK] = classes[: count - start]
    return images, labels


def _block(rng, size):
    """Images uint8 (BLOCK, *size, 1) and labels int64 (BLOCK,)."""
    labels = rng.permuted(np.tile(np.arange(10), (BLOCK // 10, 1)), axis=1).ravel()
    radius = np.clip(rng.normal(1.27, 0.33, (BLOCK, 1)), 0.75, 2.2)  # of the pen, in pixels
    x, y, drawn = _write(labels, rng)
    if min(size) > 1.5 * SIDE:  # so sharp a pen would show the pieces as beads
        x, y, drawn = _halved(x), _halved(y), drawn.repeat(2, axis=1)
    x, y, length = _place(x, y, drawn, radius, rng)
    return _draw(x, y, length, radius, rng, size), labels


def _write(labels, rng):
    """One curve per label, about -1 .. 1: x and y (BLOCK, POINTS), drawn (BLOCK, POINTS - 1)."""
    first, ways, controls, bases, drawn = glyphs.traced()
    way = first[labels] + rng.integers(ways[labels])
    controls = controls[way] / 5 - [0.7, 1]
    x, y = np.moveaxis(bases[way] @ rng.normal(controls, 0.07), -1, 0)

    def vary(std):
        return rng.normal(0, std, (BLOCK, 1))

    x = x * np.exp(0.12 + vary(0.26)) + vary(0.1) * y * y + vary(0.12) * x * y
    y = y + vary(0.12) * x * x + vary(0.1) * x * y + vary(0.08) * y * y
    x = x - (0.15 + vary(0.25)) * y  # people lean to the right
    turn = vary(0.12)
    return np.cos(turn) * x - np.sin(turn) * y, np.sin(turn) * x + np.cos(turn) * y, drawn[way]


def _halved(v):
    """Points (BLOCK, n) with those half-way between them, (BLOCK, 2 n - 1)."""
    finer = np.empty((len(v), 2 * v.shape[1] - 1))
    finer[:, ::2], finer[:, 1::2] = v, (v[:, 1:] + v[:, :-1]) / 2
    return finer


def _place(x, y, drawn, radius, rng):
    """The curve in pixels, as pieces: their middles x, y and lengths, (BLOCK, pieces)."""
    size = np.maximum(np.ptp(x, axis=1), np.ptp(y, axis=1))[:, None]
    scale = (rng.normal(20.3, 0.5, (BLOCK, 1)) - 2 * radius) / size
    x, y = scale * x, scale * y
    length = np.hypot(np.diff(x), np.diff(y)) * drawn
    share = length / length.sum(axis=1, keepdims=True)

    def centre(v):
        middle = (v[:, 1:] + v[:, :-1]) / 2
        mass = (share * middle).sum(axis=1, keepdims=True)
        return middle - mass + (SIDE - 1) / 2 + rng.uniform(-0.5, 0.5, (BLOCK, 1))

    return centre(x), centre(y), length


def _draw(x, y, length, radius, rng, size):
    """Images uint8 (BLOCK, *size, 1) of the pieces; half the pen's ink is gone at `radius`."""
    side = min(size)  # of the page
    pixel = SIDE / side
    spread = 0.4 * pixel + 0.28 * radius
    black = 0.5 * np.exp(radius**2 / (2 * spread**2)) / (spread * np.sqrt(2 * np.pi))
    along = np.linspace(0, 2 * np.pi, x.shape[1]) + rng.uniform(0, 2 * np.pi, (BLOCK, 1))
    weight = black * length * (1 + 0.2 * np.sin(along))  # the hand presses unevenly

    rows, columns = ((np.arange(n) - (n - side) / 2 + 0.5) * pixel - 0.5 for n in size)
    x, y, inverse, weight = (v[:, None] for v in (x, y, 1 / spread, weight))

    def touch(middles, at, inverse):  # -> (..., pixels, pieces)
        return np.exp(-0.5 * ((middles[:, None] - at) * inverse) ** 2)

    images = np.empty((BLOCK, *size, 1), np.uint8)
    for start in range(0, BLOCK, FEW):
        few = slice(start, start + FEW)
        across = touch(columns, x[few], inverse[few]) * weight[few]
        ink = touch(rows, y[few], inverse[few]) @ across.transpose(0, 2, 1)
        grey = np.clip((ink - 0.1) / 0.9, 0, 1)  # no faint halo: MNIST's edges end sharply
        images[few, ..., 0] = np.rint(255 * grey)
    return images


def _kept_digits(count, split, seed, notify):
    """The digits of MNIST's form from the cache, where they are put if they are not there."""
    folder = cache.cache_dir()
    path = folder and folder / f"digits-v{VERSION}-{split}-seed{seed}-{count}.bytes"
    kept = path and _read(path, count, notify)
    images, labels = kept or make_digits(count, split=split, seed=seed)
    if path and not kept:
        with contextlib.suppress(OSError):  # the digits are at hand either way
            content = images.tobytes() + labels.astype(np.uint8).tobytes()
            cache.write(path, content + zlib.crc32(content).to_bytes(4, "little"))
    return images, labels


def _read(path, count, notify):
    """Images and labels of a cached file: their bytes, then a checksum.

    None if it is not there or damaged.
    """
    pixels = count * SIDE**2
    try:
        with open_regular(path) as file:
            content = file.read(pixels + count + 5)  # a byte more than there should be
    except OSError:
        return None
    content, checksum = content[:-4], content[-4:]
    if len(content) != pixels + count or zlib.crc32(content) != int.from_bytes(checksum, "little"):
        notify(f"{path} is damaged: drawing the digits again")
        return None
    images = np.frombuffer(content, np.uint8, pixels).reshape(count, SIDE, SIDE, 1)
    return images, np.frombuffer(content, np.uint8, offset=pixels).astype(np.int64)
