"""Pictures of any size and colour brought to the form a model takes: height x width x channels.

Channels are 1 (grey), 3 (RGB) or 4 (RGB and alpha).  Grey is the luma of ITU-R 601; grey in colour
is the same in all three; transparency that a form has no place for is laid on white, and what had
none is opaque.
"""

from numbers import Integral

import numpy as np

from ..errors import UserError
from ..machine import usable_memory

CHANNELS = {1: "grey", 3: "RGB", 4: "RGBA"}
FITS = ("crop", "squash")
GROUND = "white"  # under transparent pixels
LUMA = np.array([[0.299], [0.587], [0.114]], np.float32)  # ITU-R 601, as Pillow has it
BLOCK = 20  # pictures scaled at a time: they stay in the processor's cache


def sides(size):
    """(height, width) of a size, which may be one number for both; ValueError for no size."""
    pair = tuple(size) if isinstance(size, (tuple, list)) else (size, size)
    if len(pair) != 2 or not all(isinstance(side, Integral) and side >= 1 for side in pair):
        raise ValueError(f"size {size}: expected a number of pixels, or (height, width)")
    return int(pair[0]), int(pair[1])


def check_form(size, channels, fit):
    """(height, width); ValueError unless these are a size, one of `CHANNELS` and one of `FITS`."""
    if channels not in CHANNELS:
        raise ValueError(f"channels {channels}: expected 1 (grey), 3 (RGB) or 4 (RGB and alpha)")
    if fit not in FITS:
        raise ValueError(f"fit {fit!r}: expected one of {FITS}")
    return sides(size)


def describe(size, channels):
    """A form in words, such as "64x48 RGB"; size: (height, width)."""
    return f"{size[0]}x{size[1]} {CHANNELS[channels]}"


def check_memory(count, size, channels):
    """UserError if so many pictures would take over four fifths of this machine's memory."""
    height, width = size
    needed, usable = count * height * width * channels, usable_memory()
    if usable is not None and needed > usable:
        raise UserError(
            f"{count:,} pictures of {height}x{width}x{channels} bytes take "
            f"{needed / 1e9:.1f} GB, but this machine has {usable / 1e9:.1f} GB of "
            "memory for them: use fewer with --limit"
        )


def fit_picture(picture, *, size, channels, fit="crop"):
    """A Pillow image of 8 bits a channel as uint8 (*size, channels).

    size: (height, width).  fit: `"crop"` cuts what is too long off both ends, `"squash"` scales
    the sides by themselves.  Scaling is Lanczos with antialiasing, of colours weighted by their
    alpha; a picture of the right size keeps its pixels.
    """
    from PIL import Image, ImageOps

    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        if channels < 4:
            ground = Image.new("RGBA", picture.size, GROUND)
            ground.alpha_composite(picture)
            picture = ground
    if picture.mode not in ("1", "L", "P", "RGB", "RGBA"):
        picture = picture.convert("RGB")  # of CMYK and LAB the one way to all others
    picture = picture.convert("L" if channels == 1 else CHANNELS[channels])
    to = size[::-1]
    if fit == "crop":
        picture = ImageOps.fit(picture, to, Image.Resampling.LANCZOS)
    else:
        picture = picture.resize(to, Image.Resampling.LANCZOS)
    return np.asarray(picture).reshape(*size, channels)


def fit_images(images, *, size, channels, fit="crop"):
    """Pictures uint8 (N, H, W, 1, 3 or 4) as uint8 (N, *size, channels).

    As `fit_picture`, up to a rounding, and without an alpha many times as fast on small pictures.
    The argument itself where it has this form already.  Raises UserError if the result would not
    fit into memory.
    """
    from PIL import Image

    if images.shape[1:] == (*size, channels):
        return images
    check_memory(len(images), size, channels)
    fitted = np.full((len(images), *size, channels), 255, np.uint8)  # opaque
    if images.shape[3] == 4:
        for picture, place in zip(map(Image.fromarray, images), fitted):
            place[:] = fit_picture(picture, size=size, channels=channels, fit=fit)
        return fitted
    down, across = _scaling(images.shape[1:3], size, fit)
    for start in range(0, len(images), BLOCK):
        part = images[start : start + BLOCK].astype(np.float32)
        if channels < part.shape[3]:
            part = _bytes(part @ LUMA)
        part = _bytes(part.transpose(0, 3, 1, 2) @ across.T)  # (n, C, H, width)
        part = _bytes(down @ part).transpose(0, 2, 3, 1)  # (n, height, width, C)
        fitted[start : start + BLOCK, ..., :3] = part  # grey goes to all colours
    return fitted


def _bytes(values):
    """Floats rounded to what a byte can hold, in place."""
    return np.rint(np.clip(values, 0, 255, out=values), out=values)


def _scaling(old, new, fit):
    """Weights of the rows and of the columns, float32 (new, old) each; old, new: (height, width).

    Pillow's own: scaling a side is linear in the picture.
    """
    from PIL import Image

    def weights(old, new, kept):
        unit = Image.fromarray(np.eye(old, dtype=np.float32))
        box = (0, (old - kept) / 2, old, (old + kept) / 2)
        return np.asarray(unit.resize((old, new), Image.Resampling.LANCZOS, box))

    (h, w), (height, width) = old, new
    kept = (min(h, w * height / width), min(w, h * width / height)) if fit == "crop" else old
    return map(weights, old, new, kept)
