"""Digits in colour: a pen of one colour on a ground that runs from one colour into another.

Colours are chosen in Oklab (Ottosson, "A perceptual color space for image processing", 2020),
where equal steps of lightness look equal: pen and ground are at least .35 of it apart, so that
every digit can be read, whatever their hues.
"""

import numpy as np

BLOCK = 20  # pictures painted at a time: their arrays stay in the processor's cache

# From Oklab to the cube roots of cone responses, and from these cubed to linear sRGB.
CONES = np.array(
    [
        [1, 0.3963377774, 0.2158037573],
        [1, -0.1055613458, -0.0638541728],
        [1, -0.0894841775, -1.2914855480],
    ]
)
LINEAR = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)


def paint(ink, *, seed):
    """Pictures uint8 (N, H, W, 3) of digits uint8 (N, H, W, 1), and which grounds are warm.

    The second is int64 (N,), 1 for a ground from pink over red and orange to yellow, -1 for one
    from green over blue to violet; it has nothing to do with the digit.  seed: an int or a list
    of ints; picture i depends on it, on i and on its own ink alone.
    """
    count, height, width, _ = ink.shape
    pictures, warm = np.empty((count, height, width, 3), np.uint8), np.empty(count, np.int64)
    for i, start in enumerate(range(0, count, BLOCK)):
        part = slice(start, start + BLOCK)
        rng = np.random.default_rng([*np.atleast_1d(seed), i])
        first, last, pen, angle, sign = (values[: count - start] for values in _colours(rng))
        pictures[part] = _mix(ink[part], first, last, pen, angle)
        warm[part] = sign
    return pictures, warm


def _colours(rng):
    """Ends of the ground and pen, sRGB (BLOCK, 3); the ground's angle and 1 or -1, (BLOCK,)."""

    def some(low, high):
        return rng.uniform(low, high, BLOCK)

    warm = rng.random(BLOCK) < 0.5
    light = rng.random(BLOCK) < 0.4
    hue = np.where(warm, some(-5, 95), some(160, 290))
    lightness = np.where(light, some(0.78, 0.86), some(0.36, 0.48))
    step, turn = some(-0.06, 0.06), some(-22, 22)
    chroma = some(0.07, 0.13)
    first = _srgb(lightness - step, chroma, hue - turn)
    last = _srgb(lightness + step, chroma, hue + turn)
    pen = _srgb(np.where(light, some(0.2, 0.36), some(0.89, 0.97)), some(0.02, 0.1), some(0, 360))
    angle = some(0, 2 * np.pi).astype(np.float32)
    return first, last, pen, angle, np.where(warm, 1, -1)


def _srgb(lightness, chroma, hue):
    """Colours float32 (N, 3) in 0 .. 255 from Oklab's lightness, chroma and hue in degrees."""
    a, b = chroma * np.cos(np.radians(hue)), chroma * np.sin(np.radians(hue))
    linear = (np.stack([lightness, a, b], axis=1) @ CONES.T) ** 3 @ LINEAR.T
    linear = np.clip(linear, 0, 1)
    curved = np.where(linear < 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return (255 * curved).astype(np.float32)


def _mix(ink, first, last, pen, angle):
    """Pictures uint8 (N, H, W, 3): ink uint8 (N, H, W, 1); colours (N, 3); angle (N,)."""
    height, width = ink.shape[1:3]
    y, x = (np.linspace(-0.5, 0.5, n, dtype=np.float32) for n in (height, width))
    across, down = (f(angle)[:, None, None] / np.float32(np.sqrt(2)) for f in (np.cos, np.sin))
    along = 0.5 + (across * x + down * y[:, None])  # 0 .. 1, (N, H, W)
    share = ink[..., 0] * np.float32(1 / 255)
    picture = np.empty((*ink.shape[:3], 3), np.uint8)
    for channel in range(3):
        start, stop, on_top = (colour[:, channel, None, None] for colour in (first, last, pen))
        plane = start + along * (stop - start)
        plane += share * (on_top - plane)
        picture[..., channel] = plane + np.float32(0.5)
    return picture
