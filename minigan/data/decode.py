"""One picture file, whatever is in it, to the form a model takes.

Read as a viewer shows it: turned as its EXIF orientation says, the first frame of an animation,
CMYK and palettes as the colours they stand for, 16 bits a channel scaled to 8.  The content
decides what a file is, not its name.
"""

import contextlib
import warnings

import numpy as np

from .fitting import fit_picture

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif"),
    *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"),
)
DEEPEST = 65535  # white in 16 bits


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


def read(file, *, size, channels, fit="crop"):
    """The picture in a `files.File` as uint8 (*size, channels); see `fit_picture`.

    Raises BadPictureError.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with file.open() as content, Image.open(content, formats=FORMATS) as picture:
            picture.draft(None, [2 * max(size)] * 2)  # JPEG can be decoded at 1/2 .. 1/8
            picture.load()
            return fit_picture(_shallow(_upright(picture)), size=size, channels=channels, fit=fit)
    except UnidentifiedImageError:
        raise BadPictureError("not a picture" if file.size else "empty") from None
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


def _shallow(picture):
    """The picture with 8 bits a channel: of 16-bit grey, 65535 becomes 255."""
    from PIL import Image

    if not picture.mode.startswith(("I", "F")):
        return picture
    grey = np.asarray(picture)
    if picture.mode == "F" or grey.min() < 0 or grey.max() > DEEPEST:
        raise BadPictureError("numbers that are not of 8 or 16 bits, black and white unknown")
    return Image.fromarray(np.rint(grey * (255 / DEEPEST)).astype(np.uint8))
