"""Arrays as small pictures: data URIs of PNG files with sixteen colours.

Activations are grey: 0 is the middle, black is negative, white positive.  Gradients are ink on
whatever is below: red is positive, blue negative, 0 is clear.  Every picture has its own scale.
"""

import io

import numpy as np

from ..training.page import data_uri

MIDDLE = 7  # the level of 0, of 15 levels
ROWS, COLUMNS, FEATURES = 8, 4, 96  # samples and features of vectors; maps of images a row


def tile(values, side):
    """One picture (h, w) of a batch of activations or gradients.

    values: (N, ..., C), of which images are (N, H, W, C).  side: pixels that a map may have.
    Vectors become a strip, a row a sample; images two rows of maps: of the first sample and of the
    one in the middle of the batch, which after a pass on real and generated images is generated.
    Pictures of up to three colours are shown whole, several of them.
    """
    if values.ndim != 4 or values.shape[1:3] == (1, 1):
        return _strip(values.reshape(len(values), -1))
    half = len(values) // 2
    if values.shape[-1] <= 3:
        maps, shown = values.mean(axis=-1), max(1, min(COLUMNS, half))
        rows = maps[:shown], maps[half : half + shown]
    else:
        rows = (np.moveaxis(values[i, ..., :COLUMNS], -1, 0) for i in (0, half))
    return np.concatenate([np.concatenate(_spaced(shrunk(row, side)), axis=1) for row in rows])


def _strip(values):
    if values.shape[1] == 1:
        return values[:: -(-len(values) // 32)].T
    samples = np.linspace(0, len(values) - 1, min(ROWS, len(values))).round().astype(int)
    features = np.linspace(0, values.shape[1] - 1, min(FEATURES, values.shape[1]))
    return values[samples][:, features.round().astype(int)]


def _spaced(maps):
    return np.pad(maps, ((0, 0), (0, 1), (0, 1)))


def shrunk(maps, side):
    """Maps (n, H, W) as means of blocks, none larger than `side`."""
    factor = -(-max(maps.shape[1:]) // side)
    fill = ((0, 0), *((0, -size % factor) for size in maps.shape[1:]))
    padded = np.pad(maps, fill, mode="edge")
    height, width = (size // factor for size in padded.shape[1:])
    return padded.reshape(len(maps), height, factor, width, factor).mean(axis=(2, 4))


def grey(picture):
    """The data URI of activations (h, w)."""
    shades = np.linspace(24, 240, 2 * MIDDLE + 1).round()
    return _png(picture, [(shade,) * 3 for shade in shades])


def red_and_blue(picture):
    """The data URI of gradients (h, w)."""
    strength = np.linspace(-1, 1, 2 * MIDDLE + 1)
    colours = [(214, 48, 49) if s > 0 else (38, 92, 214) for s in strength]
    return _png(picture, colours, transparency=bytes(round(230 * abs(s)) for s in strength))


def photographs(images, value_range):
    """The data URI of a row of images (N, H, W, C), as they are."""
    from PIL import Image

    from ..training.pictures import to_uint8

    row = np.concatenate(list(to_uint8(images, value_range)), axis=1)
    return _uri(Image.fromarray(row[..., 0] if row.shape[-1] == 1 else row))


def _png(picture, colours, **how):
    from PIL import Image

    picture = np.nan_to_num(picture)
    largest = np.quantile(np.abs(picture), 0.995) or np.abs(picture).max() or 1
    levels = np.clip(np.rint(picture / largest * MIDDLE), -MIDDLE, MIDDLE) + MIDDLE
    image = Image.frombytes("P", picture.shape[::-1], levels.astype(np.uint8).tobytes())
    image.putpalette([int(value) for colour in colours for value in colour])
    return _uri(image, bits=4, **how)


def _uri(image, **how):
    file = io.BytesIO()
    image.save(file, "PNG", **how)
    return data_uri(file.getvalue())
