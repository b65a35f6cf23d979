"""Pictures out of a run: float images -> bytes -> contact sheet -> PNG and GIF.

Images are channels last, (N, H, W, C) with C = 1 (grey), 3 (RGB) or 4 (RGB and alpha).
"""

import numpy as np

from ..atomic import replacing
from ..regular import open_regular

BACKGROUND = 128  # neutral grey: distinct from the black and the white of digits
SHEET_WIDTH = 450  # pixels a contact sheet aims at when it picks its own scale
GIF_COLOURS = 128  # of the 256 possible: hardly visible, and a third smaller


def to_uint8(images, value_range):
    """Map floats in `value_range` to bytes.

    images: array of any shape, usually (N, H, W, C); uint8 is returned as it is.
    value_range: (low, high), the values that become 0 and 255, such as (-1, 1).

    Values in between are rounded to the nearest byte, values outside are
    clipped, and NaN becomes 0.  Returns a uint8 array of the same shape; the
    argument is never changed.  Raises ValueError unless low < high.
    """
    images = np.asarray(images)
    if images.dtype == np.uint8:
        return images
    low, high = (float(limit) for limit in value_range)
    if not low < high:
        raise ValueError(f"value_range must be (low, high) with low < high, got {value_range}")
    levels = np.clip(images, low, high)  # a copy; clipped first, so that nothing can overflow
    levels = np.rint((levels - low) * (255.0 / (high - low)))
    return np.nan_to_num(levels, nan=0.0).astype(np.uint8)


def grid(images, columns=None, gap=2, scale=None):
    """Lay images out as one contact sheet, row by row.

    images: uint8 (N, H, W, C), N >= 1.
    columns: images a row; ceil(sqrt(N)) by default.
    gap: pixels of grey between the images and around the sheet.
    scale: whole factor by which every pixel is enlarged; by default the one
        that brings the sheet nearest to 450 pixels wide (never below 1).

    Returns uint8 (H', W', C).  Raises ValueError for another shape or dtype.
    """
    images = np.asarray(images)
    if images.ndim != 4 or images.dtype != np.uint8 or len(images) == 0:
        raise ValueError(
            f"grid needs uint8 images (N, H, W, C), N >= 1; got {images.dtype} {images.shape}"
        )
    count, height, width, channels = images.shape
    if columns is None:
        columns = int(np.ceil(np.sqrt(count)))
    if scale is None:
        scale = max(1, round(SHEET_WIDTH / (columns * width)))
    rows = -(-count // columns)

    images = images.repeat(scale, axis=1).repeat(scale, axis=2)
    height, width = height * scale + gap, width * scale + gap  # of a cell: image, gap
    sheet = np.full((rows * height + gap, columns * width + gap, channels), BACKGROUND, np.uint8)
    sheet[..., 3:] = 255  # an alpha: the gaps are opaque
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        top, left = gap + row * height, gap + column * width
        sheet[top : top + height - gap, left : left + width - gap] = image
    return sheet


def save_png(path, image):
    """Write one picture, atomically; its folder is created if need be.

    image: uint8 (H, W), or (H, W, C) as above.

    Raises OSError if the file cannot be written, ValueError for another image.
    """
    picture = pillow_image(image)
    with replacing(path) as file:
        picture.save(file, format="PNG")


def read(path):
    """The pixels of a picture, uint8 (H, W), (H, W, 3) or (H, W, 4).

    Raises OSError if the file cannot be read, ValueError if it is none or a damaged one.
    """
    import warnings

    from PIL import Image

    with open_regular(path) as file, warnings.catch_warnings():
        warnings.simplefilter("error")  # of pictures too large to be ours
        try:
            with Image.open(file) as picture:
                mode = {"1": "L", "L": "L", "LA": "L", "RGBA": "RGBA"}.get(picture.mode, "RGB")
                return np.asarray(picture.convert(mode))
        except MemoryError:
            raise
        except Exception as error:  # Pillow's decoders raise nearly anything
            raise ValueError(f"no picture, or damaged: {type(error).__name__}") from error


def thinned(frames, most=60):
    """At most so many of a list, evenly spaced, the first and the last among them."""
    kept = np.linspace(0, len(frames) - 1, min(len(frames), most)).round().astype(int)
    return [frames[index] for index in kept]


def save_gif(path, frames, *, frame_ms=200, last_ms=2000):
    """Write an animation that loops for ever, atomically.

    frames: uint8 arrays as in `save_png`, all of one size.
    frame_ms, last_ms: how long a frame, and the last one, is shown.

    Grey frames keep their 256 levels exactly; RGB frames share one palette of
    128 colours, so that colours do not flicker from frame to frame.  A GIF has no
    half-transparent pixels: frames with an alpha are put on grey ground.

    Raises OSError if the file cannot be written, ValueError for frames of different sizes or
    none at all.
    """
    if len(frames) == 0:
        raise ValueError("a GIF needs at least one frame")
    pictures = _one_kind([pillow_image(frame) for frame in frames])
    if pictures[0].mode == "RGB":
        pictures = _share_palette(pictures)
    with replacing(path) as file:
        pictures[0].save(
            file,
            format="GIF",
            save_all=True,
            append_images=pictures[1:],
            duration=[frame_ms] * (len(pictures) - 1) + [last_ms],
            loop=0,
            # Optimising would give every frame a palette of its own, which saves
            # nothing here and which some readers, Pillow among them, mix up.
            optimize=False,
        )


def pillow_image(pixels):
    """A Pillow image, mode L, RGB or RGBA, of uint8 (H, W) or (H, W, C); ValueError for others."""
    from PIL import Image  # here, not above: it costs more to import than this package

    pixels = np.asarray(pixels)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.dtype != np.uint8 or not (pixels.ndim == 2 or pixels.shape[2:] in ((3,), (4,))):
        raise ValueError(
            "a picture is uint8 (H, W), or (H, W, C) with C = 1, 3 or 4; "
            f"got {pixels.dtype} {pixels.shape}"
        )
    return Image.fromarray(pixels)


def _one_kind(pictures):
    """The pictures all in mode L, or all in RGB if any of them is not; one size is required."""
    sizes = {picture.size for picture in pictures}
    if len(sizes) > 1:
        raise ValueError(f"the frames of a GIF must have one size, got {sorted(sizes)}")
    if {picture.mode for picture in pictures} == {"L"}:
        return pictures
    return [_on_ground(picture) for picture in pictures]


def _on_ground(picture):
    """A picture in RGB, on neutral grey where it is transparent."""
    from PIL import Image

    if picture.mode == "RGBA":
        ground = Image.new("RGBA", picture.size, (BACKGROUND, BACKGROUND, BACKGROUND, 255))
        picture = Image.alpha_composite(ground, picture)
    return picture.convert("RGB")


def _share_palette(pictures):
    """RGB pictures -> palette pictures with one adaptive palette for all of them."""
    from PIL import Image

    width, height = pictures[0].size
    strip = Image.new("RGB", (width, height * len(pictures)))
    for index, picture in enumerate(pictures):
        strip.paste(picture, (0, index * height))
    palette = strip.quantize(GIF_COLOURS, method=Image.Quantize.FASTOCTREE)
    # No dithering: its noise differs from frame to frame and does not compress.
    return [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
