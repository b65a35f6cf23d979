"""Built-in handwritten digits: something to train on with no data and no network.

A digit is a few strokes of a pen, so that is how it is made.  A sample takes one of its class's
ways of being written (`glyphs.py`), moves the control points a little, bends, leans, stretches
and turns the curve, fits it into the page as MNIST does (a 20 x 20 box, the centre of mass in
the middle of 28 x 28) and draws it with a soft round pen:

    ink[row, col] = sum over pieces of  length * g(row - y) * g(col - x),    g a Gaussian.

The Gaussian is separable, so a picture is one small matrix product.  Ink saturates, which gives
solid strokes with soft edges.  The amount of ink, stroke width, size and slant, and how much
they vary, were set to those of MNIST.
"""

import numpy as np

from . import cache, glyphs
from .dataset import Dataset

SIDE = 28
COUNTS = {"train": 20_000, "test": 4_000}

VERSION = 1        # in the name of the cached file: raise it when any digit would change
BLOCK = 500        # digits drawn at a time: their arrays stay in the processor's cache


def load(*, split="train", seed=0):
    """The built-in digits as a `Dataset`: 20,000 to train on, or 4,000 others for `"test"`.

    They are drawn once (about a second) and kept in the user's cache directory where that can
    be written; a cached file that is damaged is drawn again.
    """
    count = COUNTS[split]
    folder = cache.cache_dir()
    path = folder and folder / f"digits-v{VERSION}-{split}-seed{seed}-{count}.npz"
    kept = path and _read(path, count)
    images, labels = kept or make_digits(count, split=split, seed=seed)
    if path and not kept:
        _keep(path, images, labels)
    return Dataset(images, labels, "digits", f"built-in digits, {split} set, seed {seed}")


def make_digits(count, *, split="train", seed=0):
    """Draw digits: images uint8 (count, 28, 28, 1), white on black, and labels int64 (count,).

    Every run of ten holds each class once, so the first n are as balanced as n allows.  Digit i
    depends on (seed, split, i) alone, not on `count` nor on threads.  Its bytes are the same for
    the same NumPy and kind of processor; another may round a few pixels to the next grey.
    """
    stream = list(COUNTS).index(split)
    blocks = [_block(np.random.default_rng([seed, stream, i])) for i in range(-(-count // BLOCK))]
    images, labels = (np.concatenate(parts)[:count] for parts in zip(*blocks))
    return images, labels


def _block(rng):
    """Images uint8 (BLOCK, 28, 28, 1) and labels int64 (BLOCK,)."""
    labels = rng.permuted(np.tile(np.arange(10), (BLOCK // 10, 1)), axis=1).ravel()
    radius = np.clip(rng.normal(1.27, .33, (BLOCK, 1)), .75, 2.2)     # of the pen, in pixels
    x, y, drawn = _write(labels, rng)
    x, y, length = _place(x, y, drawn, radius, rng)
    return _draw(x, y, length, radius, rng), labels


def _write(labels, rng):
    """One curve per label, about -1 .. 1: x and y (BLOCK, POINTS), drawn (BLOCK, POINTS - 1)."""
    first, ways, controls, bases, drawn = glyphs.traced()
    way = first[labels] + rng.integers(ways[labels])
    controls = controls[way] / 5 - [.7, 1]
    x, y = np.moveaxis(bases[way] @ rng.normal(controls, .07), -1, 0)

    def vary(std):
        return rng.normal(0, std, (BLOCK, 1))

    x = x * np.exp(.12 + vary(.26)) + vary(.1) * y * y + vary(.12) * x * y
    y = y + vary(.12) * x * x + vary(.1) * x * y + vary(.08) * y * y
    x = x - (.15 + vary(.25)) * y                                     # people lean to the right
    turn = vary(.12)
    return np.cos(turn) * x - np.sin(turn) * y, np.sin(turn) * x + np.cos(turn) * y, drawn[way]


def _place(x, y, drawn, radius, rng):
    """The curve in pixels, as pieces: their middles x, y and lengths, (BLOCK, POINTS - 1)."""
    size = np.maximum(np.ptp(x, axis=1), np.ptp(y, axis=1))[:, None]
    scale = (rng.normal(20.3, .5, (BLOCK, 1)) - 2 * radius) / size
    x, y = scale * x, scale * y
    length = np.hypot(np.diff(x), np.diff(y)) * drawn
    share = length / length.sum(axis=1, keepdims=True)

    def centre(v):
        middle = (v[:, 1:] + v[:, :-1]) / 2
        mass = (share * middle).sum(axis=1, keepdims=True)
        return middle - mass + (SIDE - 1) / 2 + rng.uniform(-.5, .5, (BLOCK, 1))

    return centre(x), centre(y), length


def _draw(x, y, length, radius, rng):
    """Images uint8 (BLOCK, 28, 28, 1) of the pieces; the pen's ink is half gone at `radius`."""
    spread = .4 + .28 * radius
    black = .5 * np.exp(radius ** 2 / (2 * spread ** 2)) / (spread * np.sqrt(2 * np.pi))
    along = np.linspace(0, 2 * np.pi, x.shape[1]) + rng.uniform(0, 2 * np.pi, (BLOCK, 1))
    weight = black * length * (1 + .2 * np.sin(along))                # the hand presses unevenly

    def touch(at):                                                    # -> (BLOCK, 28, pieces)
        at, inverse = (v.astype(np.float32)[:, None] for v in (at, 1 / spread))
        return np.exp(-.5 * ((np.arange(SIDE, dtype=np.float32)[:, None] - at) * inverse) ** 2)

    ink = touch(y) @ (touch(x) * weight.astype(np.float32)[:, None]).transpose(0, 2, 1)
    grey = np.clip((ink - .1) / .9, 0, 1)             # no faint halo: MNIST's edges end sharply
    return np.rint(255 * grey).astype(np.uint8)[..., None]


def _read(path, count):
    """Images and labels of a cached file; None if it is not there or damaged."""
    import zipfile

    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            images, labels = arrays["images"], arrays["labels"]
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return None
    whole = images.shape == (count, SIDE, SIDE, 1) and labels.shape == (count,)
    return (images, labels) if whole else None


def _keep(path, images, labels):
    """Write the cached file if the directory lets us; the digits are at hand either way."""
    import io

    content = io.BytesIO()
    np.savez(content, images=images, labels=labels)
    try:
        cache.write(path, content.getvalue())
    except OSError:
        pass
