"""Pictures from the generator of a checkpoint, as many as are asked for."""

import math

import numpy as np

from ..errors import UserError
from ..machine import usable_memory
from .latent import Latent

BATCH = 256  # pictures drawn at a time, fewer of large ones
LARGEST = 2**24  # values of one picture anywhere in the generator: 64 MiB
AT_A_TIME = 2**27  # values of all pictures drawn at a time: 512 MiB


def sample_images(checkpoint, count, seed, label=None):
    """`count` images (N, H, W, C) of the checkpoint's generator, float32, in its own range.

    label: of a conditional generator, the name or number of a class; of each in turn by default.
    Raises UserError for a checkpoint of no run, a generator that does not draw what the run was
    trained with, a label that it does not know, and more pictures than fit into memory.
    """
    generator = checkpoint.networks().get("generator")
    if generator is None or not checkpoint.run:
        raise UserError(f"{checkpoint.path} has no generator of a run: nothing to sample from")
    latent = Latent(**checkpoint.run["latent"])
    if not latent.classes and label is not None:
        raise UserError(f"--label {label}: {checkpoint.path} draws pictures of one kind")
    shape = tuple(checkpoint.run["data"]["shape"])
    labels = _labels(label, count, latent.classes) if latent.classes else None
    batch = _batch(checkpoint.path, generator, latent, shape)
    _check_memory(count, math.prod(shape) + latent.size + 2 * len(latent.classes))

    z = latent.draw(count, seed=seed, where="sample", dtype=generator.dtype)
    images = np.empty((count, *shape), np.float32)
    for start in range(0, count, batch):
        part = slice(start, start + batch)
        codes = z[part] if labels is None else latent.labelled(z[part], labels[part])
        try:
            images[part] = generator.forward(codes, train=False)[0]
        except (ValueError, TypeError, IndexError) as error:
            raise UserError(f"{checkpoint.path}: its generator does not draw: {error}") from error
    return images


def _batch(path, generator, latent, shape):
    """Pictures to draw at a time; UserError where a generator would not draw this shape."""
    size, largest = (latent.size + len(latent.classes),), 0
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


def _check_memory(count, values):
    """UserError if so many pictures with so many values each would not fit into memory."""
    needed, usable = 4 * count * values, usable_memory()
    if usable is not None and needed > usable:
        raise UserError(
            f"--count {count}: so many pictures take {needed / 1e9:.1f} GB, this "
            f"machine has {usable / 1e9:.1f} GB of memory for them: ask for fewer"
        )


def _labels(label, count, classes):
    """The labels int64 (count,) that --label asks for."""
    if label is None:
        return np.arange(count) % len(classes)
    names = [*classes, *map(str, range(len(classes)))]  # a name first, else a number
    if label not in names:
        raise UserError(f"--label {label}: this generator knows {', '.join(classes)}")
    return np.full(count, names.index(label) % len(classes))
