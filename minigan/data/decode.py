"""One picture file, whatever is in it, to the form a model takes.

Read as a viewer shows it: turned as its EXIF orientation says, transparency laid on white, the
first frame of an animation, CMYK and palettes as the colours they stand for, 16 bits a channel
scaled to 8.  The content decides what a file is, not its name.
"""

import contextlib
import warnings

import numpy as np

from ..regular import open_regular
from .fitting import fit_picture

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")
GROUND = "white"  # under transparent pixels


class BadPictureError(ValueError):
    """A file that cannot be read as a picture; the message is the reason in a few words."""


@contextlib.contextmanager
def strict():
    """Around calls of `read`, from whatever threads: bombs are errors, other warnings silent.

    Pillow warns of a picture with more than `Image.MAX_IMAGE_PIXELS` pixels and goes on, up to
    twice as many; here it is refused.
    """
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def read(path, *, size, channels, fit="crop"):
    """The picture in the file `path` as uint8 (size, size, channels); see `fit_picture`.

    Raises BadPictureError.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with open_regular(path) as file, Image.open(file, formats=FORMATS) as picture:
            picture.draft(None, (2 * size, 2 * size))  # JPEG can be decoded at 1/2 .. 1/8
            picture.load()
            return fit_picture(_flat(_upright(picture)), size=size, channels=channels, fit=fit)
    except UnidentifiedImageError:
        raise BadPictureError("not a picture") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadPictureError("too many pixels") from None
    except MemoryError:  # not the file's fault
        raise
    except Exception as error:  # a damaged file makes Pillow's decoders raise nearly anything
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise BadPictureError(reason.partition("\n")[0]) from None


def _upright(picture):
    """The picture turned as its EXIF orientation says."""
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # damaged EXIF data says nothing, and the pixels are whole
        return picture


def _flat(picture):
    """The picture with 8 bits a channel and without transparency."""
    from PIL import Image

    if picture.mode.startswith("I"):  # 16-bit grey: 65535 becomes 255
        return Image.fromarray(np.rint(np.asarray(picture) / 257).astype(np.uint8))
    if not picture.has_transparency_data:
        return picture
    ground = Image.new("RGBA", picture.size, GROUND)
    ground.alpha_composite(picture.convert("RGBA"))
    return ground
