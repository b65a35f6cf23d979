"""Pictures of any size and colour brought to the form a model takes: size x size x channels."""

import numpy as np

from ..errors import UserError
from ..machine import usable_memory

FITS = ("crop", "squash")
LUMA = np.array([[0.299], [0.587], [0.114]], np.float32)  # ITU-R 601, as Pillow has it
BLOCK = 20  # pictures scaled at a time: they stay in the processor's cache


def check_form(size, channels, fit):
    """ValueError unless these are a side in pixels, 1 or 3, and one of `FITS`."""
    if not size >= 1:
        raise ValueError(f"size {size}: expected a number of pixels")
    if channels not in (1, 3):
        raise ValueError(f"channels {channels}: expected 1 (grey) or 3 (RGB)")
    if fit not in FITS:
        raise ValueError(f"fit {fit!r}: expected one of {FITS}")


def check_memory(count, size, channels):
    """UserError if so many pictures would take over four fifths of this machine's memory."""
    needed, usable = count * size * size * channels, usable_memory()
    if usable is not None and needed > usable:
        raise UserError(
            f"{count:,} pictures of {size}x{size}x{channels} bytes take "
            f"{needed / 1e9:.1f} GB, but this machine has {usable / 1e9:.1f} GB of "
            "memory for them: use fewer with --limit"
        )


def fit_picture(picture, *, size, channels, fit="crop"):
    """A Pillow image of 8-bit grey, colour or palette as uint8 (size, size, channels).

    fit: `"crop"` cuts the longer side down to a centred square, `"squash"` scales the sides by
    themselves.  Scaling is Lanczos with antialiasing; a picture of the right size keeps its
    pixels.  Grey is the luma of ITU-R 601.
    """
    from PIL import Image, ImageOps

    picture = picture.convert("L" if channels == 1 else "RGB")
    if fit == "crop":
        picture = ImageOps.fit(picture, (size, size), Image.Resampling.LANCZOS)
    else:
        picture = picture.resize((size, size), Image.Resampling.LANCZOS)
    return np.asarray(picture).reshape(size, size, channels)


def fit_images(images, *, size, channels):
    """Square pictures uint8 (N, H, H, 1 or 3) as uint8 (N, size, size, channels).

    As `fit_picture`, up to a rounding, and many times as fast on small pictures.  The argument
    itself where it has this form already.  Raises UserError if the result would not fit into
    memory.
    """
    if images.shape[1:] == (size, size, channels):
        return images
    check_memory(len(images), size, channels)
    weights = _lanczos(images.shape[1], size)
    fitted = np.empty((len(images), size, size, channels), np.uint8)
    for start in range(0, len(images), BLOCK):
        part = images[start : start + BLOCK].astype(np.float32)
        if channels < part.shape[3]:
            part = _bytes(part @ LUMA)
        part = _bytes(part.transpose(0, 3, 1, 2) @ weights.T)  # (n, C, H, size)
        part = _bytes(weights @ part).transpose(0, 2, 3, 1)  # (n, size, size, C)
        fitted[start : start + BLOCK] = part  # grey goes to all channels
    return fitted


def _bytes(values):
    """Floats rounded to what a byte can hold, in place."""
    return np.rint(np.clip(values, 0, 255, out=values), out=values)


def _lanczos(old, new):
    """Weights float32 (new, old) of Pillow's scaling of one side: of a picture, it is linear."""
    from PIL import Image

    unit = Image.fromarray(np.eye(old, dtype=np.float32))
    return np.asarray(unit.resize((old, new), Image.Resampling.LANCZOS))
