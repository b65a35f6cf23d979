"""What `mg.load` returns: the networks in a file, and the pictures that a run's generator draws.

A picture has a name, its number on the sheet of a seed: number 3 of seed 0 is the same alone, among
others and at the end of an interpolation.  (Another size of batch may round sums otherwise, in
the last bits of a float32.)
"""

import math
from itertools import pairwise

import numpy as np

from ..condition import join, one_hot
from ..data.status import few
from ..errors import UserError
from ..machine import usable_memory
from .checkpoint import Checkpoint
from .latent import Latent, straight_line
from .pictures import grid, pillow_image, to_uint8

BATCH = 256  # pictures drawn at a time, fewer of large ones
LARGEST = 2**24  # values of one picture anywhere in the generator: 64 MiB
AT_A_TIME = 2**27  # values of all pictures drawn at a time: 512 MiB
LISTED = 20  # classes that a message names


def load(path, custom=()):
    """The `Networks` in a file, or in the folder of a run.

    custom: layer and initialiser classes of your own that the networks use.
    Raises UserError if the file is missing, damaged or not a checkpoint.
    """
    return Networks(Checkpoint(path), custom)


class Networks(dict):
    """The networks in a file: dict name -> Sequential, on the CPU.  Those of a run draw.

        run = mg.load("runs/mine")
        run["generator"]                          a Sequential
        run.sample(16, label="horse", seed=0)     float32 (16, H, W, C)
        run.sheet(16, label="horse", seed=0)      the same, a Pillow image
        run.interpolate([3, 7], 8)                float32 (1, 8, H, W, C), from picture 3 to 7

    path: of the file.  run: what the run has stored, as `Checkpoint.run`; None where there is none.

    label, of a conditional generator: a class by name or number, or a list with one for each
    picture.  Without it the classes take turns: picture i is of class i modulo their number.

    To draw raises UserError where there is no run, where the generator does not draw what the run
    was trained with, for a label that it does not know, and for more pictures than fit into memory.
    """

    def __init__(self, checkpoint, custom=()):
        super().__init__(checkpoint.networks(custom))
        self.path, self.run = checkpoint.path, checkpoint.run

    def sample(self, count=16, *, pick=None, seed=0, label=None):
        """The first `count` pictures of a seed, float32 (N, H, W, C) in the generator's range.

        pick: the numbers of those to draw instead, counted from 0.
        """
        numbers = range(count) if pick is None else pick
        return self._draw(*self._inputs(numbers, seed, label, len(numbers)))

    def sheet(self, count=16, *, pick=None, seed=0, label=None):
        """What `sample` draws, on the sheet that `minigan sample` writes: a Pillow image."""
        images = self.sample(count, pick=pick, seed=seed, label=label)
        return pillow_image(grid(self.pixels(images)))

    def interpolate(self, between, steps=8, *, seed=0, label=None, straight=False):
        """The way from picture to picture of a seed, float32 (len(between) - 1, steps, H, W, C).

        between: the numbers of two pictures or more.  steps: pictures from each to the next, both
        ends among them.  straight: z goes in a straight line, whatever its kind: see
        `Latent.between`.  From one label to another the code does.
        """
        if len(between) < 2 or steps < 2:
            raise ValueError(f"between {between} in {steps} steps: give two or more of both")
        ways = len(between) - 1
        z, code = self._inputs(between, seed, label, ways * steps)
        share = np.linspace(0, 1, steps)
        way = straight_line if straight else self._latent().between
        images = self._draw(
            np.concatenate([way(a, b, share) for a, b in pairwise(z)]),
            np.concatenate([straight_line(a, b, share) for a, b in pairwise(code)]),
        )
        return images.reshape(ways, steps, *images.shape[1:])

    def pixels(self, images):
        """Images in the generator's range (..., H, W, C) as uint8; UserError for points."""
        if len(self.run["data"]["shape"]) < 3:
            raise UserError(
                f"{self.path} draws points, which are no pictures: "
                "`sample --out FILE.npy` writes them as numbers"
            )
        return to_uint8(images, self.run["value_range"])

    def _latent(self):
        if "generator" not in self or not self.run:
            raise UserError(f"{self.path} has no generator of a run: nothing to sample from")
        return Latent(**self.run["latent"])

    def _inputs(self, numbers, seed, label, count):
        """z (N, size) and codes (N, classes) of the pictures of these numbers, to draw `count`."""
        latent = self._latent()
        size, classes = latent.size, len(latent.classes)
        values = math.prod(self.run["data"]["shape"]) + size + 2 * classes
        _check_memory(f"{count} pictures", 4 * count * values)
        numbers = np.asarray(numbers, np.int64)
        if len(numbers) == 0 or numbers.min() < 0:
            raise ValueError(f"pictures {numbers}: give one or more numbers from 0 on")
        drawn = int(numbers.max()) + 1
        _check_memory(f"the z of picture {drawn - 1} and of all before", 12 * drawn * size)

        dtype = self["generator"].dtype
        code = np.empty((len(numbers), 0), dtype)
        if classes:
            code = one_hot(_labels(label, numbers, latent.classes), classes, dtype=dtype)
        elif label is not None:
            raise UserError(f"label {label}: {self.path} draws pictures of one kind")
        z = latent.draw(drawn, seed=seed, where="sample", dtype=dtype)
        return z[numbers], code

    def _draw(self, z, code):
        """The pictures of these inputs, float32 (N, H, W, C)."""
        generator, shape = self["generator"], tuple(self.run["data"]["shape"])
        batch = _batch(self.path, generator, z.shape[1] + code.shape[1], shape)
        images = np.empty((len(z), *shape), np.float32)
        for start in range(0, len(z), batch):
            part = slice(start, start + batch)
            try:
                images[part] = generator.forward(join(z[part], code[part]), train=False)[0]
            except (ValueError, TypeError, IndexError) as error:
                raise UserError(f"{self.path}: its generator does not draw: {error}") from error
        return images


def _batch(path, generator, inputs, shape):
    """Pictures to draw at a time; UserError where a generator would not draw this shape."""
    size, largest = (inputs,), 0
    try:
        for layer in generator.layers:
            size = layer.output_shape(size)
            largest = max(largest, math.prod(size))
            if largest > LARGEST:
                raise ValueError(f"{layer!r} would make {largest:,} values of one picture")
        if tuple(size) != shape:
            raise ValueError(f"its pictures would have the shape {tuple(size)}, not {shape}")
    except (ValueError, TypeError, IndexError) as error:
        raise UserError(f"{path}: its generator does not draw: {error}") from error
    return min(BATCH, max(1, AT_A_TIME // largest))


def _check_memory(what, needed):
    """UserError if something needs more bytes than there are."""
    usable = usable_memory()
    if usable is not None and needed > usable:
        raise UserError(
            f"{what} would take {needed / 1e9:.1f} GB, this machine has {usable / 1e9:.1f} GB of "
            "memory for them: ask for fewer"
        )


def _labels(label, numbers, classes):
    """The classes int64 (N,) that pictures of these numbers are to be of."""
    if label is None:
        return numbers % len(classes)
    names = [*classes, *map(str, range(len(classes)))]  # a name first, else a number
    asked = [str(one) for one in ([label] if np.ndim(label) == 0 else label)]
    for one in asked:
        if one not in names:
            raise UserError(f"label {one}: this generator knows {few(classes, most=LISTED)}")
    if len(asked) not in (1, len(numbers)):
        raise UserError(f"{len(asked)} labels, {len(numbers)} pictures: give one, or one for each")
    return np.resize([names.index(one) % len(classes) for one in asked], len(numbers))
